"""Connections in the API server, which has Airflow's database at hand and no task's way to it."""

from __future__ import annotations

import functools
import os
import threading
import time

from airflow.models.connection import Connection

from pressroom.domain.errors import ConfigurationError
from pressroom.orchestration.tools.connections import store_at
from pressroom.settings import DATABASE_CONNECTION, DATABASE_VARIABLE, connection_url
from pressroom.store.database import Store

LOOK_AGAIN_SECONDS = 60.0
"""How soon a corrected connection is used, without a restart of the server."""

_one_at_a_time = threading.Lock()


def store() -> Store:
    """The store behind the connection ``pressroom_db``, which is looked up once in a while: every request
    needs it. Raises ConfigurationError.
    """
    with _one_at_a_time:
        return _store_in(int(time.monotonic() // LOOK_AGAIN_SECONDS))


@functools.lru_cache(maxsize=1)
def _store_in(_period: int) -> Store:
    given = os.environ.get(DATABASE_VARIABLE)
    if given:
        return store_at(given)
    connection = _connection(DATABASE_CONNECTION)
    parts = {
        "conn_type": connection.conn_type, "host": connection.host, "port": connection.port,
        "login": connection.login, "password": connection.password, "schema": connection.schema,
        "extra": connection.extra_dejson,
    }  # fmt: skip
    return store_at(connection_url(parts, f"the Airflow connection {DATABASE_CONNECTION}"))


def secret(connection_id: str) -> str:
    """The password of a connection. Raises ConfigurationError when it is missing or empty."""
    found = _connection(connection_id).password
    if not found:
        raise ConfigurationError(f"the Airflow connection {connection_id!r} has no password to check with")
    return str(found)


def _connection(connection_id: str) -> Connection:
    try:
        return Connection.get_connection_from_secrets(connection_id)
    except Exception as error:  # which class it is differs with the secrets backend
        raise ConfigurationError(f"the Airflow connection {connection_id!r} does not exist") from error
