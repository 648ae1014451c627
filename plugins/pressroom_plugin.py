"""Airflow plugin: Pressroom's routes in the API server."""

from airflow.plugins_manager import AirflowPlugin

from pressroom.api.hooks import build_app
from pressroom.orchestration.in_process import InProcessAirflow


class PressroomPlugin(AirflowPlugin):
    """Mounts the hooks, which are the only routes without a login."""

    name = "pressroom"
    fastapi_apps = [  # noqa: RUF012  # as Airflow wants it
        {"app": build_app(InProcessAirflow()), "url_prefix": "/pressroom/hooks", "name": "Pressroom hooks"}
    ]
