"""Pressroom's connection types in Airflow, on the HTTP provider's hook."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.definitions.connection import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pressroom.adapters.targets.registry import HANDLERS
from pressroom.orchestration.provider import provider_info
from pressroom.orchestration.tools.service_hooks import ServiceHook, TargetHook, WordPressHook
from tests.support.served import served
from tests.support.strict_bluesky import LOGIN, PASSWORD, StrictBluesky

TYPES = {kind["connection-type"]: kind for kind in provider_info()["connection-types"]}


def hook(monkeypatch: pytest.MonkeyPatch, kind: str, **fields: Any) -> Any:
    """The hook that Airflow's Test button makes of a connection of that type."""
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps({"conn_type": f"pressroom_{kind}", **fields}))
    module, _, name = TYPES[f"pressroom_{kind}"]["hook-class-name"].rpartition(".")
    made = getattr(import_module(module), name)
    return made(**{made.conn_name_attr: "mine"})


def test_each_type_that_airflow_lists_has_its_hook() -> None:
    for kind, listed in TYPES.items():
        module, _, name = listed["hook-class-name"].rpartition(".")
        made = getattr(import_module(module), name)
        assert issubclass(made, ServiceHook)
        assert issubclass(made, HttpHook)
        assert (made.conn_type, made.hook_name) == (kind, listed["hook-name"])
    targets = {made.handler for made in TargetHook.__subclasses__()}
    assert targets == {*HANDLERS} - {"static_site"}  # a folder


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"host": "blog.example.org"}, "https://blog.example.org"),
        ({"host": "http://blog.example.org/sub", "port": 8080}, "http://blog.example.org:8080/sub"),
        ({"host": "blog.example.org", "schema": "http", "port": 8080}, "http://blog.example.org:8080"),
    ],
)
def test_an_address_means_what_it_means_to_runs(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], address: str
) -> None:
    extra = {"status": "draft", "timeout_seconds": 5}
    made: WordPressHook = hook(monkeypatch, "wordpress", login="ann", password="word", extra=extra, **fields)
    session: Any = made.get_conn()
    assert made.base_url == address
    assert session.auth.username == "ann"
    assert not {"status", "timeout_seconds"} & {*session.headers}
    assert made.merged_extra == {"timeout": 5}


def test_the_test_button_signs_in_and_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(StrictBluesky()) as url:
        fields = {"login": LOGIN, "host": url}
        assert hook(monkeypatch, "bluesky", password=PASSWORD, **fields).test_connection() == (
            True,
            "the service takes this connection",
        )
        taken, words = hook(monkeypatch, "bluesky", password="not-the-word", **fields).test_connection()
    assert not taken
    assert "401" in words
    assert "not-the-word" not in words


def test_a_model_server_is_asked_for_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    async def models(request: Request) -> JSONResponse:
        if request.headers["authorization"] != "Bearer key":
            return JSONResponse({"error": {"message": "no such key", "code": "invalid_api_key"}}, 401)
        return JSONResponse({"object": "list", "data": [{"id": "small", "object": "model"}]})

    with served(Starlette(routes=[Route("/v1/models", models)])) as url:
        facts = {"host": url, "extra": {"model": "small"}}
        assert hook(monkeypatch, "model", password="key", **facts).test_connection()[0]
        taken, words = hook(monkeypatch, "model", password="other", **facts).test_connection()
        assert not taken
        assert "no such key" in words
        facts["extra"] = {"model": "large"}
        assert not hook(monkeypatch, "model", password="key", **facts).test_connection()[0]


def test_a_webhook_is_not_called_by_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "whsec_" + "c2VjcmV0" * 6
    fields = {"host": "https://receiver.invalid/in"}
    taken, words = hook(monkeypatch, "webhook", password=secret, **fields).test_connection()
    assert taken, words
    assert "nothing was sent" in words
    taken, words = hook(monkeypatch, "webhook", password="", **fields).test_connection()
    assert not taken
    assert words.startswith("password: ")


def test_airflow_makes_the_hook_of_a_connection() -> None:
    connection: Any = Connection(conn_id="mine", conn_type="pressroom_wordpress")
    assert isinstance(connection.get_hook(), WordPressHook)
