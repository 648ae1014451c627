"""The control API over a real database, with a stand-in for Airflow, and callers of every role."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.requests import Request

from pressroom.api.app import build_control_app
from pressroom.api.kit.limits.admission import Admission
from pressroom.api.kit.ports import Login
from pressroom.domain.errors import ConfigurationError, RunConflict
from pressroom.domain.grants.access import Access
from pressroom.domain.publishing import Place, Target
from pressroom.engine.runs.verifying import CheckResult
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow
from tests.support.postgres import open_connection
from tests.support.world import World, make_world

MEMBERS = {"vera": "viewer", "ed": "editor", "ann": "approver", "olga": "owner"}
"""Members of the account demo. ``stella`` owns the account other, ``nobody`` has none, ``root`` administers
Airflow.
"""


class StandInPlane:
    """Airflow, as the routes see it. A caller is who the header X-User says; X-Cookie: by session cookie.

    ``error``: what the next calls raise; ``triggered``, ``cleared``, ``assets``, ``checked``, ``answered``:
    its calls; ``findings``: what every check finds, ``asked``: for
    which needs; ``living``: DAG runs that have
    not ended; ``asleep``: paused DAGs. ``targets``: by the ledger's names.
    """

    def __init__(self, store: Store) -> None:
        self.kept = store
        self.error: Exception | None = None
        self.triggered: list[tuple[str, str, Mapping[str, Any]]] = []
        self.cleared: list[tuple[str, str, list[str]]] = []
        self.assets: list[str] = []
        self.living: set[str] = set()
        self.asleep: set[str] = set()
        self.targets: dict[str, Target[Any]] = {}
        self.checked: list[tuple[str, str]] = []
        self.findings: list[CheckResult] = []
        self.asked: list[set[str] | None] = []
        self.answered: list[tuple[Mapping[str, Any], str, Mapping[str, Any]]] = []

    def store(self) -> Store:
        return self.kept

    def webhook_secret(self, access: Access, connection: str) -> str:
        raise ConfigurationError(f"the Airflow connection {connection!r} does not exist")

    async def login(self, request: Request) -> Login | None:
        name = request.headers.get("X-User")
        return Login(name, name == "root", "X-Cookie" in request.headers) if name else None

    async def trigger(
        self, dag_id: str, conf: Mapping[str, Any], *, note: str, dag_run_id: str | None = None
    ) -> str:
        self._fail()
        json.dumps(conf, allow_nan=False)
        name = dag_run_id or f"run-{len(self.triggered)}"
        if (dag_id, name) in [(dag, run) for dag, run, _ in self.triggered]:
            raise RunConflict("there is a run of that id")
        self.triggered.append((dag_id, name, conf))
        return name

    def alive(self, dag_id: str, dag_run_id: str) -> bool:
        return dag_run_id in self.living

    def paused(self, dag_id: str) -> bool:
        return dag_id in self.asleep

    async def clear(self, dag_id: str, dag_run_id: str, task_ids: Sequence[str]) -> int:
        self._fail()
        self.cleared.append((dag_id, dag_run_id, list(task_ids)))
        return len(task_ids)

    def check(
        self, row: WorkflowRow, parts: Sequence[str], only: Collection[str] | None = None
    ) -> list[CheckResult]:
        self._fail()
        self.checked += [(row.name, part) for part in parts]
        self.asked.append(None if only is None else set(only))
        return list(self.findings)

    async def target(self, access: Access, place: Place) -> AbstractAsyncContextManager[Target[Any]]:
        self._fail()
        if place.target_name not in self.targets:
            raise ConfigurationError(f"the Airflow connection {place.connection_id!r} does not exist")
        return nullcontext(self.targets[place.target_name])

    async def asset_event(self, uri: str) -> None:
        self._fail()
        self.assets.append(uri)

    def answers_as(self) -> str:
        return "pressroom"

    async def answer(self, task: Mapping[str, Any], option: str, fields: Mapping[str, Any]) -> None:
        self._fail()
        self.answered.append((task, option, fields))

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class Control:
    """The API, as somebody calls it. ``world``: the account demo with its site brew; ``other``: a stranger's
    account with a site of its own.
    """

    def __init__(self, client: httpx.AsyncClient, plane: StandInPlane, world: World, other: World) -> None:
        self.client, self.plane, self.world, self.other = client, plane, world, other

    async def __call__(
        self, method: str, path: str, *, user: str | None = "ed", expect: int | None = None, **more: Any
    ) -> httpx.Response:
        """Call as ``user``. ``expect``: the status, checked with the answer in sight."""
        headers = {**({"X-User": user} if user else {}), **more.pop("headers", {})}
        answer = await self.client.request(method, path, headers=headers, **more)
        if expect is not None:
            assert answer.status_code == expect, (answer.status_code, answer.text[:2000])
        return answer

    async def get(self, path: str, *, user: str | None = "vera", expect: int = 200, **params: Any) -> Any:
        """The body of a GET."""
        return (await self("GET", path, user=user, expect=expect, params=params)).json()

    def audit(self) -> list[tuple[Any, ...]]:
        """(actor, action, target) of everything on record, oldest first."""
        return self.world.sql("SELECT actor, action, target FROM audit_log ORDER BY id")


def two_accounts(url: str, store: Store) -> tuple[World, World]:
    """The accounts demo and other, each with a site and its members."""
    world = make_world(url, store)
    other = make_world(url, store, slug="elsewhere", owner="other")
    with open_connection(url) as connection:
        for name, role in MEMBERS.items():
            connection.execute("INSERT INTO members VALUES (%s, %s, %s)", [world.account_id, name, role])
        connection.execute("INSERT INTO members VALUES (%s, 'stella', 'owner')", [other.account_id])
    return world, other


@functools.cache
def _app() -> FastAPI:
    """Built once: with a hundred routes that takes a while."""
    nothing: Any = None
    return build_control_app(nothing)


@asynccontextmanager
async def control_world(url: str, store: Store, *, rate: str = "100000/minute") -> AsyncIterator[Control]:
    """Two accounts, and a client of the API. An error that nobody expected is raised in the test."""
    world, other = two_accounts(url, store)
    plane = StandInPlane(store)
    app = _app()
    app.state.plane, app.state.admission = plane, Admission(rate)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pressroom") as client:
        yield Control(client, plane, world, other)
