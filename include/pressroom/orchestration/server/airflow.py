"""The API's way to Airflow: in this API server's process, for callers whose right was checked."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
from airflow.api_fastapi.app import cached_app
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import State
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select
from starlette.requests import Request
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_chain, wait_fixed

from pressroom.adapters.airflow_api import ROWS, answer_path, clearing, explanation, part
from pressroom.adapters.http.errors import Refusal, retry_after, row_of
from pressroom.adapters.targets.registry import open_target
from pressroom.api.kit.limits.admission import CONNECTIONS
from pressroom.api.kit.ports import Login
from pressroom.domain.errors import ConfigurationError, PermanentError, RunConflict, TransientError
from pressroom.domain.grants.access import Access
from pressroom.domain.publishing import Place, Target
from pressroom.engine.runs.verifying import CheckResult
from pressroom.orchestration.server import login as api_login
from pressroom.orchestration.server import respondents
from pressroom.orchestration.server.connections import OF_SERVER
from pressroom.orchestration.tools.connections import store_at
from pressroom.orchestration.tools.probe import models_of, verified
from pressroom.pipelines.registry import pipeline_of
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow

LOOK_AGAIN_SECONDS = 60.0
"""How soon a corrected connection is used, without a restart of the server."""

_one_at_a_time = threading.Lock()

PAUSES = (0.2, 0.5, 1.0, 2.0)
"""Seconds between the tries of a call that can conflict with the scheduler."""


def store() -> Store:
    """The store behind the connection ``pressroom_db``. Every request needs it, so the connection is read
    only once in a while. Raises ConfigurationError.
    """
    with _one_at_a_time:
        return _store_in(int(time.monotonic() // LOOK_AGAIN_SECONDS))


@functools.lru_cache(maxsize=1)
def _store_in(_period: int) -> Store:
    return store_at(OF_SERVER.database_url(), max_size=CONNECTIONS)


class InProcessAirflow:
    """The ``Airflow`` and ``ControlPlane`` of the API server."""

    def store(self) -> Store:
        return store()

    def webhook_secret(self, access: Access, connection: str) -> str:
        return OF_SERVER.of(access).webhook_secret(connection)

    async def login(self, request: Request) -> Login | None:
        return await api_login.login(request)

    async def trigger(
        self, dag_id: str, conf: Mapping[str, Any], *, note: str, dag_run_id: str | None = None
    ) -> str:
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf), "note": note}
        if dag_run_id is not None:
            body["dag_run_id"] = dag_run_id
        conflict = f"{dag_id} already has a run {dag_run_id}"
        answer = await _call("POST", f"dags/{part(dag_id)}/dagRuns", body, conflict=conflict)
        return str(answer["dag_run_id"])

    def answers_as(self) -> str:
        return api_login.service_name()

    async def answer(self, task: Mapping[str, Any], option: str, fields: Mapping[str, Any]) -> None:
        await run_in_threadpool(respondents.let_pressroom_answer, task)
        body = {"chosen_options": [option], "params_input": dict(fields)}
        await _call("PATCH", answer_path(task), body, conflict="this was answered already")

    def check(
        self, row: WorkflowRow, parts: Sequence[str], only: Collection[str] | None = None
    ) -> list[CheckResult]:
        """Ask this server's connections. See ControlPlane."""
        pipelines = [pipeline_of(row.workflow, part) for part in parts]
        found = verified(self.store(), row.run(), pipelines, OF_SERVER, only)
        models = models_of(self.store(), row.run(), pipelines, OF_SERVER)
        return [*found, *(each for each in models if only is None or each.where in only)]

    def alive(self, dag_id: str, dag_run_id: str) -> bool:
        with create_session() as session:
            states = select(DagRun.state).where(DagRun.dag_id == dag_id, DagRun.run_id == dag_run_id)
            return session.scalar(states) in State.unfinished_dr_states

    def paused(self, dag_id: str) -> bool:
        with create_session() as session:
            return bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id)))

    async def clear(self, dag_id: str, dag_run_id: str, task_ids: Sequence[str]) -> int:
        body = clearing(dag_run_id, task_ids)
        path = f"dags/{part(dag_id)}/clearTaskInstances"
        conflict = f"Airflow is changing {dag_run_id}: try again in a moment"
        # The scheduler may change the same rows.
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((TransientError, RunConflict)),
            wait=wait_chain(*map(wait_fixed, PAUSES)),
            stop=stop_after_attempt(len(PAUSES) + 1),
            reraise=True,
        )
        answer: dict[str, Any] = await retrying(_call, "POST", path, body, conflict=conflict)
        return int(answer["total_entries"])

    async def target(self, access: Access, place: Place) -> AbstractAsyncContextManager[Target[Any]]:
        """Open the target with this server's connections. See ControlPlane."""
        fields = await run_in_threadpool(OF_SERVER.of(access).fields, place.connection_id)
        opened: AbstractAsyncContextManager[Target[Any]] = await run_in_threadpool(
            open_target, place.to, place.connection_id, fields
        )
        return opened

    async def asset_event(self, uri: str) -> None:
        page = await _call("GET", f"assets?limit=100&uri_pattern={part(uri)}")
        ids = [asset["id"] for asset in page["assets"] if asset["uri"] == uri]
        if not ids:
            raise PermanentError(f"Airflow knows no asset {uri}")
        await _call("POST", "assets/events", {"asset_id": ids[0], "extra": {}})


async def _call(
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    conflict: str = "Airflow is changing the same row: try again in a moment",
) -> dict[str, Any]:
    """Airflow's answer. ``conflict``: what its 409 means here."""
    token = await run_in_threadpool(api_login.service_token)
    # The same argument as the server's own call: another one would build a second app.
    app = cached_app(apps=os.environ.get("AIRFLOW_API_APPS", "all"))
    # An error in the app is an answer with the status 500, as it would be over the network.
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await client.request(method, f"/api/v2/{path}", json=body, headers=headers)
    if answer.is_success:
        content: dict[str, Any] = answer.json()
        return content
    call = f"{method} {path}"
    kind = row_of(Refusal(answer.status_code), ROWS).kind
    if kind is RunConflict:
        raise RunConflict(conflict)
    if issubclass(kind, TransientError):
        raise kind(f"Airflow answers {answer.status_code} to {call}", retry_after=retry_after(answer.headers))
    if kind is ConfigurationError:
        name = os.environ.get(api_login.SERVICE_USER, "pressroom")
        raise ConfigurationError(f"Airflow's user {name!r} may not {call}: give it the role User")
    raise kind(f"Airflow refuses {call}: {explanation(answer) or answer.status_code}")
