"""Calls to Airflow's own API in its process: what is asked, and what its answers mean."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.connection import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pressroom.domain.errors import ConfigurationError, PermanentError, RunConflict, TransientError
from pressroom.orchestration.server import airflow as in_process
from pressroom.orchestration.server import login as api_login
from pressroom.orchestration.server import respondents
from pressroom.orchestration.server.airflow import InProcessAirflow

TASK = {"dag_id": "flow__news", "run_id": "manual__2026-11-22T00:00:00+00:00", "task_id": "item.look",
        "map_index": 2}  # fmt: skip
RUN = "/api/v2/dags/flow__news/dagRuns"


class Server:
    """Airflow's app. ``answers``: what it says, one after another, the last one again and again."""

    def __init__(self, *answers: Response | Exception | Mapping[str, Any]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str, Any]] = []
        self.tokens: set[str] = set()
        self.respondents: list[Mapping[str, Any]] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "PATCH"])])

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        self.calls.append((request.method, request.url.path, json.loads(body) if body else None))
        self.tokens.add(request.headers["Authorization"])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Response) else JSONResponse(answer)


def said(status: int, detail: Any = "why") -> JSONResponse:
    return JSONResponse({"detail": detail}, status)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Server]:
    """Take the place of Airflow's app, and of the token."""

    def take(*answers: Any) -> Server:
        server = Server(*answers)
        monkeypatch.setattr(in_process, "cached_app", lambda apps: {"all": server.app}[apps])
        monkeypatch.setattr(api_login, "service_token", lambda: "t")
        monkeypatch.setattr(respondents, "let_pressroom_answer", server.respondents.append)
        monkeypatch.setattr(in_process, "PAUSES", (0.0, 0.0))
        return server

    return take


def test_trigger(serve: Callable[..., Server]) -> None:
    server = serve({"dag_run_id": "r1"})
    airflow = InProcessAirflow()
    assert asyncio.run(airflow.trigger("flow__news", {"item": 1}, note="why")) == "r1"
    asyncio.run(airflow.trigger("flow__news", {}, note="", dag_run_id="api__1"))
    assert server.calls == [
        ("POST", RUN, {"logical_date": None, "conf": {"item": 1}, "note": "why"}),
        ("POST", RUN, {"logical_date": None, "conf": {}, "note": "", "dag_run_id": "api__1"}),
    ]
    assert server.tokens == {"Bearer t"}


def test_answer(serve: Callable[..., Server]) -> None:
    server = serve({})
    asyncio.run(InProcessAirflow().answer(TASK, "Approve", {"text": "better"}))
    path = f"{RUN}/{TASK['run_id']}/taskInstances/item.look/2/hitlDetails"
    assert server.calls == [
        ("PATCH", path, {"chosen_options": ["Approve"], "params_input": {"text": "better"}})
    ]
    assert server.respondents == [TASK]


def test_clear(serve: Callable[..., Server]) -> None:
    server = serve({"total_entries": 5})
    assert asyncio.run(InProcessAirflow().clear("mission__m", "r", ["content.plan"])) == 5
    [(method, path, body)] = server.calls
    assert (method, path) == ("POST", "/api/v2/dags/mission__m/clearTaskInstances")
    # By default, Airflow clears nothing, and what has failed at that.
    assert body == {
        "dry_run": False, "only_failed": False, "dag_run_id": "r", "task_ids": ["content.plan"],
        "include_downstream": True, "reset_dag_runs": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    "trouble", [said(500), said(409), RuntimeError("the row was changed")], ids=["500", "409", "bug"]
)
def test_clear_tries_again_when_the_scheduler_changes_the_same_rows(
    serve: Callable[..., Server], trouble: Any
) -> None:
    server = serve(trouble, trouble, {"total_entries": 5})
    assert asyncio.run(InProcessAirflow().clear("mission__m", "r", ["rollback"])) == 5
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("answer", "error", "calls"),
    [(said(500), TransientError, 3), (said(409), RunConflict, 3), (said(404), PermanentError, 1)],
)
def test_clear_gives_up_in_the_end(
    serve: Callable[..., Server], answer: Response, error: type[Exception], calls: int
) -> None:
    server = serve(answer)
    with pytest.raises(error):
        asyncio.run(InProcessAirflow().clear("mission__m", "r", ["rollback"]))
    assert len(server.calls) == calls


