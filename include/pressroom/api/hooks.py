"""The only routes without a login: gate links, and webhooks that start a flow.

A link is its own permission: random, for one gate, good once, and only until the gate's time is over. A
webhook is signed with the secret of the flow's connection, over the time and the body.
"""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, Response

from pressroom.adapters.http.signing import verify
from pressroom.api.kit import problems
from pressroom.api.kit.bodies import BoundedBodies
from pressroom.api.kit.ports import Airflow
from pressroom.api.kit.problems import Problem, problem_of
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, TransientError
from pressroom.domain.flows import Flow
from pressroom.domain.outside import bounded_fields
from pressroom.domain.packets import TEXT_CHARS
from pressroom.engine import audit, gates
from pressroom.store.database import SYSTEM, Tx
from pressroom.store.workflows import workflow

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000
REMEMBERED_SECONDS = 24 * 3600.0
"""How long a message counts as received: a signature is good for minutes, a sender may repeat for hours."""

OPTIONS = {"approve": "Approve", "reject": "Reject"}
UNAVAILABLE = "this is not possible now: the server's log has the reason, for its operator"

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots"
content="noindex"><title>{title}</title>
<style>:root{{color-scheme:light dark}}button{{font:inherit;padding:.5em 1.4em;margin-right:.6em}}
body{{font:17px/1.6 system-ui,sans-serif;max-width:36em;margin:3em auto;padding:0
1.2em}}.note{{opacity:.75}}</style> <h1>{title}</h1>{body}</html>"""


def build_app(airflow: Airflow) -> FastAPI:
    """The app that the plugin mounts at /pressroom/hooks."""
    app = FastAPI(title="Pressroom hooks", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app, for_strangers)
    app.add_middleware(BoundedBodies, most=MOST_BYTES)

    @app.post("/gates/{gate_id}/{token}")
    async def answer_gate(gate_id: int, token: str, request: Request) -> Response:
        """Open a gate: ``{"decision": "approve" | "reject", ...}``; what else is in the body goes with it."""
        body = _object(await request.body())
        decision = _decision(body.pop("decision", None))
        await airflow.store().run(SYSTEM, _answer_gate, gate_id, token, decision, body)
        return JSONResponse({"gate": gate_id, "outcome": decision})

    @app.get("/approvals/{gate_id}/{token}")
    async def ask(gate_id: int, token: str, decision: Literal["approve", "reject"] = "approve") -> Response:
        """The page behind an approval's link. It does not decide, because programs also fetch links."""
        return await _shown(lambda: _ask(airflow, gate_id, token, decision))

    @app.post("/approvals/{gate_id}/{token}")
    async def decide(gate_id: int, token: str, request: Request) -> Response:
        """Approve or reject."""
        form = await request.body()
        return await _shown(lambda: _decide(airflow, gate_id, token, form))

    @app.post("/flows/{slug}")
    async def start_flow(slug: str, request: Request) -> Response:
        """Start a run of a flow with the body as its item."""
        return await _start_flow(airflow, slug, request)

    return app


def for_strangers(error: PressroomError) -> Problem:
    """The answer to an error for a caller without a login. A set-up error goes to the log only."""
    if isinstance(error, ConfigurationError | TransientError):
        log.error("%s", error)
        return Problem(503 if isinstance(error, TransientError) else 500, UNAVAILABLE)
    return problem_of(error)


# Gates ------------------------------------------------------------------------------------------------


def _answer_gate(tx: Tx, gate_id: int, token: str, decision: str, body: dict[str, Any]) -> None:
    account, gate, _ = _open_gate(tx, gate_id, token, "webhook")
    gates.answer(tx.for_account(account), gate.id, decision, "a webhook", body, actor="webhook")


def _open_gate(tx: Tx, gate_id: int, token: str, by: str) -> tuple[int, gates.Gate, str]:
    """The account, the gate and its item's title. Raises NoSuchGate for a gate that is opened another way."""
    account, gate, title = gates.find_by_link(tx, gate_id, token)
    if gate.by != by:
        raise gates.NoSuchGate("no open gate has this link")
    return account, gate, title


async def _ask(airflow: Airflow, gate_id: int, token: str, decision: str) -> str:
    _, gate, title = await airflow.store().run(SYSTEM, _open_gate, gate_id, token, "approval")
    buttons = "".join(
        f'<button name="decision" value="{value}"{" autofocus" if value == decision else ""}>{label}</button>'
        for value, label in OPTIONS.items()
    )
    return (
        f"<p><strong>{html.escape(gate.subject)}</strong></p><p>{html.escape(title)}</p>"
        f'<form method="post">{buttons}</form>'
        f'<p class="note">This link works once, until {gate.due_at:%Y-%m-%d %H:%M} UTC.</p>'
    )


async def _decide(airflow: Airflow, gate_id: int, token: str, form: bytes) -> str:
    fields = parse_qs(form.decode("utf-8", "replace"), max_num_fields=10)
    decision = _decision(*fields.get("decision", [""])[:1])
    account, gate, title = await airflow.store().run(SYSTEM, _open_gate, gate_id, token, "approval")
    await airflow.answer(gate.task, OPTIONS[decision], {"text": ""})
    await airflow.store().run(account, gates.handed_over, gate.id, "link", decision, edited=False)
    outcome = {"approve": "approved", "reject": "rejected"}[decision]
    return f"<p>{html.escape(title or gate.subject)} is {outcome}. You can close this page.</p>"


def _decision(value: object) -> str:
    if not isinstance(value, str) or value not in gates.DECISIONS:
        raise PermanentError(f"decision: must be {' or '.join(gates.DECISIONS)}")
    return value


async def _shown(work: Callable[[], Awaitable[str]]) -> Response:
    """The page that ``work`` returns, or a page with its error."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
    try:
        status, body = 200, await work()
    except PressroomError as error:
        problem = for_strangers(error)
        status, body = problem.status, f"<p>{html.escape(problem.detail)}</p>"
    return HTMLResponse(_PAGE.format(title="Review", body=body), status, headers=headers)


# Webhooks that start a flow ---------------------------------------------------------------------------


async def _start_flow(airflow: Airflow, slug: str, request: Request) -> Response:
    body, store = await request.body(), airflow.store()
    flow, account = await store.run(SYSTEM, _webhook_flow, slug)
    secret = await run_in_threadpool(airflow.secret, str(flow.trigger.webhook))
    message = verify(request.headers, body, secret)
    if message is None:
        raise Problem(401, "the signature is missing, wrong, or too old")
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
    await store.run(account, audit.note, "webhook", "job.start", f"flow/{slug}", dag_run_id=run)
    return JSONResponse({"flow": slug, "run": run}, 202)


def _first_time(tx: Tx, flow_message: str) -> bool:
    tx.run("webhook_calls_forget", seconds=REMEMBERED_SECONDS)
    return tx.run("webhook_call", flow_message=flow_message) == 1


def _webhook_flow(tx: Tx, slug: str) -> tuple[Flow, int]:
    """The flow that webhooks may start, and its account. Raises NoSuchGate, whether or not it exists."""
    nothing = gates.NoSuchGate("there is no webhook here")
    try:
        row = workflow(tx, f"flow/{slug}")
    except (ConfigurationError, TransientError):
        raise
    except PermanentError:
        raise nothing from None
    flow = row.run().flow
    if flow.trigger.webhook is None or flow.status != "active":
        raise nothing
    return flow, row.account_id


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
