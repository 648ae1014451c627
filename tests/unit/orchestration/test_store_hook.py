"""The store's connection, as the Postgres provider's hook reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk.definitions.connection import Connection

from pressroom.domain.errors import ConfigurationError
from pressroom.orchestration.tools.connections import Connections


def url_of(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any] | None = None, **fields: Any) -> str:
    monkeypatch.delenv("PRESSROOM_DATABASE_URL", raising=False)
    facts = {
        "conn_type": "postgres", "host": "db.example.org", "port": 6432, "login": "press",
        "password": "p@ss/1", "schema": "room", **fields,
    }  # fmt: skip
    connection = Connection(conn_id="pressroom_db", extra=json.dumps(extra or {}), **facts)
    return Connections(lambda _: connection, lambda _: None, (KeyError,)).database_url()


def test_fields_and_options_are_those_that_airflow_connects_with(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"sslmode": "require", "cursor": "dictcursor", "sqlalchemy_scheme": "postgresql+psycopg"}
    url = "postgresql://press:p%40ss%2F1@db.example.org:6432/room"
    assert url_of(monkeypatch) == url
    assert url_of(monkeypatch, extra) == f"{url}?sslmode=require"
    assert url_of(monkeypatch, host=None, port=None, password=None) == "postgresql://press@localhost/room"


def test_a_short_lived_password_is_fetched_by_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostgresHook, "get_iam_token", lambda self, conn: ("iam-user", "token", 5433))
    assert url_of(monkeypatch, {"iam": True}) == "postgresql://iam-user:token@db.example.org:5433/room"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conn_type": "mysql"}, "the Airflow connection pressroom_db is of type 'mysql'"),
        ({"extra": {"cursor": "nonsense"}}, "the Airflow connection pressroom_db: Invalid cursor"),
    ],
)
def test_what_the_hook_refuses_names_the_connection(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        url_of(monkeypatch, **change)
