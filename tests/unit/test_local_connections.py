"""Which database and which model a local run uses, and what it exports for everyone else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict  # noqa: TID251  # what the result must be readable by

from pressroom.domain.errors import ConfigurationError
from pressroom.settings import database_url
from pressroom_dev.local import connections
from pressroom_dev.local.astro_settings import AstroSettings

SECRET = "p@ss/w:rd?"
URI = "postgres://writer:p%40ss%2Fw%3Ard%3F@db.example:5433/press?sslmode=require"
FIELDS = {
    "conn_type": "postgres", "host": "db.example", "port": 5433, "login": "writer", "password": SECRET,
    "schema": "press", "extra": {"sslmode": "require"},
}  # fmt: skip
PARTS = {
    "host": "db.example", "port": "5433", "user": "writer", "password": SECRET, "dbname": "press",
    "sslmode": "require",
}  # fmt: skip
NOTHING = AstroSettings()


def settings(conn_id: str, **fields: Any) -> AstroSettings:
    return AstroSettings(connections={conn_id: fields})


@pytest.mark.parametrize(
    ("environ", "filled"),
    [
        ({"AIRFLOW_CONN_PRESSROOM_DB": URI}, {}),
        ({"AIRFLOW_CONN_PRESSROOM_DB": json.dumps(FIELDS)}, {}),
        ({"PRESSROOM_DATABASE_URL": URI}, {}),
        ({"PRESSROOM_DATABASE_URL": URI, "AIRFLOW_CONN_PRESSROOM_DB": "postgres://other/x"}, {}),
        ({"PRESSROOM_DATABASE_URL": URI}, {"host": "other"}),
        ({}, FIELDS),
        ({}, {"uri": URI}),
    ],
)
def test_the_database_that_is_set_up(environ: dict[str, str], filled: dict[str, Any]) -> None:
    url = connections.outside_database(environ, settings("pressroom_db", **filled))
    assert url is not None
    assert conninfo_to_dict(url) == PARTS


def test_without_one_the_embedded_database_is_used() -> None:
    assert connections.outside_database({}, NOTHING) is None
    assert connections.outside_database({}, settings("pressroom_db", conn_type="postgres", port=5432)) is None


@pytest.mark.parametrize("url", [URI, "postgresql://u@[::1]:5/d", "postgresql://h/d", "postgresql:///d"])
def test_what_is_exported_leads_everyone_to_the_same_database(url: str, tmp_path: Path) -> None:
    variables = connections.database_variables(url, {})
    assert variables["PRESSROOM_DATABASE_URL"] == url
    by_airflow = database_url({"AIRFLOW_CONN_PRESSROOM_DB": variables["AIRFLOW_CONN_PRESSROOM_DB"]}, tmp_path)
    assert conninfo_to_dict(by_airflow) == {"host": "localhost", **conninfo_to_dict(url)}


def test_a_connection_that_is_set_or_cannot_be_put_as_one_is_left_alone() -> None:
    given = {"AIRFLOW_CONN_PRESSROOM_DB": URI}
    assert connections.database_variables("postgresql://h/d", given) == {
        "PRESSROOM_DATABASE_URL": "postgresql://h/d"
    }
    conninfo = "host=/run/postgresql dbname=d"
    assert connections.database_variables(conninfo, {}) == {"PRESSROOM_DATABASE_URL": conninfo}


TEXT_URI = "generic://:key@https%3A%2F%2Fmodels.example%2Fv1/?model=big"


@pytest.mark.parametrize(
    ("environ", "filled", "name", "base_url"),
    [
        ({"AIRFLOW_CONN_PRESSROOM_TEXT": TEXT_URI}, {}, "big", "https://models.example/v1"),
        ({"AIRFLOW_CONN_PRESSROOM_TEXT": '{"extra": "{\\"model\\": \\"m\\"}"}'}, {}, "m", None),
        ({"OPENAI_API_KEY": "k", "OPENAI_MODEL": "m"}, {}, "m", None),
        ({"OPENAI_BASE_URL": "http://h:1/v1"}, {"extra": {"model": "m"}}, "m", "http://h:1/v1"),
        ({}, {"host": "http://h:1/v1", "extra": {"model": "m"}}, "m", "http://h:1/v1"),
        ({}, {"uri": TEXT_URI}, "big", "https://models.example/v1"),
    ],
)
def test_the_model_that_is_set_up(
    environ: dict[str, str], filled: dict[str, Any], name: str, base_url: str | None
) -> None:
    found = connections.outside_text(environ, settings("pressroom_text", **filled))
    assert found is not None
    assert (found[0].name, found[0].base_url) == (name, base_url or connections.OPENAI_BASE_URL)
    assert not found[0].local


def test_options_alone_do_not_set_up_a_model() -> None:
    assert connections.outside_text({}, settings("pressroom_text", extra={"model": "m"})) is None


@pytest.mark.parametrize("value", ["{broken p@ss", '{"extra": "p@ss"}', "postgres://u:p@ss@h:port/d"])
@pytest.mark.parametrize("name", ["AIRFLOW_CONN_PRESSROOM_DB", "AIRFLOW_CONN_PRESSROOM_TEXT"])
def test_a_variable_that_cannot_be_read_is_named_and_not_shown(name: str, value: str) -> None:
    use = connections.outside_database if name.endswith("DB") else connections.outside_text
    with pytest.raises(ConfigurationError, match=name) as caught:
        use({name: value}, NOTHING)
    assert "p@ss" not in str(caught.value)
    assert "ss@" not in str(caught.value)
