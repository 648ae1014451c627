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
        "functools", "typing", "airflow.plugins_manager", "pressroom.orchestration.server",
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
    }  # fmt: skip
    assert all(isinstance(one["app"], FastAPI) for one in apps)
    assert plugin.fastapi_apps is apps  # Airflow asks again, to list what there is
