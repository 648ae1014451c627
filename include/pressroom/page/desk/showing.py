"""What the page of the review shows: the queue, and what is open with everything about it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from pressroom.api.kit.access import Scope, enter, scopes_of
from pressroom.api.kit.callers import Caller, admission_of, plane_of
from pressroom.api.kit.problems import Problem, not_found
from pressroom.api.resources.content.models import ArticleView, whole
from pressroom.api.resources.flow_items import gate_view, item_view
from pressroom.api.resources.publications import publication_view
from pressroom.api.resources.review.pieces import differences_of, facts_of
from pressroom.api.resources.review.queue import QueueView, queue_of
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import ITEM, row_id
from pressroom.page.desk.asking import QueueFilter, account_shown, subject_of
from pressroom.page.kit.pages import Notice, base_of, rendered
from pressroom.store.workflows import workflow_by_id

QUEUE = 200
"""How many things are listed: what is decided makes room for the next."""
NOTHING_WAITS = QueueView(waiting=0, workflows=[], entries=[])
TEXTS_SHOWN = 8


def list_values(scope: Scope | None, asked: QueueFilter) -> dict[str, Any]:
    """The list. What is open but was decided meanwhile is not in it."""
    if scope is None:
        values = {"queue": NOTHING_WAITS, "account": "", "may_decide": False, "alone": False}
        return values | {"asked": asked}
    link = scope.caller.link
    alone = link is not None and link.opens == "piece"
    if link is not None and link.kind is not None and not alone:
        asked = replace(asked, workflow=link.number)
    queue = NOTHING_WAITS if alone else queue_of(scope, asked.rule(QUEUE))
    if asked.workflow and asked.workflow not in {each.number for each in queue.workflows} and not link:
        asked = replace(asked, workflow=None)  # of another account, or all decided
        queue = queue_of(scope, asked.rule(QUEUE))
    return {
        "queue": queue, "account": scope.account, "may_decide": scope.role.covers(Role.APPROVER),
        "alone": alone, "asked": replace(asked, account=scope.account),
    }  # fmt: skip


def page_of(request: Request, caller: Caller, asked: QueueFilter, notice: Notice | None) -> HTMLResponse:
    """The whole page."""
    scopes = scopes_of(plane_of(request), admission_of(request), caller)
    scope = account_shown(scopes, asked)
    values = list_values(scope, asked)
    names = [each.id for each in values["queue"].entries]
    opened = asked.piece or (names[0] if names else "")
    at = names.index(opened) if opened in names else -1
    values |= {
        "asked": replace(values["asked"], piece=opened, look=asked.look), "opened": "",
        "accounts": [each.account for each in scopes], "next": _next(names, at),
        "before": names[at - 1] if at > 0 else "",
    }  # fmt: skip
    status = notice.status if notice else 200
    if scope is not None and opened:
        try:
            values |= opened_values(request, scope, opened)
        except Problem as problem:
            if notice is None:
                raise
            values |= {"gone": problem.detail}
    return rendered(request, "review.html.j2", status, caller=caller, notice=notice, **values)


def _next(names: Sequence[str], at: int) -> str:
    """What comes after this one; at the end, and after one that is not listed any more, the first."""
    if 0 <= at < len(names) - 1:
        return names[at + 1]
    return names[0] if names and at != 0 else ""


def opened_values(request: Request, scope: Scope, name: str) -> dict[str, Any]:
    """Everything about what is open. Raises Problem 404."""
    subject = subject_of(name)
    if subject is None or (subject.kind == "publication" and scope.caller.link is not None):
        raise not_found("content")
    own = enter(scope.plane, scope.admission, scope.caller, subject, Role.VIEWER)
    if own.account_id != scope.account_id:
        raise not_found("content")
    with own.transaction() as tx:
        row = workflow_by_id(tx, own.workflow_kind or "", own.workflow_id or 0)
    values: dict[str, Any] = {"opened": subject.kind, "of": row.workflow}
    if subject.kind == "gate":
        return values | _gate(own, base_of(request))
    if subject.kind == "publication":
        return values | {"publication": publication_view(own), "once": secrets.token_hex(16)}
    with own.transaction() as tx:
        piece = whole(tx, own, base_of(request))
        values |= {"piece": piece, "facts": facts_of(tx, own, piece)}
        values["differences"] = [each for each in differences_of(tx, own, piece).values() if each.changed]
    return values | {
        "waits": piece.status in ("review", "pending_review"), "may_edit": own.role.covers(Role.EDITOR),
        "title": piece.title if isinstance(piece, ArticleView) else piece.headline or piece.parts[0][:120],
    }  # fmt: skip


def _gate(scope: Scope, base: str) -> dict[str, Any]:
    gate = gate_view(scope)
    item = item_view(scope, row_id(ITEM, gate.item_id) or 0, base)
    packets = [packet for packet in item.packets if packet.kind in ("text", "source", "form", "media")]
    texts = [
        (packet.step, name, value)
        for packet in packets
        for name, value in packet.data.items()
        if isinstance(value, str) and value and not name.endswith("_type")
    ]
    text = next((value for _, name, value in reversed(texts) if name == "text"), "")
    return {"gate": gate, "item": item, "texts": texts[-TEXTS_SHOWN:], "text": text}
