"""The routes of the review: the queue, what is open, and the decisions on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from pressroom.api.kit.access import CONTENT, GATE, PUBLICATION, Scope, allowed, scopes_of, signed_in
from pressroom.api.kit.callers import Caller, admission_of, plane_of
from pressroom.api.kit.pictures import HEADERS
from pressroom.api.kit.problems import Problem, not_found
from pressroom.api.resources import flow_items, publications
from pressroom.api.resources.content import decisions
from pressroom.api.resources.content.decisions import ApproveItem, EditBody, piece_of
from pressroom.api.resources.content.models import content_id
from pressroom.api.resources.content.routes import get_image, preview
from pressroom.api.resources.review.pieces import sendings_of
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import GATE as GATE_ID
from pressroom.domain.public_ids import PUBLICATION as PUBLICATION_ID
from pressroom.domain.public_ids import public_id
from pressroom.page.desk.asking import Asked, QueueFilter, account_shown
from pressroom.page.desk.showing import list_values, page_of
from pressroom.page.kit import live
from pressroom.page.kit.pages import Notice, base_of, filled_in, outcome, plural, rendered
from pressroom.page.kit.tokens import PostedForm, SentForm
from pressroom.ui.target import TargetPageFacts, target_page

router = APIRouter(prefix="/review")
pieces = APIRouter(prefix="/content")
desk = APIRouter(prefix="/review")
"""What visitors with a link may not do: it costs money, or speaks of the set-up."""

REASON_CHARS = 1000


@router.get("")
def queue(request: Request, asked: Asked, caller: Caller = signed_in()) -> HTMLResponse:
    """What waits in an account; without one in the first account in which something does."""
    return page_of(request, caller, asked, None)


@router.get("/events")
def changes(request: Request, asked: Asked, caller: Caller = signed_in()) -> Response:
    """An event whenever something of the account changed: another reviewer's decision, too."""
    scopes = scopes_of(plane_of(request), admission_of(request), caller)
    return live.stream([each for each in scopes if asked.account in ("", each.account)])


@router.get("/list")
def listed(request: Request, asked: Asked, caller: Caller = signed_in()) -> HTMLResponse:
    """The queue alone."""
    scope = account_shown(scopes_of(plane_of(request), admission_of(request), caller), asked)
    return rendered(request, "review_list.html.j2", **list_values(scope, asked))


@pieces.get("/{id}/preview")
def show_preview(request: Request, scope: Scope = allowed(Role.VIEWER, CONTENT)) -> HTMLResponse:
    """The piece as an HTML page, without scripts."""
    with scope.transaction() as tx:
        return HTMLResponse(preview(tx, scope, base_of(request)), headers=HEADERS)


@pieces.get("/{id}/targets/{position}")
async def show_target(
    request: Request,
    position: Annotated[int, Path(ge=0, le=100)],
    scope: Scope = allowed(Role.VIEWER, CONTENT),
) -> HTMLResponse:
    """What one of its targets would be sent now, as an HTML page without scripts."""
    sendings = await sendings_of(scope, base_of(request))
    if position >= len(sendings):
        raise not_found("target of it")
    sending = sendings[position]
    pictures = [(picture.url, picture.alt) for picture in sending.pictures]
    facts = TargetPageFacts(sending.target, sending.arguments, pictures, sending.problem)
    return HTMLResponse(target_page(facts), headers=HEADERS)


@pieces.get("/{id}/images/{position}")
def show_image(
    position: Annotated[int, Path(ge=0, le=1000)], scope: Scope = allowed(Role.VIEWER, CONTENT)
) -> Response:
    """A picture of the piece that is kept in a folder of this server's."""
    return get_image(position, scope)


@router.post("/{id}/approve")
async def approve(
    request: Request, form: SentForm, scope: Scope = allowed(Role.APPROVER, CONTENT)
) -> HTMLResponse:
    """Approve the version that was seen."""

    async def work() -> Notice:
        done = await decisions.approve_one(scope, piece_of(scope), form.text("content_hash"))
        return Notice("good", f"{done.id} is approved. {PUBLISHING[done.publishing]}")

    return await _decided(request, form, scope, await outcome(work))


PUBLISHING = {
    "started": "Its publishing has started.",
    "with_the_next_run": "It is published with the site's next run: Airflow could not be reached now.",
    None: "",
}


@router.post("/{id}/reject")
async def reject(
    request: Request, form: SentForm, scope: Scope = allowed(Role.APPROVER, CONTENT)
) -> HTMLResponse:
    """Reject it, with a reason."""

    async def work() -> Notice:
        reason = _bounded(form, "reason")
        if not reason:
            raise Problem(422, "reason: a rejection needs one", remedy="say in a sentence what is wrong")
        seen = form.text("content_hash") or None
        await run_in_threadpool(decisions.reject, scope, piece_of(scope), reason, seen=seen, waits=True)
        return Notice("good", f"{content_id(scope.kind, scope.id)} is rejected.")

    return await _decided(request, form, scope, await outcome(work))


@desk.post("/{id}/regenerate")
async def regenerate(
    request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, CONTENT)
) -> HTMLResponse:
    """Have it written again, with guidance."""

    async def work() -> Notice:
        guidance = _bounded(form, "guidance")
        done = await run_in_threadpool(decisions.regenerate, scope, piece_of(scope), guidance)
        return Notice("good", f"{done.id} is archived: {done.detail}.")

    return await _decided(request, form, scope, await outcome(work))


