"""What the routes need of Airflow, as ports: ``orchestration`` has the real thing, tests a stand-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request

from pressroom.domain.publishing import Place, Target
from pressroom.engine.runs.verifying import CheckResult
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow


@dataclass(frozen=True)
class Login:
    """Who calls, as Airflow's auth manager says. ``name``: the user name, as in an account's members.

    ``admin``: whether they administer this Airflow. ``by_cookie``: a browser sent the login as a cookie.
    """

    name: str
    admin: bool
    by_cookie: bool


class Airflow(Protocol):
    """Acts for callers whose right was checked: by their signature or link, or by the access rules."""

    def store(self) -> Store:
        """Pressroom's database. Raises ConfigurationError."""
        ...

    def secret(self, connection: str) -> str:
        """The password of a connection. Raises ConfigurationError."""
        ...

    async def trigger(
        self, dag_id: str, conf: Mapping[str, Any], *, note: str, dag_run_id: str | None = None
    ) -> str:
        """Start a DAG run, and return its id. Raises TransientError or PermanentError; RunConflict when there
        is a run of that id.
        """
        ...

    async def answer(self, task: Mapping[str, Any], option: str, fields: Mapping[str, Any]) -> None:
        """Answer a waiting human-in-the-loop task. Raises RunConflict when it was answered already."""
        ...


class ControlPlane(Airflow, Protocol):
    """What the control API needs beside."""

    async def login(self, request: Request) -> Login | None:
        """Who sent the request, by bearer token or session cookie; None when nobody is logged in."""
        ...

    def check(self, row: WorkflowRow, parts: Sequence[str]) -> list[CheckResult]:
        """What is wrong with the set-up of a workflow's runs, asked of its connections. It blocks, for up to
        half a minute, however many parts there are. ``parts``: as ``pipeline_of`` takes them.
        """
        ...

    async def clear(self, dag_id: str, dag_run_id: str, task_ids: Sequence[str]) -> int:
        """Make tasks and what follows them run again in the same DAG run. Returns how many there are."""
        ...

    async def target(self, place: Place) -> AbstractAsyncContextManager[Target[Any]]:
        """A place to publish to, opened, to be entered and so closed. Raises ConfigurationError."""
        ...

    async def asset_event(self, uri: str) -> None:
        """Say that there is something new at an asset. Raises PermanentError when no DAG names it."""
        ...
