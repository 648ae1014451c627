"""Airflow plugin: Pressroom's page and routes in the API server, and its listener in all components."""

from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from pressroom.orchestration.server import listener


class PressroomPlugin(AirflowPlugin):
    """Mounts the page, the control API, and the hooks, which are the only routes without a login. Shows the
    page in Airflow's UI. Listens to what becomes of DAG runs.
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
        from pressroom.page.app import build_page_app

        airflow = InProcessAirflow()
        api = build_control_app(airflow)
        page = build_page_app(airflow, api.state.admission)
        return [
            {"app": build_app(airflow), "url_prefix": "/pressroom/hooks", "name": "Pressroom hooks"},
            {"app": api, "url_prefix": "/pressroom/api/v1", "name": "Pressroom API"},
            # Last: an address below it that the two above have is theirs.
            {"app": page, "url_prefix": "/pressroom", "name": "Pressroom"},
        ]

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:
        """The page in Airflow's navigation, and beside each DAG and each run."""
        base = f"{urlsplit(conf.get('api', 'base_url', fallback='')).path.rstrip('/')}/pressroom"
        icons = {"icon": f"{base}/static/icon.svg", "icon_dark_mode": f"{base}/static/icon-dark.svg"}
        return [
            {"name": "Pressroom", "href": f"{base}/", "destination": "nav", "url_route": "pressroom",
             "nav_top_level": True, **icons},
            {"name": "Pressroom", "href": f"{base}/dags/{{DAG_ID}}", "destination": "dag",
             "url_route": "pressroom_dag", **icons},
            {"name": "Pressroom", "href": f"{base}/dags/{{DAG_ID}}/{{RUN_ID}}", "destination": "dag_run",
             "url_route": "pressroom_run", **icons},
        ]  # fmt: skip