@router.post("/{id}/edit")
async def edit(
    request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, CONTENT)
) -> HTMLResponse:
    """Change its text. It stays open, and waits for a decision on the new version."""

    async def work() -> Notice:
        body: dict[str, Any] = {"content_hash": form.text("content_hash")}
        body |= {name: form.text(name) for name in ("title", "html") if form.has(name)}
        if form.has("parts"):
            body["parts"] = [part.replace("\r\n", "\n") for part in form.all("parts")]
        change = filled_in(EditBody, body, "this cannot be saved")
        await run_in_threadpool(decisions.edit, scope, piece_of(scope), change)
        return Notice("good", "Saved. The decision is for this version now.")

    notice = await outcome(work)
    asked = QueueFilter.of(form, scope.account, content_id(scope.kind, scope.id))
    return await run_in_threadpool(page_of, request, scope.caller, asked, notice)


@router.post("/approve")
async def approve_many(request: Request, form: SentForm, caller: Caller = signed_in()) -> HTMLResponse:
    """Approve what is ticked, each in the version that was listed."""
    account = form.text("account")
    asked = QueueFilter.of(form, account, "")

    async def work() -> Notice:
        scopes = await run_in_threadpool(scopes_of, plane_of(request), admission_of(request), caller)
        scope = next((each for each in scopes if each.account == account), None)
        if scope is None:
            raise not_found("account")
        if not scope.role.covers(Role.APPROVER):
            raise Problem(403, f"this needs the role approver, and yours is {scope.role}")
        names = form.all("piece")[: decisions.MOST_AT_ONCE]
        if not names:
            raise Problem(422, "nothing is ticked", remedy="tick the pieces to approve")
        items = _seen(names)
        results = await decisions.approve_many(scope, items)
        approved = sum(each.outcome == "approved" for each in results)
        refused = [f"{each.id}: {each.detail}" for each in results if each.outcome != "approved"]
        if refused:
            return Notice(
                "warn", f"{plural(approved, 'piece')} approved, {len(refused)} not: {'; '.join(refused[:5])}"
            )
        return Notice("good", f"{plural(approved, 'piece')} approved.")

    notice = await outcome(work)
    return await run_in_threadpool(page_of, request, caller, asked, notice)


@router.post("/gates/{id}/answer")
async def answer(
    request: Request, form: SentForm, scope: Scope = allowed(Role.APPROVER, GATE)
) -> HTMLResponse:
    """Answer a flow's gate; with another text in place of the model's, if one was written."""
    own = public_id(GATE_ID, scope.id)

    async def work() -> Notice:
        text = form.text("text").replace("\r\n", "\n")
        changed = text if text != form.text("shown").replace("\r\n", "\n") else ""
        asked = {"decision": form.text("decision"), "text": changed}
        body = filled_in(flow_items.AnswerBody, asked, "this cannot be answered")
        await flow_items.decide(scope, body)
        return Notice("good", f"{own}: {SAID[body.decision]}. The item goes on in a moment.")

    return await _decided(request, form, scope, await outcome(work), own)


SAID = {"approve": "approved", "reject": "rejected"}


@desk.post("/publications/{id}/retry")
async def retry(
    request: Request, form: SentForm, scope: Scope = allowed(Role.APPROVER, PUBLICATION)
) -> HTMLResponse:
    """Have a publication tried again."""
    own = public_id(PUBLICATION_ID, scope.id)

    async def work() -> Notice:
        # One form starts one run, however often it is sent.
        once = f"{scope.account_id}\0{scope.caller.label}\0{own}\0{form.text('once')}"
        name = f"page__{hashlib.sha256(once.encode('utf-8', 'replace')).hexdigest()[:32]}"
        done = await publications.retry(scope, name)
        return Notice("good", f"{own} is tried again: {done.detail}.")

    return await _decided(request, form, scope, await outcome(work), own)


@desk.post("/publications/{id}/settle")
async def settle(
    request: Request, form: SentForm, scope: Scope = allowed(Role.APPROVER, PUBLICATION)
) -> HTMLResponse:
    """Say what became of a publication of which nobody knows."""
    own = public_id(PUBLICATION_ID, scope.id)

    async def work() -> Notice:
        sent = form.text("sent") == "yes"
        asked = {"sent": sent, "external_id": form.text("external_id") or None if sent else None}
        body = filled_in(publications.SettleBody, asked, "this cannot be settled")
        await run_in_threadpool(publications.settle, scope, body)
        said = "is at the target" if sent else "was not sent, and can be tried again"
        return Notice("good", f"{own} {said}.")

    return await _decided(request, form, scope, await outcome(work), own)


def _seen(names: Sequence[str]) -> list[ApproveItem]:
    """The ticked pieces with the hash of the version that was listed: ``art_12:HASH``."""
    items = []
    for name in names:
        number, _, seen = name.partition(":")
        if seen:
            items.append(ApproveItem(id=number[:40], content_hash=seen[:100]))
    return items


def _bounded(form: PostedForm, field: str) -> str:
    text = form.text(field)
    if len(text) > REASON_CHARS:
        raise Problem(422, f"{field}: has {len(text):,} characters, and at most {REASON_CHARS:,} are kept")
    return text


async def _decided(
    request: Request, form: PostedForm, scope: Scope, notice: Notice, own: str = ""
) -> HTMLResponse:
    """The queue after a decision: with what comes next, or with this when it was refused."""
    own = own or content_id(scope.kind, scope.id)
    asked = QueueFilter.of(form, scope.account, own if notice.tone == "bad" else form.text("next")[:40])
    return await run_in_threadpool(page_of, request, scope.caller, asked, notice)
