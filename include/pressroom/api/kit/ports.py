"""The ports through which routes reach Airflow: ``orchestration`` implements them, tests have a fake."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request

from pressroom.domain.grants.access import Access
from pressroom.domain.publishing import Place, Target
from pressroom.engine.runs.verifying import CheckResult
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow


@dataclass(frozen=True)
class Login:
    """The user, by Airflow's auth manager. ``name``: the user name, as in an account's members.

    ``admin``: whether the user administers this Airflow. ``by_cookie``: the login came as a browser's cookie.
    """

    name: str
    admin: bool
    by_cookie: bool


class Airflow(Protocol):
    """Airflow for the hooks. The caller's permission was checked before: by signature, link or access
    rule.
    """

    def store(self) -> Store:
        """Pressroom's database. Raises ConfigurationError."""
        ...

    def webhook_secret(self, access: Access, connection: str) -> str:
        """The secret of a webhook's connection that the account may name. Raises ConfigurationError."""
        ...

    async def trigger(
        self, dag_id: str, conf: Mapping[str, Any], *, note: str, dag_run_id: str | None = None
    ) -> str:
        """Start a DAG run, and return its id. Raises TransientError or PermanentError; RunConflict when there
        is a run of that id.
        """
        ...

    def answers_as(self) -> str:
        """The Airflow user in whose name ``answer`` answers. Raises ConfigurationError."""
        ...

    async def answer(self, task: Mapping[str, Any], option: str, fields: Mapping[str, Any]) -> None:
        """Answer a waiting human-in-the-loop task. Raises RunConflict when it was answered already."""
        ...


class ControlPlane(Airflow, Protocol):
    """Airflow for the control API."""

    async def login(self, request: Request) -> Login | None:
        """The user who sent the request, by bearer token or session cookie; None without a login."""
        ...

    def check(
        self, row: WorkflowRow, parts: Sequence[str], only: Collection[str] | None = None
    ) -> list[CheckResult]:
        """Check the set-up of a workflow's runs with its connections. Blocks for up to half a minute, however
        many parts there are. ``parts``: as ``pipeline_of`` takes them; ``only``: the names of needs, None for
        all. The models that they call are facts.
        """
        ...

    def alive(self, dag_id: str, dag_run_id: str) -> bool:
        """Whether Airflow has such a DAG run and it has not ended. Blocks."""
        ...

    def paused(self, dag_id: str) -> bool:
        """Whether Airflow has such a DAG and somebody has paused it. Blocks."""
        ...

    async def clear(self, dag_id: str, dag_run_id: str, task_ids: Sequence[str]) -> int:
        """Make tasks and what follows them run again in the same DAG run. Returns how many there are."""
        ...

    async def target(self, access: Access, place: Place) -> AbstractAsyncContextManager[Target[Any]]:
        """The target at a place that the account may name, as an async context manager. Raises
        ConfigurationError.
        """
        ...

    async def asset_event(self, uri: str) -> None:
        """Send an event of an asset. Raises PermanentError when no DAG names the asset."""
        ...
