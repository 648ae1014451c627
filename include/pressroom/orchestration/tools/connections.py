"""Airflow's connections and variables as the settings of adapters. Environment variables come first.

Processes read them in three ways: a task asks its supervisor, the triggerer asks asynchronously and in
advance, the API server and the scheduler read Airflow's database (``orchestration.server.connections``).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException, AirflowRuntimeError

from pressroom.adapters.connection import ConnectionFields
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.adapters.targets.metricool.client import MetricoolSettings
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.grants.access import EVERYTHING, Access, GrantKind
from pressroom.settings import DATABASE_CONNECTION, DATABASE_VARIABLE, connection_url
from pressroom.store.database import POOL_SIZE, Store, without_password

MEDIA_ROOT = "pressroom_media_root"
MEDIA_PUBLIC_URL = "pressroom_media_public_url"
ALLOW_HOSTS = "pressroom_allow_hosts"
"""Variable: private hosts that flows may fetch from, separated by commas."""
FILE_ROOTS = "pressroom_file_roots"
"""Variable: folders whose files flows may read, separated by commas."""
WEBHOOK_TYPE = "pressroom_webhook"
"""The type of the connections whose password signs what comes in."""


class Connections:
    """``read``: a connection by its id, as Airflow has it; raises one of ``absent`` when there is none.
    ``variable``: the value of an Airflow variable, None when it is not set. ``access``: the account that
    asks, None for the installation itself.
    """

    def __init__(
        self,
        read: Callable[[str], Any],
        variable: Callable[[str], str | None],
        absent: tuple[type[Exception], ...],
        access: Access | None = None,
    ) -> None:
        self._read, self._variable, self._absent, self._access = read, variable, absent, access

    def of(self, access: Access) -> Connections:
        """The same, as far as the account may name them."""
        return Connections(self._read, self._variable, self._absent, access)

    def fields(self, connection_id: str) -> ConnectionFields:
        """A connection's fields, for adapters that read their own settings. Raises ConfigurationError."""
        return fields_of(self._found(connection_id))

    def model(self, connection_id: str) -> ConnectionSettings:
        """A text or image connection. Raises ConfigurationError when it is missing or wrong."""
        return ConnectionSettings.from_connection(connection_id, **self.fields(connection_id))

    def models(self, connection_id: str) -> list[ConnectionSettings]:
        """A text or image connection, and its fallbacks in the order in which they are asked.

        Raises ConfigurationError when one is missing or wrong, or leads back to an earlier one.
        """
        chain = [self.model(connection_id)]
        while following := chain[-1].fallback:
            names = [settings.name for settings in chain]
            if following in names:
                raise ConfigurationError(
                    f"connection {names[-1]!r}: its fallback leads back to {following!r}"
                    f" ({' → '.join([*names, following])}): take one of them out of the extra"
                )
            try:
                chain.append(self.model(following))
            except ConfigurationError as error:
                raise ConfigurationError(f"the fallback of connection {names[-1]!r}: {error}") from error
        return chain

    def metricool(self, connection_id: str) -> MetricoolSettings:
        """A connection to Metricool. Raises ConfigurationError when it is missing or wrong."""
        return MetricoolSettings.from_connection(connection_id, **self.fields(connection_id))

    def database_url(self) -> str:
        """The URL of Pressroom's database. Raises ConfigurationError when the connection is missing."""
        if url := os.environ.get(DATABASE_VARIABLE):
            return url
        connection = self._found(DATABASE_CONNECTION)
        # Imported here: of those who import this module, some never open the store by its connection.
        from pressroom.orchestration.tools.hooks import StoreHook

        where = f"the Airflow connection {DATABASE_CONNECTION}"
        own = {"conn_type": connection.conn_type}
        if connection.conn_type not in ("postgres", "postgresql"):
            return connection_url(own, where)  # which says what is wrong
        try:
            return connection_url(own | StoreHook(connection=connection).fields(), where)
        except (AirflowException, ValueError, ImportError) as error:
            raise ConfigurationError(f"{where}: {error}") from error

    def webhook_secret(self, connection_id: str) -> str:
        """The secret that signs what comes in. Raises ConfigurationError; also for a connection of another
        type, whose password must not be guessed at by signing with it.
        """
        connection = self._found(connection_id)
        if connection.conn_type != WEBHOOK_TYPE:
            raise ConfigurationError(
                f"the Airflow connection {connection_id!r} has the type {connection.conn_type!r}: a webhook"
                f" needs the type {WEBHOOK_TYPE}"
            )
        if not connection.password:
            raise ConfigurationError(
                f"the Airflow connection {connection_id!r} has no password to check with"
            )
        return str(connection.password)

    def must_exist(self, connection_id: str) -> None:
        """Raises ConfigurationError unless the connection exists, for the account."""
        self._found(connection_id)

    def hosts(self) -> list[str]:
        """The private hosts that flows may fetch from: the variable's, as far as the account may."""
        hosts = self._entries(ALLOW_HOSTS)
        return hosts if self._access is None else self._access.hosts(hosts)

    def file_roots(self) -> list[str]:
        """The folders whose files flows may read: the variable's, as far as the account may."""
        roots = self._entries(FILE_ROOTS)
        return roots if self._access is None else self._access.file_roots(roots)

    def _entries(self, variable: str) -> list[str]:
        entries = (self._setting(variable) or "").split(",")
        return [entry.strip() for entry in entries if entry.strip()]

    def media_public_url(self) -> str:
        """The URL under which others find what is in the media root; '' when media have http(s) URLs."""
        return self._setting(MEDIA_PUBLIC_URL) or ""

    def media_root(self) -> str:
        """Where media are kept: any URL that Airflow's object storage knows. Raises ConfigurationError."""
        root = self._setting(MEDIA_ROOT)
        if not root:
            raise ConfigurationError(
                f"no place for media: set the Airflow variable {MEDIA_ROOT} or {MEDIA_ROOT.upper()} to a URL"
            )
        return root

    def _setting(self, name: str) -> str | None:
        return os.environ.get(name.upper()) or self._variable(name) or None

    def _found(self, connection_id: str) -> Any:
        access = self._access or Access("", frozenset({EVERYTHING}))
        if self._access is not None:
            access.must_permit(GrantKind.CONNECTION, connection_id)
        try:
            return self._read(connection_id)
        except self._absent as error:
            raise ConfigurationError(access.missing(GrantKind.CONNECTION, connection_id)) from error


