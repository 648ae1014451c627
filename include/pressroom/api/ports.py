"""What the routes need of Airflow, as a port: ``orchestration`` has the real thing, tests a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pressroom.store.database import Store


class Airflow(Protocol):
    """Acts for callers that have no Airflow login, once their signature or link was checked."""

    def store(self) -> Store:
        """Pressroom's database. Raises ConfigurationError."""
        ...

    def secret(self, connection: str) -> str:
        """The password of a connection. Raises ConfigurationError."""
        ...

    async def trigger(self, dag_id: str, conf: Mapping[str, Any], *, note: str) -> str:
        """Start a DAG run, and return its id. Raises TransientError or PermanentError."""
        ...

    async def answer(self, task: Mapping[str, Any], option: str, fields: Mapping[str, Any]) -> None:
        """Answer a waiting human-in-the-loop task. Raises RunConflict when it was answered already."""
        ...
