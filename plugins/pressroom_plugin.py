"""Airflow plugin: Pressroom's routes in the API server, and its listener in all components."""

from functools import cached_property
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from pressroom.orchestration.server import listener


class PressroomPlugin(AirflowPlugin):
    """Mounts the control API, and the hooks, which are the only routes without a login. Listens to what
    becomes of DAG runs.
    """

    name = "pressroom"
    listeners: ClassVar[list[Any]] = [listener]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The apps. Airflow asks for them in its API server alone, and loads plugins everywhere: built here,
        they cost the scheduler, the dag processor and every task neither the time nor the memory.
        """
        from pressroom.api.app import build_control_app
        from pressroom.api.hooks import build_app
        from pressroom.orchestration.server.airflow import InProcessAirflow

        airflow = InProcessAirflow()
        return [
            {"app": build_app(airflow), "url_prefix": "/pressroom/hooks", "name": "Pressroom hooks"},
            {"app": build_control_app(airflow), "url_prefix": "/pressroom/api/v1", "name": "Pressroom API"},
        ]