def fields_of(connection: Any) -> ConnectionFields:
    """The fields of an Airflow connection."""
    return {
        "host": connection.host,
        "schema": connection.schema,
        "port": connection.port,
        "login": connection.login,
        "password": connection.password,
        "extra": connection.extra_dejson,
    }


_ABSENT = (AirflowNotFoundException, AirflowRuntimeError)

OF_TASK = Connections(BaseHook.get_connection, lambda name: Variable.get(name, default=None), _ABSENT)
"""For tasks and for the DAG processor."""


async def of_triggerer(connection_ids: Iterable[str]) -> Connections:
    """These connections, read in advance: a blocking look-up would hold up every other trigger.

    Without variables. A missing connection is reported when it is used.
    """
    fields = {}
    for connection_id in connection_ids:
        try:
            fields[connection_id] = await BaseHook.aget_connection(connection_id)
        except _ABSENT:
            continue
    return Connections(fields.__getitem__, lambda name: None, (KeyError,))


async def with_fallbacks(connection_id: str) -> list[str]:
    """The connection's name and those of its fallbacks, so far as they exist."""
    names: list[str] = []
    following = connection_id
    while following and following not in names:
        names.append(following)
        try:
            following = str((await BaseHook.aget_connection(following)).extra_dejson.get("fallback") or "")
        except _ABSENT:
            break
    return names


_newest: dict[str, str] = {}
"""The newest URL of each database, by the URL without its password, which may be short-lived."""


def store_at(url: str, *, patience: float | None = None, max_size: int = POOL_SIZE) -> Store:
    """One store a process and database: its pool is what the process's tasks and triggers share. It opens
    its next connections with the password that was seen last. ``max_size``: connections at most.
    """
    place = without_password(url)
    _newest[place] = url
    return _store_of(place, patience, max_size)


@functools.cache
def _store_of(place: str, patience: float | None, max_size: int) -> Store:
    def newest() -> str:
        return _newest[place]

    if patience is None:
        return Store(newest, max_size=max_size)
    return Store(newest, max_size=max_size, patience=patience)


def store() -> Store:
    """The store behind the connection ``pressroom_db``, for a task. Raises ConfigurationError."""
    return store_at(OF_TASK.database_url())


async def triggerer_store() -> Store:
    """``store`` for the triggerer."""
    needed = () if os.environ.get(DATABASE_VARIABLE) else (DATABASE_CONNECTION,)
    return store_at((await of_triggerer(needed)).database_url())
