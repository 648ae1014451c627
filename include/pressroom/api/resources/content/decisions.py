"""Reviewers' decisions on articles and posts, on one piece or on many at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, cast

from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, BaseModel, Field

from pressroom.api.kit.access import Scope
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.problems import invalid
from pressroom.api.resources.content.models import ContentKind, ContentStatus, content_id
from pressroom.domain.errors import PermanentError, PressroomError, RunConflict
from pressroom.domain.packets import HTML_CHARS
from pressroom.domain.public_ids import ARTICLE, CONTENT, JOB, public_id, row_id
from pressroom.pipelines.mission import review
from pressroom.pipelines.site import approval
from pressroom.store.database import Tx
from pressroom.store.workflows import workflow_by_id

log = logging.getLogger(__name__)

MOST_AT_ONCE = 200
MOST_CHARS = 70_000
"""Of a post: the longest that any platform takes has a few less."""
Hash = Annotated[
    str, Field(min_length=1, max_length=100, description="content_hash of the version that was seen")
]
Publishing = Literal["started", "with_the_next_run"]


def _short(parts: list[str]) -> list[str]:
    if sum(map(len, parts)) > MOST_CHARS:
        raise ValueError(f"have more than {MOST_CHARS} characters together")
    return parts


class ApproveBody(Body):
    """The version to approve: the one that the reviewer saw."""

    content_hash: Hash


class ApproveItem(Body):
    """One of many to approve."""

    id: str = Field(max_length=40, examples=["art_12", "cnt_12"])
    content_hash: Hash


class RejectBody(Body):
    """The reason of a rejection, which is kept with the piece. ``content_hash`` null: whatever it is now."""

    reason: str = Field(min_length=1, max_length=1000)
    content_hash: Hash | None = None


class EditBody(Body):
    """The new text: of an article ``title``, ``html`` or both, of a post ``parts``."""

    content_hash: Hash
    title: str | None = Field(default=None, min_length=1, max_length=200)
    html: str | None = Field(default=None, min_length=1, max_length=HTML_CHARS)
    parts: Annotated[list[Annotated[str, Field(min_length=1)]], AfterValidator(_short)] | None = Field(
        default=None, min_length=1, max_length=50
    )


class RegenerateBody(Body):
    """Instructions for the next version."""

    instructions: str = Field(
        default="",
        max_length=1000,
        description="'': the reason for which it was rejected, if it was",
    )


class Decided(BaseModel):
    """A piece's status after a decision."""

    id: str
    status: ContentStatus


class Approved(Decided):
    """``publishing``: of a site's article whether its publishing has begun, or waits for the site's next run
    because Airflow could not be told; null: the site has no targets, or it is a post, which its mission's
    publish stage takes up.
    """

    publishing: Publishing | None


class ApprovedOfMany(BaseModel):
    """What became of one of many."""

    id: str
    outcome: Literal["approved", "conflict", "not_found"]
    detail: str | None = None
    publishing: Publishing | None = None


class Regenerated(Decided):
    """The version before is archived. ``revision``: the number of the next; ``stage``: where it waits to be
    written; ``job``: of a post, the job to be retried from there; null: the site's next run does it.
    """

    revision: int
    stage: Literal["content"] = "content"
    job: str | None
    detail: str


@dataclass(frozen=True)
class ReviewedPiece:
    """An article or a post, and the site or mission that it is of."""

    kind: ContentKind
    id: int
    workflow_id: int

    @property
    def name(self) -> str:
        """Its public id."""
        return content_id(self.kind, self.id)

    @property
    def target(self) -> str:
        """How the audit log names it."""
        return f"{self.kind}:{self.id}"


def piece_of(scope: Scope) -> ReviewedPiece:
    """What a request is about."""
    return ReviewedPiece(cast(ContentKind, scope.kind), scope.id, scope.workflow_id or 0)


def approve(scope: Scope, piece: ReviewedPiece, seen: str) -> None:
    """Approve the version with the hash ``seen``. Raises RunConflict when the piece has another one now."""
    with scope.changing(f"{piece.kind}.approve", piece.target, content_hash=seen) as tx:
        _must_be_open(tx, piece)
        decide = approval.approve if piece.kind == "article" else review.approve
        decide(tx, piece.workflow_id, piece.id, seen, scope.caller.label)


def reject(
    scope: Scope, piece: ReviewedPiece, reason: str, *, seen: str | None = None, waits: bool = False
) -> None:
    """Reject it. ``seen``: only the version with this hash; ``waits``: only while it waits for a decision.

    Raises RunConflict.
    """
    with scope.changing(f"{piece.kind}.reject", piece.target, reason=reason) as tx:
        _must_be_open(tx, piece)
        decide = approval.reject if piece.kind == "article" else review.reject
        decide(tx, piece.workflow_id, piece.id, reason, scope.caller.label, seen_hash=seen, waits=waits)


def choose(scope: Scope, piece: ReviewedPiece) -> ContentStatus:
    """Put a post's second version in the first one's place. Returns its status. Raises RunConflict."""
    if piece.kind == "article":
        raise RunConflict(f"{piece.name} has no other version")
    with scope.changing("post.choose", piece.target) as tx:
        chosen = review.choose(tx, piece.workflow_id, piece.id, scope.caller.label)
    return cast(ContentStatus, chosen.status)


