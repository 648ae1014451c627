"""The only routes without a login: gate links, and webhooks that start a flow.

A link is its own permission: random, for one gate, good once, and only until the gate's time is over. Its
secret is in no path: it comes in a header or a form. A webhook is signed with the secret of the flow's
connection, over the time and the body.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from typing import Any, Literal, NoReturn

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pressroom.adapters.http.signing import check_secret, verify
from pressroom.api.approval_pages import ApprovalForm, outcome, question, secret_wanted, shown
from pressroom.api.kit import problems
from pressroom.api.kit.answering import answer_through_airflow
from pressroom.api.kit.bodies import BoundedBodies
from pressroom.api.kit.callers import bearer_of
from pressroom.api.kit.headers import SafeHeaders
from pressroom.api.kit.limits.admission import HOOKS
from pressroom.api.kit.limits.in_flight import InFlight
from pressroom.api.kit.limits.rates import RATE_OF_FAILURES, RATE_VARIABLE, USUAL_RATE, Rates, address_of
from pressroom.api.kit.ports import Airflow
from pressroom.api.kit.problems import Problem, problem_of
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, TransientError
from pressroom.domain.outside import bounded_fields
from pressroom.domain.packets import TEXT_CHARS
from pressroom.engine import audit, gates
from pressroom.store.database import SYSTEM, Tx
from pressroom.store.workflows import WorkflowRow, all_workflows, log_unreadable

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000
REMEMBERED_SECONDS = 24 * 3600.0
"""How long a message counts as received: a signature is good for minutes, a sender may repeat for hours."""

Decision = Literal["approve", "reject"]
UNAVAILABLE = "this is not possible now: the server's log has the reason, for its operator"


def build_app(airflow: Airflow) -> FastAPI:
    """The app that the plugin mounts at /pressroom/hooks."""
    app = FastAPI(title="Pressroom hooks", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app, for_strangers)
    app.add_middleware(InFlight, places=HOOKS)
    app.add_middleware(BoundedBodies, most=MOST_BYTES)
    app.add_middleware(KnownAddresses)
    app.add_middleware(SafeHeaders)

    @app.post("/gates/{gate_id}")
    async def answer_gate(gate_id: int, request: Request) -> Response:
        """Open a gate: ``{"decision": "approve" | "reject", ...}``; what else is in the body goes with it.

        The gate's secret is sent as ``Authorization: Bearer``.
        """
        return await _answered(airflow, gate_id, bearer_of(request), request)

    @app.post("/gates/{gate_id}/{token}", deprecated=True)
    async def answer_gate_by_path(gate_id: int, token: str, request: Request) -> Response:
        """The same, for links from before secrets left the paths. They end with their gates."""
        return await _answered(airflow, gate_id, token, request)

    @app.get("/approvals/{gate_id}")
    async def open_link(gate_id: int, decision: Decision = "approve") -> Response:
        """The page that an approval's link opens: it has the browser send what is behind the ``#``."""
        return await shown(lambda: _secret_wanted(decision), for_strangers)

    @app.post("/approvals/{gate_id}")
    async def decide(gate_id: int, request: Request) -> Response:
        """Show what is asked; with a ``decision``: approve or reject."""
        body = await request.body()
        return await shown(lambda: _ask_or_decide(airflow, gate_id, body), for_strangers)

    @app.get("/approvals/{gate_id}/{token}", deprecated=True)
    async def ask_by_path(gate_id: int, token: str, decision: Decision = "approve") -> Response:
        """The page behind a link from before. It does not decide, because programs also fetch links."""
        return await shown(lambda: _ask(airflow, gate_id, token, decision), for_strangers)

    @app.post("/approvals/{gate_id}/{token}", deprecated=True)
    async def decide_by_path(gate_id: int, token: str, request: Request) -> Response:
        """Approve or reject by a link from before."""
        body = await request.body()
        return await shown(lambda: _decide(airflow, gate_id, token, ApprovalForm(body)), for_strangers)

    @app.post("/flows/{account}/{slug}")
    async def start_flow(account: str, slug: str, request: Request) -> Response:
        """Start a run of an account's flow with the body as its item."""
        return await _start_flow(airflow, slug, request, account)

    @app.post("/flows/{slug}")
    async def start_flow_of_any(slug: str, request: Request) -> Response:
        """The same, at the address that flows had before it named their account."""
        return await _start_flow(airflow, slug, request)

    return app


class KnownAddresses:
    """Limits what comes from one address: all of its calls, and those that had no right more strictly."""

    def __init__(self, app: ASGIApp, rate: str | None = None) -> None:
        self.app = app
        self._calls = Rates(rate or os.environ.get(RATE_VARIABLE) or USUAL_RATE, RATE_VARIABLE)
        self._failures = Rates(RATE_OF_FAILURES, "RATE_OF_FAILURES")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        address = address_of(Request(scope))
        try:
            self._failures.check(address)
            self._calls.count(address)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return

        async def watching(part: Message) -> None:
            if part["type"] == "http.response.start" and part["status"] in (401, 403, 404):
                self._failures.add(address, 1)
            await send(part)

        await self.app(scope, receive, watching)


def for_strangers(error: PressroomError) -> Problem:
    """The answer to an error for a caller without a login. A set-up error goes to the log only."""
    if isinstance(error, ConfigurationError | TransientError):
        log.error("%s", error)
        return Problem(503 if isinstance(error, TransientError) else 500, UNAVAILABLE)
    return problem_of(error)


