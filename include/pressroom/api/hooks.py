"""The only routes without a login: gate links, and webhooks that start a flow.

A link is its own permission: random, for one gate, good once, and only until the gate's time is over. A
webhook is signed with the secret of the flow's connection, over the time and the body.
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from pressroom.adapters.http.signing import verify
from pressroom.api.kit.ports import Airflow
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    RunConflict,
    TransientError,
)
from pressroom.domain.flows import Flow
from pressroom.domain.outside import bounded_fields
from pressroom.domain.packets import TEXT_CHARS
from pressroom.engine import gates
from pressroom.store.workflows import workflow

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000
REMEMBERED_SECONDS = 24 * 3600.0
"""How long a message counts as received: a signature is good for minutes, a sender may repeat for hours."""

OPTIONS = {"approve": "Approve", "reject": "Reject"}

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots"
content="noindex"><title>{title}</title>
<style>:root{{color-scheme:light dark}}button{{font:inherit;padding:.5em 1.4em;margin-right:.6em}}
body{{font:17px/1.6 system-ui,sans-serif;max-width:36em;margin:3em auto;padding:0
1.2em}}.note{{opacity:.75}}</style> <h1>{title}</h1>{body}</html>"""


class TooLarge(PermanentError):
    """The body is larger than is taken."""


