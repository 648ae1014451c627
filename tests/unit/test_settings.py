"""Where the database and Airflow are found, and that no password shows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict  # noqa: TID251  # what the result must be readable by

from pressroom import settings
from pressroom.domain.errors import ConfigurationError

SECRET = "p@ss/w:rd?"
SETTINGS = """
airflow:
  connections:
    - conn_id: other
      conn_type: http
    - conn_id: pressroom_db
      conn_type: postgres
      conn_host: {host}
      conn_login: writer
      conn_password: "p@ss/w:rd?"
      conn_port: 5433
      conn_schema: press
      conn_extra: {{sslmode: require, cursor: dictcursor}}
"""


def parts(url: str) -> dict[str, object]:
    return dict(conninfo_to_dict(url))


def local_file(folder: Path, **values: object) -> None:
    (folder / ".pressroom").mkdir()
    content = {
        "airflow_url": "http://127.0.0.1:8080",
        "airflow_user": "admin",
        "airflow_password": SECRET,
        "database_url": "postgresql://local/press",
    }
    (folder / ".pressroom" / "local.json").write_text(json.dumps(content | values))


def test_the_variable_comes_first(tmp_path: Path) -> None:
    environ = {"PRESSROOM_DATABASE_URL": "postgresql://a/b", "AIRFLOW_CONN_PRESSROOM_DB": "postgresql://c/d"}
    assert settings.database_url(environ, tmp_path) == "postgresql://a/b"


@pytest.mark.parametrize(
    "value",
    [
        "postgres://writer:p%40ss%2Fw%3Ard%3F@db.example:5433/press?sslmode=require&cursor=dictcursor",
        "postgresql://writer:p%40ss%2Fw%3Ard%3F@db.example:5433/press?__extra__=%7B%22sslmode%22%3A%22require%22%7D",
        json.dumps(
            {
                "conn_type": "postgres", "host": "db.example", "login": "writer", "password": SECRET,
                "port": 5433, "schema": "press", "extra": {"sslmode": "require", "cursor": "x"},
            }
        ),
        json.dumps(
            {
                "conn_type": "postgres", "host": "db.example", "login": "writer", "password": SECRET,
                "port": "5433", "schema": "press", "extra": '{"sslmode": "require"}',
            }
        ),
    ],
)  # fmt: skip
def test_an_airflow_connection_variable(value: str, tmp_path: Path) -> None:
    assert parts(settings.database_url({"AIRFLOW_CONN_PRESSROOM_DB": value}, tmp_path)) == {
        "host": "db.example", "port": "5433", "user": "writer", "password": SECRET, "dbname": "press",
        "sslmode": "require",
    }  # fmt: skip


def test_socket_folders_and_ipv6(tmp_path: Path) -> None:
    for host in ("/var/run/postgresql", "::1"):
        value = json.dumps({"conn_type": "postgres", "host": host, "schema": "press"})
        assert parts(settings.database_url({"AIRFLOW_CONN_PRESSROOM_DB": value}, tmp_path))["host"] == host


@pytest.mark.parametrize("where", ["home", "cwd"])
def test_the_settings_file_of_the_project(tmp_path: Path, where: str) -> None:
    (tmp_path / "airflow_settings.yaml").write_text(SETTINGS.format(host="db.example"))
    below = tmp_path / "x" / "y"
    below.mkdir(parents=True)
    url = (
        settings.database_url({"AIRFLOW_HOME": str(below)}, Path("/"))
        if where == "home"
        else settings.database_url({}, below)
    )
    assert parts(url)["host"] == "db.example"
    assert parts(url)["sslmode"] == "require"
    assert parts(url)["password"] == SECRET


def test_an_empty_entry_counts_as_none_and_the_local_runner_is_used(tmp_path: Path) -> None:
    (tmp_path / "airflow_settings.yaml").write_text(SETTINGS.format(host=""))
    local_file(tmp_path, pid=os.getpid())
    assert settings.database_url({}, tmp_path) == "postgresql://local/press"


def test_a_local_runner_that_is_gone_is_not_used(tmp_path: Path) -> None:
    local_file(tmp_path, pid=2**22 + 1)
    with pytest.raises(ConfigurationError):
        settings.database_url({}, tmp_path)


def test_nothing_set_names_every_way(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.database_url({}, tmp_path)
    for way in (
        "PRESSROOM_DATABASE_URL",
        "AIRFLOW_CONN_PRESSROOM_DB",
        "pressroom_db",
        "airflow_settings.yaml",
    ):
        assert way in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ["mysql://u:p%40ss@h/d", "{broken p@ss", "postgres://u:p@ss@h:port/d", '{"host": "h", "extra": "p@ss"}'],
)
def test_a_wrong_connection_is_refused_without_its_password(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.database_url({"AIRFLOW_CONN_PRESSROOM_DB": value}, tmp_path)
    assert "ss@" not in str(caught.value)
    assert "p@ss" not in str(caught.value)


def test_a_variable_that_is_no_url_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a Postgres URL") as caught:
        settings.database_url({"PRESSROOM_DATABASE_URL": SECRET}, tmp_path)
    assert SECRET not in str(caught.value)


def test_a_broken_settings_file(tmp_path: Path) -> None:
    (tmp_path / "airflow_settings.yaml").write_text("airflow: [")
    with pytest.raises(ConfigurationError, match="Astro"):
        settings.database_url({}, tmp_path)


def test_airflow_login_from_variables_or_the_local_runner(tmp_path: Path) -> None:
    local_file(tmp_path)
    assert settings.airflow_login({}, tmp_path).url == "http://127.0.0.1:8080"
    given = {
        "PRESSROOM_AIRFLOW_URL": "https://airflow.example",
        "PRESSROOM_AIRFLOW_USER": "u",
        "PRESSROOM_AIRFLOW_PASSWORD": "p",
    }
    assert settings.airflow_login(given, tmp_path) == settings.AirflowLogin(
        "https://airflow.example", "u", "p"
    )


def test_a_local_password_is_for_no_other_host(tmp_path: Path) -> None:
    local_file(tmp_path)
    with pytest.raises(ConfigurationError, match="PRESSROOM_AIRFLOW_PASSWORD"):
        settings.airflow_login({"PRESSROOM_AIRFLOW_URL": "https://airflow.example"}, tmp_path)


def test_a_login_does_not_show_its_password() -> None:
    assert SECRET not in repr(settings.AirflowLogin("u", "v", SECRET))


def test_no_airflow_names_the_variables(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PRESSROOM_AIRFLOW_URL"):
        settings.airflow_login({}, tmp_path)
