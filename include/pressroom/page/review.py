"""Review: what waits for a decision, the piece as it will look beside its facts, and the decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from pressroom.api.kit.access import CONTENT, Scope, Subject, allowed, enter, scopes_of, signed_in
from pressroom.api.kit.callers import Caller, admission_of, plane_of
from pressroom.api.kit.pictures import HEADERS
from pressroom.api.kit.problems import Problem, not_found
from pressroom.api.resources.content import decisions
from pressroom.api.resources.content.decisions import ApproveItem, EditBody, piece_of
from pressroom.api.resources.content.models import ArticleView, PostView, content_id, whole
from pressroom.api.resources.content.routes import get_image, preview
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import ARTICLE, LARGEST, row_id
from pressroom.domain.public_ids import CONTENT as POST
from pressroom.page.kit import live
from pressroom.page.kit.pages import Notice, base_of, outcome, plural, rendered
from pressroom.page.kit.tokens import PostedForm, SentForm
from pressroom.page.piece_facts import Check, article_checks, post_checks
from pressroom.store.workflows import workflow_by_id

router = APIRouter(prefix="/review")
pieces = APIRouter(prefix="/content")
desk = APIRouter(prefix="/review")
"""What visitors with a link may not do, because it costs money."""

QUEUE = 200
"""How many pieces are listed: what is decided makes room for the next."""
REASON_CHARS = 1000

Account = Annotated[str, Query(max_length=60)]
Workflow = Annotated[int | None, Query(ge=1, le=LARGEST)]
Newest = Annotated[bool, Query()]
PieceId = Annotated[str, Query(max_length=40)]


@dataclass(frozen=True)
class QueueFilter:
    """Which queue is shown. ``piece``: the one that is open, '' for the first."""

    account: str = ""
    workflow: int | None = None
    newest: bool = False
    piece: str = ""

    def query(self, piece: str) -> str:
        """The query for another piece of the same queue."""
        parts = [f"account={self.account}" if self.account else "", f"piece={piece}" if piece else ""]
        parts += [f"workflow={self.workflow}" if self.workflow else "", "newest=true" if self.newest else ""]
        return "&".join(part for part in parts if part)

    @classmethod
    def of(cls, form: PostedForm, account: str, piece: str) -> QueueFilter:
        """The queue that a form was sent from."""
        number = form.text("workflow")
        workflow = (
            int(number) if number.isascii() and number.isdigit() and 0 < int(number) <= LARGEST else None
        )
        return cls(account, workflow, form.text("newest") == "true", piece)


@router.get("")
def queue(
    request: Request,
    account: Account = "",
    workflow: Workflow = None,
    *,
    newest: Newest = False,
    piece: PieceId = "",
    caller: Caller = signed_in(),
) -> HTMLResponse:
    """What waits in an account; without one in the first account in which something does."""
    return _shown(request, caller, QueueFilter(account, workflow, newest, piece), None)


@router.get("/events")
def changes(request: Request, account: Account = "", caller: Caller = signed_in()) -> Response:
    """An event whenever something of the account changed: another reviewer's decision, too."""
    scopes = scopes_of(plane_of(request), admission_of(request), caller)
    return live.stream([each for each in scopes if account in ("", each.account)])


@router.get("/list")
def listed(
    request: Request,
    account: Account = "",
    workflow: Workflow = None,
    *,
    newest: Newest = False,
    piece: PieceId = "",
    caller: Caller = signed_in(),
) -> HTMLResponse:
    """The queue alone."""
    asked = QueueFilter(account, workflow, newest, piece)
    scope = _scope(scopes_of(plane_of(request), admission_of(request), caller), asked)
    return rendered(request, "review_list.html.j2", **_queue(scope, asked))


@pieces.get("/{id}/preview")
def show_preview(request: Request, scope: Scope = allowed(Role.VIEWER, CONTENT)) -> HTMLResponse:
    """The piece as an HTML page, without scripts."""
    with scope.transaction() as tx:
        return HTMLResponse(preview(tx, scope, base_of(request)), headers=HEADERS)


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
        await run_in_threadpool(decisions.reject, scope, piece_of(scope), reason)
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
        try:
            change = EditBody.model_validate(body)
        except ValueError as error:
            raise Problem(422, f"this cannot be saved: {_first(error)}") from None
        await run_in_threadpool(decisions.edit, scope, piece_of(scope), change)
        return Notice("good", "Saved. The decision is for this version now.")

    notice = await outcome(work)
    asked = QueueFilter.of(form, scope.account, content_id(scope.kind, scope.id))
    return await run_in_threadpool(_shown, request, scope.caller, asked, notice)


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
    return await run_in_threadpool(_shown, request, caller, asked, notice)


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