def build_app(airflow: Airflow) -> FastAPI:
    """The app that the plugin mounts at /pressroom/hooks."""
    app = FastAPI(title="Pressroom hooks", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/gates/{gate_id}/{token}")
    async def answer_gate(gate_id: int, token: str, request: Request) -> Response:
        """Open a gate: ``{"decision": "approve" | "reject", ...}``; what else is in the body goes with it."""
        return await _guarded(lambda: _answer_gate(airflow, gate_id, token, request))

    @app.get("/approvals/{gate_id}/{token}")
    async def ask(gate_id: int, token: str, decision: Literal["approve", "reject"] = "approve") -> Response:
        """The page behind an approval's link. It decides nothing: programs fetch links, too."""
        return await _shown(lambda: _ask(airflow, gate_id, token, decision))

    @app.post("/approvals/{gate_id}/{token}")
    async def decide(gate_id: int, token: str, request: Request) -> Response:
        """Approve or reject."""
        return await _shown(lambda: _decide(airflow, gate_id, token, request))

    @app.post("/flows/{slug}")
    async def start_flow(slug: str, request: Request) -> Response:
        """Start a run of a flow with the body as its item."""
        return await _guarded(lambda: _start_flow(airflow, slug, request))

    return app


# Gates ------------------------------------------------------------------------------------------------


async def _answer_gate(airflow: Airflow, gate_id: int, token: str, request: Request) -> Response:
    body = await _json(request)
    decision = _decision(body.pop("decision", None))

    def record() -> None:
        with airflow.store().transaction() as tx:
            account, gate, _ = gates.find_by_link(tx, gate_id, token)
            if gate.by != "webhook":
                raise gates.NoSuchGate("this link leads to no open gate")
            gates.answer(tx.for_account(account), gate.id, decision, "a webhook", body)

    await asyncio.to_thread(record)
    return JSONResponse({"gate": gate_id, "outcome": decision})


async def _find_approval(airflow: Airflow, gate_id: int, token: str) -> tuple[gates.Gate, str]:
    def look() -> tuple[gates.Gate, str]:
        with airflow.store().transaction() as tx:
            _, gate, title = gates.find_by_link(tx, gate_id, token)
        if gate.by != "approval":
            raise gates.NoSuchGate("this link leads to no open gate")
        return gate, title

    return await asyncio.to_thread(look)


async def _ask(airflow: Airflow, gate_id: int, token: str, decision: str) -> str:
    gate, title = await _find_approval(airflow, gate_id, token)
    buttons = "".join(
        f'<button name="decision" value="{value}"{" autofocus" if value == decision else ""}>{label}</button>'
        for value, label in OPTIONS.items()
    )
    return (
        f"<p><strong>{html.escape(gate.subject)}</strong></p><p>{html.escape(title)}</p>"
        f'<form method="post">{buttons}</form>'
        f'<p class="note">This link works once, until {gate.due_at:%Y-%m-%d %H:%M} UTC.</p>'
    )


async def _decide(airflow: Airflow, gate_id: int, token: str, request: Request) -> str:
    form = parse_qs((await _body(request)).decode("utf-8", "replace"), max_num_fields=10)
    decision = _decision(*form.get("decision", [""])[:1])
    gate, title = await _find_approval(airflow, gate_id, token)
    await airflow.answer(gate.task, OPTIONS[decision], {"text": ""})
    done = {"approve": "approved", "reject": "rejected"}[decision]
    return f"<p>{html.escape(title or gate.subject)} is {done}. You can close this page.</p>"


def _decision(given: object) -> str:
    if not isinstance(given, str) or given not in gates.DECISIONS:
        raise PermanentError(f"decision: must be {' or '.join(gates.DECISIONS)}")
    return given


# Webhooks that start a flow ---------------------------------------------------------------------------


async def _start_flow(airflow: Airflow, slug: str, request: Request) -> Response:
    body = await _body(request)
    flow, account = await asyncio.to_thread(_webhook_flow, airflow, slug)
    secret = await asyncio.to_thread(airflow.secret, str(flow.trigger.webhook))
    message = verify(request.headers, body, secret)
    if message is None:
        return _problem(401, "the signature is missing, wrong, or too old")
    # A sender may send one message to several flows.
    call = f"{slug} {message}"
    item = bounded_fields(_object(body), TEXT_CHARS)

    def first_time() -> bool:
        with airflow.store().transaction(account) as tx:
            tx.run("webhook_calls_forget", seconds=REMEMBERED_SECONDS)
            return tx.run("webhook_call", signature=call) == 1

    if not await asyncio.to_thread(first_time):
        return _problem(409, "this call was received already")
    try:
        run = await airflow.trigger(flow.dag_id, {"item": item}, note="started by a webhook")
    except PressroomError:
        # Nothing came of it, so whoever sends it again must not be told that it was received.
        await asyncio.to_thread(_forget, airflow, account, call)
        raise
    return JSONResponse({"flow": slug, "run": run}, 202)


def _forget(airflow: Airflow, account: int, signature: str) -> None:
    with airflow.store().transaction(account) as tx:
        tx.run("webhook_call_forget", signature=signature)


def _webhook_flow(airflow: Airflow, slug: str) -> tuple[Flow, int]:
    """The flow that webhooks may start. Raises NoSuchGate, the same whether or not there is such a flow."""
    nothing = gates.NoSuchGate("there is no webhook here")
    try:
        with airflow.store().transaction() as tx:
            row = workflow(tx, f"flow/{slug}")
    except (ConfigurationError, TransientError):
        raise
    except PermanentError:
        raise nothing from None
    flow = row.workflow
    if not isinstance(flow, Flow) or flow.trigger.webhook is None or flow.status != "active":
        raise nothing
    return flow, row.account_id


# What all have in common ------------------------------------------------------------------------------


async def _body(request: Request) -> bytes:
    """At most MOST_BYTES, however they come. Raises TooLarge."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise TooLarge(f"the body is larger than {MOST_BYTES} bytes")
    return data


async def _json(request: Request) -> dict[str, Any]:
    return _object(await _body(request))


def _object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; none is an empty one. Raises PermanentError."""
    try:
        found = json.loads(body or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise PermanentError("the body is not JSON") from None
    if not isinstance(found, dict):
        raise PermanentError("the body is not an object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


async def _guarded(work: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await work()
    except PressroomError as error:
        return _problem(_status(error), _said(error))


async def _shown(work: Callable[[], Awaitable[str]]) -> Response:
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
    try:
        return HTMLResponse(_PAGE.format(title="Review", body=await work()), headers=headers)
    except PressroomError as error:
        body = f"<p>{html.escape(_said(error))}</p>"
        return HTMLResponse(_PAGE.format(title="Review", body=body), _status(error), headers=headers)


def _status(error: PressroomError) -> int:
    match error:
        case gates.NoSuchGate():
            return 404
        case RunConflict():
            return 409
        case TooLarge():
            return 413
        case TransientError():
            return 503
        case ConfigurationError():
            return 500
        case _:
            return 400


def _said(error: PressroomError) -> str:
    """What a caller without a login gets to read: what is wrong with the set-up is for the log alone."""
    if isinstance(error, ConfigurationError | TransientError):
        log.error("%s", error)
        return "this cannot be done at the moment"
    return str(error)


def _problem(status: int, detail: str) -> JSONResponse:
    body = {"type": "about:blank", "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")