# Gates ------------------------------------------------------------------------------------------------


async def _answered(airflow: Airflow, gate_id: int, token: str, request: Request) -> Response:
    body = _object(await request.body())
    decision = _decision(body.pop("decision", None))
    await airflow.store().run(SYSTEM, _answer_gate, gate_id, token, decision, body)
    return JSONResponse({"gate": gate_id, "outcome": decision})


def _answer_gate(tx: Tx, gate_id: int, token: str, decision: str, body: dict[str, Any]) -> None:
    account, gate, _ = _open_gate(tx, gate_id, token, "webhook")
    gates.answer(tx.for_account(account), gate.id, decision, "a webhook", body, actor="webhook")


def _open_gate(tx: Tx, gate_id: int, token: str, by: str) -> tuple[int, gates.Gate, str]:
    """The account, the gate and its item's title. Raises NoSuchGate for a gate that is opened another way."""
    account, gate, title = gates.find_by_link(tx, gate_id, token)
    if gate.by != by:
        raise gates.NoSuchGate("no open gate has this link")
    return account, gate, title


async def _secret_wanted(prefer: str) -> str:
    return secret_wanted(prefer)


async def _ask_or_decide(airflow: Airflow, gate_id: int, body: bytes) -> str:
    form = ApprovalForm(body)
    if form.decision:
        return await _decide(airflow, gate_id, form.token, form)
    return await _ask(airflow, gate_id, form.token, form.prefer, sent=True)


async def _ask(airflow: Airflow, gate_id: int, token: str, prefer: str, *, sent: bool = False) -> str:
    """``sent``: the secret is not in the path, so that the form has to send it again."""
    _, gate, title = await airflow.store().run(SYSTEM, _open_gate, gate_id, token, "approval")
    return question(gate, title, prefer, token if sent else "")


async def _decide(airflow: Airflow, gate_id: int, token: str, form: ApprovalForm) -> str:
    decision = _decision(form.decision)
    account, gate, title = await airflow.store().run(SYSTEM, _open_gate, gate_id, token, "approval")
    await answer_through_airflow(airflow, account, gate.task, gates.Handed(gate.id, "link", decision, ""))
    return outcome(title or gate.subject, decision)


def _decision(value: object) -> str:
    if not isinstance(value, str) or value not in gates.DECISIONS:
        raise PermanentError(f"decision: must be {' or '.join(gates.DECISIONS)}")
    return value


# Webhooks that start a flow ---------------------------------------------------------------------------


async def _start_flow(airflow: Airflow, slug: str, request: Request, owner: str | None = None) -> Response:
    body, store = await request.body(), airflow.store()
    row = await store.run(SYSTEM, _webhook_flow, slug, owner)
    secret = await run_in_threadpool(_secret_of, airflow, row)
    message = verify(request.headers, body, secret)
    if row is None or message is None:
        raise Problem(401, "the signature is missing, wrong, or too old")
    flow, account = row.run().flow, row.account_id
    flow_message = f"{slug} {message}"  # a sender may send one message to several flows
    item = bounded_fields(_object(body), TEXT_CHARS)
    if not await store.run(account, _first_time, flow_message):
        raise Problem(409, "this call was received before, and is not repeated")
    try:
        run = await airflow.trigger(flow.dag_id, {"item": item}, note="started by a webhook")
    except PressroomError:
        # No run started, so the same call must not be refused as a repetition.
        await store.run(account, Tx.run, "webhook_call_forget", flow_message=flow_message)
        raise
    await store.run(account, _started, slug, run)
    return JSONResponse({"flow": slug, "run": run}, 202)


def _started(tx: Tx, slug: str, run: str) -> None:
    audit.note(tx, "webhook", "job.start", f"flow/{slug}", before=None, after="queued", dag_run_id=run)


def _first_time(tx: Tx, flow_message: str) -> bool:
    tx.run("webhook_calls_forget", seconds=REMEMBERED_SECONDS)
    return tx.run("webhook_call", flow_message=flow_message) == 1


def _webhook_flow(tx: Tx, slug: str, owner: str | None) -> WorkflowRow | None:
    """The flow that webhooks may start. ``owner``: its account, if the address names one."""
    for row in all_workflows(tx, "flow", slug, report=log_unreadable):
        flow = row.run().flow
        if owner in (None, flow.account) and flow.trigger.webhook and flow.status == "active":
            return row
    return None


def _secret_of(airflow: Airflow, row: WorkflowRow | None) -> str:
    """What a call has to be signed with: a secret that nobody knows where there is no flow, or its connection
    is missing, another account's or of another type. So a stranger gets one answer to all of that.
    """
    if row is not None:
        try:
            secret = airflow.webhook_secret(row.access, str(row.run().flow.trigger.webhook))
            check_secret(secret)
        except ConfigurationError as error:
            log.error("the webhook of %s cannot be checked: %s", row.name, error)  # noqa: TRY400  # it says it all
        else:
            return secret
    return secrets.token_hex(32)


def _object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty one. Raises PermanentError."""
    try:
        data = json.loads(body or b"{}", parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise PermanentError("the body is not JSON") from None
    if not isinstance(data, dict):
        raise PermanentError("the body is not an object")
    return data


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
