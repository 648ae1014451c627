"""The Postgres provider's hook under the store's connection."""

from __future__ import annotations

from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook


class StoreHook(PostgresHook):
    """Says what it would connect with, for a pool of connections of our own.

    So a connection means here what it means to Airflow and to its Test button: its options, and a short-lived
    password from AWS or Azure (``iam``).
    """

    def fields(self) -> dict[str, Any]:
        """The connection's fields, as ``settings.connection_url`` takes them."""
        arguments: Any = self.get_conn()
        names = {"host": "host", "port": "port", "login": "user", "password": "password", "schema": "dbname"}
        fields = {field: arguments.pop(name, None) for field, name in names.items()}
        return {**fields, "extra": arguments}

    def _create_connection(self, conn_args: dict[str, Any]) -> Any:
        return conn_args