def edit(scope: Scope, piece: ReviewedPiece, body: EditBody) -> None:
    """Change it. Raises RunConflict, or Problem 422 for what cannot be published."""
    changed = [name for name in ("title", "html", "parts") if getattr(body, name) is not None]
    own = ("title", "html") if piece.kind == "article" else ("parts",)
    for name in changed:
        if name not in own:
            raise invalid(f"body.{name}", f"{piece.name} has none", remedy=f"send {' or '.join(own)}")
    if not changed:
        raise invalid("body", "nothing to change was sent", remedy=f"send {' or '.join(own)}")
    with scope.changing(f"{piece.kind}.edit", piece.target, fields=changed) as tx:
        _must_be_open(tx, piece)
        by, seen = scope.caller.label, body.content_hash
        try:
            if piece.kind == "article":
                approval.edit(
                    tx, piece.workflow_id, piece.id, by=by, title=body.title, html=body.html, seen_hash=seen
                )
            else:
                review.edit(tx, piece.workflow_id, piece.id, body.parts or [], by, seen_hash=seen)
        except RunConflict:
            raise
        except PermanentError as error:
            raise invalid(f"body.{changed[0]}", str(error)) from error


def regenerate(scope: Scope, piece: ReviewedPiece, instructions: str) -> Regenerated:
    """Archive it and have its next version written. Raises RunConflict."""
    with scope.changing(f"{piece.kind}.regenerate", piece.target, instructions=instructions) as tx:
        if piece.kind == "article":
            revision = approval.regenerate(tx, piece.workflow_id, piece.id, instructions)
            job, detail = None, f"the site's next run writes version {revision}"
        else:
            regenerated = review.regenerate(tx, piece.workflow_id, piece.id, instructions)
            revision, job = regenerated.revision, public_id(JOB, regenerated.run_id)
            detail = f"version {revision} is written once {job} is retried from its stage content"
    return Regenerated(id=piece.name, status="archived", revision=revision, job=job, detail=detail)


async def approve_one(scope: Scope, piece: ReviewedPiece, seen: str) -> Approved:
    """Approve, and have it published."""
    await run_in_threadpool(approve, scope, piece, seen)
    publishing = await announce(scope, piece.workflow_id) if piece.kind == "article" else None
    return Approved(id=piece.name, status="approved", publishing=publishing)


async def approve_many(scope: Scope, items: Sequence[ApproveItem]) -> list[ApprovedOfMany]:
    """Approve each piece that is as it was seen, independently of the others, and have it published."""
    pieces = await run_in_threadpool(_find, scope, [item.id for item in items])
    results = await run_in_threadpool(_approve_each, scope, items, pieces)
    approved = {each.id for each in results if each.outcome == "approved"}
    sites = {each.workflow_id for each in pieces.values() if each.kind == "article" and each.name in approved}
    publishing = {site: await announce(scope, site) for site in sorted(sites)}
    return [
        each.model_copy(update={"publishing": publishing.get(pieces[each.id].workflow_id)})
        if each.outcome == "approved"
        else each
        for each in results
    ]


async def announce(scope: Scope, site_id: int) -> Publishing | None:
    """Tell Airflow that the site has approved articles. A failure does not undo the approval."""
    try:
        row = await scope.run(workflow_by_id, "site", site_id)
        site = row.run().site
        if not site.publish.targets:
            return None
        await scope.plane.asset_event(site.approved_asset)
    except PressroomError as error:
        log.warning("publishing waits for the next run of site %s: %s", site_id, error)
        return "with_the_next_run"
    return "started"


def _approve_each(
    scope: Scope, items: Sequence[ApproveItem], pieces: dict[str, ReviewedPiece]
) -> list[ApprovedOfMany]:
    results = []
    for item in items:
        piece = pieces.get(item.id)
        if piece is None:
            results.append(ApprovedOfMany(id=item.id, outcome="not_found", detail="there is no such content"))
            continue
        try:
            approve(scope, piece, item.content_hash)
        except RunConflict as error:
            results.append(ApprovedOfMany(id=item.id, outcome="conflict", detail=str(error)))
        else:
            results.append(ApprovedOfMany(id=item.id, outcome="approved"))
    return results


def _find(scope: Scope, ids: Sequence[str]) -> dict[str, ReviewedPiece]:
    """The pieces that belong to the account, by public id: for a visitor, only those that the link is for."""
    articles = [number for name in ids if (number := row_id(ARTICLE, name)) is not None]
    posts = [number for name in ids if (number := row_id(CONTENT, name)) is not None]
    with scope.transaction() as tx:
        rows = tx.rows("content_statuses", articles=articles, posts=posts)
    pieces = [ReviewedPiece(row["kind"], row["id"], row["workflow_id"]) for row in rows]
    reached = [
        piece
        for piece, row in zip(pieces, rows, strict=True)
        if scope.caller.reaches(
            (piece.kind, piece.id), ("site" if piece.kind == "article" else "mission", row["workflow_id"])
        )
    ]
    return {piece.name: piece for piece in reached}


def _must_be_open(tx: Tx, piece: ReviewedPiece) -> None:
    """Raises RunConflict for a piece that has not gone to review, or that has a later version."""
    article, status = piece.kind == "article", _status(tx, piece)
    if status in approval.REVIEWED if article else status not in ("archived", "gone"):
        return
    why = ": it has not gone to review yet" if status == "draft" else ""
    raise RunConflict(f"{piece.name} is {status}, and cannot be decided on or edited{why}")


def _status(tx: Tx, piece: ReviewedPiece) -> str:
    article = piece.kind == "article"
    rows = tx.rows(
        "content_statuses", articles=[piece.id] if article else [], posts=[] if article else [piece.id]
    )
    return str(rows[0]["status"]) if rows else "gone"
