"""Connections in the API server, which reads Airflow's database itself and has no task supervisor to ask."""

from __future__ import annotations

import functools
import threading
import time

from airflow.models.connection import Connection
from airflow.models.variable import Variable

from pressroom.domain.errors import ConfigurationError
from pressroom.orchestration.tools.connections import Connections, store_at
from pressroom.store.database import Store

LOOK_AGAIN_SECONDS = 60.0
"""How soon a corrected connection is used, without a restart of the server."""

OF_SERVER = Connections(
    lambda connection_id: Connection.get_connection_from_secrets(connection_id),
    lambda name: Variable.get_variable_from_secrets(name),
    (Exception,),  # which class it is differs with the secrets backend
)

_one_at_a_time = threading.Lock()


def store() -> Store:
    """The store behind the connection ``pressroom_db``. Every request needs it, so the connection is read
    only once in a while. Raises ConfigurationError.
    """
    with _one_at_a_time:
        return _store_in(int(time.monotonic() // LOOK_AGAIN_SECONDS))


@functools.lru_cache(maxsize=1)
def _store_in(_period: int) -> Store:
    return store_at(OF_SERVER.database_url())


def secret(connection_id: str) -> str:
    """The password of a connection. Raises ConfigurationError when it is missing or empty."""
    password = OF_SERVER.fields(connection_id)["password"]
    if not password:
        raise ConfigurationError(f"the Airflow connection {connection_id!r} has no password to check with")
    return str(password)
