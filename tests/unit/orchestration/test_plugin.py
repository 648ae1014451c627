"""The plugin: where its apps are, and that only the API server pays for them."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

from fastapi import FastAPI

FILE = Path(__file__).parents[3] / "plugins" / "pressroom_plugin.py"


def test_its_apps_are_built_when_the_api_server_asks_for_them() -> None:
    at_once = [node for node in ast.parse(FILE.read_text("utf-8")).body if isinstance(node, ast.ImportFrom)]
    assert [node.module for node in at_once] == [
        "functools", "typing", "urllib.parse", "airflow.configuration", "airflow.plugins_manager",
        "pressroom.orchestration.server",
    ]  # fmt: skip
    spec = importlib.util.spec_from_file_location("pressroom_plugin", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plugin = module.PressroomPlugin()
    apps = plugin.fastapi_apps
    assert {one["url_prefix"]: one["name"] for one in apps} == {
        "/pressroom/hooks": "Pressroom hooks", "/pressroom/api/v1": "Pressroom API",
        "/pressroom": "Pressroom",
    }  # fmt: skip
    assert all(isinstance(one["app"], FastAPI) for one in apps)
    assert plugin.fastapi_apps is apps  # Airflow asks again, to list what there is
    # What is below the page's address belongs to the others first.
    assert apps[-1]["url_prefix"] == "/pressroom"
    assert apps[-1]["app"].state.admission is apps[-2]["app"].state.admission
    views = {view["destination"]: view for view in plugin.external_views}
    assert set(views) == {"nav", "dag", "dag_run"}
    assert len({view["url_route"] for view in views.values()}) == 3
    assert views["dag_run"]["href"].endswith("/pressroom/dags/{DAG_ID}/{RUN_ID}")