def _first(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problems = error.errors()
    return (
        f"{'.'.join(map(str, problems[0]['loc']))}: {str(problems[0]['msg']).removeprefix('Value error, ')}"
    )


async def _decided(request: Request, form: PostedForm, scope: Scope, notice: Notice) -> HTMLResponse:
    """The queue after a decision: with the next piece, or with this one when it was refused."""
    own = content_id(scope.kind, scope.id)
    asked = QueueFilter.of(form, scope.account, own if notice.tone == "bad" else form.text("next")[:40])
    return await run_in_threadpool(_shown, request, scope.caller, asked, notice)


def _scope(scopes: Sequence[Scope], asked: QueueFilter) -> Scope | None:
    """The account whose queue is shown. Raises Problem 404 for one that is not the viewer's."""
    if asked.account:
        scope = next((each for each in scopes if each.account == asked.account), None)
        if scope is None:
            raise not_found("account")
        return scope
    number = row_id(ARTICLE, asked.piece) or row_id(POST, asked.piece)
    if number is not None and scopes:
        subject = Subject("post" if row_id(ARTICLE, asked.piece) is None else "article", number)
        owner = enter(scopes[0].plane, scopes[0].admission, scopes[0].caller, subject, Role.VIEWER).account
        return next((each for each in scopes if each.account == owner), None)
    for scope in scopes:
        with scope.transaction() as tx:
            if tx.rows("review_queue", workflow=None, newest=False, limit=1):
                return scope
    return scopes[0] if scopes else None


def _queue(scope: Scope | None, asked: QueueFilter) -> dict[str, Any]:
    """The list. A piece that is open but was decided meanwhile is not in it."""
    if scope is None:
        return {
            "alone": False,
            "pieces": [],
            "counts": [],
            "total": 0,
            "asked": asked,
            "account": "",
            "may_decide": False,
        }
    link = scope.caller.link
    with scope.transaction() as tx:
        counts = [row for row in tx.rows("review_counts") if scope.caller.reaches((row["kind"], row["id"]))]
        if link is not None and link.kind is not None:
            asked = replace(asked, workflow=link.number if link.opens == "queue" else 0)
        elif asked.workflow not in {row["id"] for row in counts}:
            asked = replace(asked, workflow=None)  # of another account, or all decided
        rows = tx.rows("review_queue", workflow=asked.workflow, newest=asked.newest, limit=QUEUE)
    names = {row["id"]: row["name"] for row in counts}
    pieces = [
        row | {"name": content_id(row["kind"], row["id"]), "of": names.get(row["workflow_id"], "")}
        for row in rows
    ]
    total = sum(row["pieces"] for row in counts if asked.workflow in (None, row["id"]))
    return {
        "alone": link is not None and link.opens == "piece",
        "pieces": pieces, "counts": counts, "total": total, "asked": asked, "account": scope.account,
        "may_decide": scope.role.covers(Role.APPROVER),
    }  # fmt: skip


def _shown(request: Request, caller: Caller, asked: QueueFilter, notice: Notice | None) -> HTMLResponse:
    scopes = scopes_of(plane_of(request), admission_of(request), caller)
    scope = _scope(scopes, asked)
    values = _queue(scope, asked)
    names = [piece["name"] for piece in values["pieces"]]
    opened = asked.piece or (names[0] if names else "")
    asked = QueueFilter(values["account"], values["asked"].workflow, asked.newest, opened)
    at = names.index(opened) if opened in names else -1
    values |= {
        "asked": asked, "accounts": [each.account for each in scopes], "piece": None, "checks": [],
        "next": _next(names, at),
        "before": names[at - 1] if at > 0 else "",
    }  # fmt: skip
    status = notice.status if notice else 200
    if scope is not None and opened:
        try:
            values |= _piece(request, scope, opened)
        except Problem as problem:
            if notice is None:
                raise
            values |= {"gone": problem.detail}
    return rendered(request, "review.html.j2", status, caller=caller, notice=notice, **values)


def _next(names: Sequence[str], at: int) -> str:
    """The piece after this one; at the end, and after one that is not listed any more, the first."""
    if 0 <= at < len(names) - 1:
        return names[at + 1]
    return names[0] if names and at != 0 else ""


def _piece(request: Request, scope: Scope, name: str) -> dict[str, Any]:
    """A piece with everything about it. Raises Problem 404."""
    article = row_id(ARTICLE, name)
    subject = Subject("post", row_id(POST, name)) if article is None else Subject("article", article)
    own = enter(scope.plane, scope.admission, scope.caller, subject, Role.VIEWER)
    if own.account_id != scope.account_id:
        raise not_found("content")
    base = base_of(request)
    with own.transaction() as tx:
        piece: ArticleView | PostView = whole(tx, own, base)
        row = workflow_by_id(tx, own.workflow_kind or "", own.workflow_id or 0)
        checks: list[Check]
        if isinstance(piece, ArticleView):
            site = row.run().site
            checks = article_checks(piece, site)
            targets = [target.target_name for target in site.publish.targets]
            cents = tx.value("article_cents", content=own.id)
        else:
            checks, targets = post_checks(piece), [piece.platform]
            cents = None
    return {
        "piece": piece, "checks": checks, "targets": targets, "cents": cents,
        "waits": piece.status in ("review", "pending_review"),
        "may_edit": own.role.covers(Role.EDITOR), "of": row.workflow,
    }  # fmt: skip
