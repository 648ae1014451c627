"""Airflow's connections and variables, turned into the settings of our own parts. Environment first."""

from __future__ import annotations

import functools
import os
from typing import Any

from airflow.sdk import BaseHook, Connection, Variable
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

from pressroom.adapters.connection import ConnectionFields
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.adapters.targets.metricool.api import MetricoolSettings
from pressroom.domain.errors import ConfigurationError
from pressroom.settings import DATABASE_CONNECTION, DATABASE_VARIABLE, connection_url
from pressroom.store.database import Store

MEDIA_ROOT = "pressroom_media_root"
MEDIA_PUBLIC_URL = "pressroom_media_public_url"


def database_url() -> str:
    """The URL of Pressroom's database. Raises ConfigurationError when the connection is missing."""
    return os.environ.get(DATABASE_VARIABLE) or _url(_connection(DATABASE_CONNECTION))


async def adatabase_url() -> str:
    """``database_url`` for the triggerer, where a blocking look-up would hold up every other trigger."""
    given = os.environ.get(DATABASE_VARIABLE)
    if given:
        return given
    try:
        return _url(await BaseHook.aget_connection(DATABASE_CONNECTION))
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        raise _missing(DATABASE_CONNECTION) from error


@functools.cache
def store_at(url: str, *, patience: float | None = None) -> Store:
    """One store a process and database: its pool is what the process's tasks and triggers share."""
    return Store(url) if patience is None else Store(url, patience=patience)


def store() -> Store:
    """The store behind the connection ``pressroom_db``."""
    return store_at(database_url())


def model_settings(connection_id: str) -> ConnectionSettings:
    """A text or image connection. Raises ConfigurationError when it is missing or wrong."""
    return ConnectionSettings.from_connection(connection_id, **fields_of(connection_id))


def metricool_settings(connection_id: str) -> MetricoolSettings:
    """A connection to Metricool. Raises ConfigurationError when it is missing or wrong."""
    return MetricoolSettings.from_connection(connection_id, **fields_of(connection_id))


async def ametricool_settings(connection_id: str) -> MetricoolSettings:
    """``metricool_settings`` for the triggerer."""
    try:
        connection = await BaseHook.aget_connection(connection_id)
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        raise _missing(connection_id) from error
    return MetricoolSettings.from_connection(connection_id, **_fields(connection))


def fields_of(connection_id: str) -> ConnectionFields:
    """A connection's fields, for adapters that read their own settings. Raises ConfigurationError."""
    return _fields(_connection(connection_id))


def _fields(connection: Connection) -> ConnectionFields:
    return {
        "host": connection.host,
        "schema": connection.schema,
        "port": connection.port,
        "login": connection.login,
        "password": connection.password,
        "extra": connection.extra_dejson,
    }


def permitted(variable: str) -> list[str]:
    """What the operator permits to flows under a variable, separated by commas: nothing unless it is said.

    ``pressroom_allow_hosts``: private hosts that may be fetched from; ``pressroom_file_roots``: where files
    may be read.
    """
    given = os.environ.get(variable.upper()) or Variable.get(variable, default=None) or ""
    return [entry.strip() for entry in str(given).split(",") if entry.strip()]


def media_public_url() -> str:
    """Under which URL the world finds what is in the media root; '' when media have http(s) URLs anyway."""
    given = os.environ.get("PRESSROOM_MEDIA_PUBLIC_URL")
    return str(given or Variable.get(MEDIA_PUBLIC_URL, default=None) or "")


def media_root() -> str:
    """Where media are kept: any URL that Airflow's object storage knows."""
    given = os.environ.get("PRESSROOM_MEDIA_ROOT")
    root: Any = given or Variable.get(MEDIA_ROOT, default=None)
    if not root:
        raise ConfigurationError(
            f"no place for media: set the Airflow variable {MEDIA_ROOT} or PRESSROOM_MEDIA_ROOT to a URL"
        )
    return str(root)


def _connection(connection_id: str) -> Connection:
    try:
        return BaseHook.get_connection(connection_id)
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        raise _missing(connection_id) from error


def _missing(connection_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"the Airflow connection {connection_id!r} does not exist: add it to airflow_settings.yaml,"
        f" or set AIRFLOW_CONN_{connection_id.upper()}"
    )


def _url(connection: Connection) -> str:
    parts = {
        "conn_type": connection.conn_type,
        "host": connection.host,
        "port": connection.port,
        "login": connection.login,
        "password": connection.password,
        "schema": connection.schema,
        "extra": connection.extra_dejson,
    }
    return connection_url(parts, f"the Airflow connection {DATABASE_CONNECTION}")