def test_an_asset_event_is_for_the_asset_of_that_very_uri(serve: Callable[..., Server]) -> None:
    uri = "pressroom://site/a/approved"
    server = serve({"assets": [{"id": 7, "uri": f"{uri}-not"}, {"id": 9, "uri": uri}]}, {})
    asyncio.run(InProcessAirflow().asset_event(uri))
    assert server.calls == [
        ("GET", "/api/v2/assets", None),
        ("POST", "/api/v2/assets/events", {"asset_id": 9, "extra": {}}),
    ]
    serve({"assets": [{"id": 7, "uri": f"{uri}-not"}]})
    with pytest.raises(PermanentError, match=f"knows no asset {uri}"):
        asyncio.run(InProcessAirflow().asset_event(uri))


def trigger(airflow: InProcessAirflow) -> Any:
    return airflow.trigger("d", {}, note="", dag_run_id="r")


def answer_gate(airflow: InProcessAirflow) -> Any:
    return airflow.answer(TASK, "Approve", {})


@pytest.mark.parametrize(
    ("call", "answer", "error", "text"),
    [
        (trigger, said(409), RunConflict, "^d already has a run r$"),
        (answer_gate, said(409), RunConflict, "^this was answered already$"),
        (trigger, said(404, "Dag not found"), PermanentError, "^Airflow refuses POST .*: Dag not found$"),
        (trigger, Response("no JSON", 400), PermanentError, "^Airflow refuses POST dags/d/dagRuns: 400$"),
        (trigger, said(403), ConfigurationError, "^Airflow's user 'pressroom' may not POST .*: give it"),
        (trigger, said(401), ConfigurationError, "^Airflow's user 'pressroom' may not"),
        (trigger, said(503), TransientError, "^Airflow answers 503 to POST dags/d/dagRuns$"),
        (trigger, RuntimeError("bug"), TransientError, "^Airflow answers 500"),
    ],
)
def test_what_the_answers_mean(
    serve: Callable[..., Server], call: Any, answer: Any, error: type[Exception], text: str
) -> None:
    serve(answer)
    with pytest.raises(error, match=text):
        asyncio.run(call(InProcessAirflow()))


# The database ---------------------------------------------------------------------------------------------

FIELDS = {"conn_type": "postgres", "port": 5432, "login": "p", "password": "p", "schema": "p",
          "extra_dejson": {}}  # fmt: skip


def test_the_connection_to_the_database_is_looked_up_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PRESSROOM_DATABASE_URL", raising=False)
    now, hosts = [0.0], ["one", "two"]
    monkeypatch.setattr(in_process, "time", SimpleNamespace(monotonic=lambda: now[0]))
    in_process._store_in.cache_clear()

    monkeypatch.setattr(
        Connection, "get_connection_from_secrets", lambda _: SimpleNamespace(**FIELDS, host=hosts.pop(0))
    )
    airflow = InProcessAirflow()
    first = airflow.store()
    assert airflow.store() is first
    now[0] = 2 * in_process.LOOK_AGAIN_SECONDS
    assert airflow.store() is not first
    assert hosts == []


def test_a_connection_that_was_missing_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRESSROOM_DATABASE_URL", raising=False)
    in_process._store_in.cache_clear()

    def missing(_: str) -> Connection:
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "get_connection_from_secrets", missing)
        with pytest.raises(ConfigurationError, match="'pressroom_db' does not exist"):
            in_process.store()
    found = SimpleNamespace(**FIELDS, host="h")
    monkeypatch.setattr(Connection, "get_connection_from_secrets", lambda _: found)
    assert in_process.store() is in_process.store()
    in_process._store_in.cache_clear()
