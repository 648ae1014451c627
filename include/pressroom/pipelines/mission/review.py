"""Reviewing posts: approve, reject, edit, choose, regenerate. An approval is only for the version that the
reviewer saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.domain.missions import Mission
from pressroom.domain.platforms import hashtags_in
from pressroom.domain.social import Platform
from pressroom.pipelines.kept_texts import keep_text
from pressroom.pipelines.mission.publish import content_key, terms_of
from pressroom.pipelines.mission.writing.compliance import problems
from pressroom.pipelines.mission.writing.composing import Composed, content_hash
from pressroom.store import frozen
from pressroom.store.database import Tx
from pressroom.store.workflows import workflow_by_id

BETWEEN_PARTS = "\n\n"
REGENERABLE = ("draft", "pending_review", "approved", "rejected", "failed")
"""The statuses of posts that can be regenerated: neither published nor archived."""


@dataclass(frozen=True)
class ReviewedPost:
    """A post as a reviewer sees it. ``at``: when it appears, aware."""

    id: int
    platform: str
    format: str
    variant: str
    parts: list[str]
    options: Mapping[str, str]
    media_url: str | None
    media_alt: str
    status: str
    content_hash: str
    approved_hash: str | None
    approved_by: str | None
    review_note: str
    at: datetime


@dataclass(frozen=True)
class Rewritten:
    """The number of the next version, and the run whose stage ``content`` writes it."""

    revision: int
    run_id: int


def list_posts(tx: Tx, mission_id: int, status: str | None = None) -> list[ReviewedPost]:
    """Posts by time. Archived posts are included only with ``status`` "archived"."""
    return tx.all("posts_listed", ReviewedPost, mission=mission_id, status=status, post=None)


def get_post(tx: Tx, mission_id: int, post_id: int) -> ReviewedPost:
    """One post. Raises PermanentError when the mission does not have it."""
    post = tx.maybe("posts_listed", ReviewedPost, mission=mission_id, status=None, post=post_id)
    if post is None:
        raise PermanentError(f"this mission has no post {post_id}")
    return post


def approve(tx: Tx, mission_id: int, post_id: int, seen_hash: str, by: str) -> None:
    """Approve the version with this hash, for where its run would send it. Raises RunConflict when the post
    changed since, was decided, or can no longer go out because its cycle is over.
    """
    terms = _terms(tx, mission_id, post_id)
    if not tx.run(
        "post_approve", mission=mission_id, post=post_id, content_hash=seen_hash, by=by, terms=terms
    ):
        post = get_post(tx, mission_id, post_id)
        changed = post.content_hash != seen_hash
        if changed:
            raise _stale(post_id)
        if post.status in ("pending_review", "rejected"):
            end = tx.value("cycle_end_of_post", mission=mission_id, post=post_id)
            raise RunConflict(
                f"post {post_id} can no longer go out: its cycle ended at {end:%Y-%m-%d %H:%M} UTC,"
                " and the next one has posts of its own"
            )
        raise RunConflict(f"post {post_id} is {post.status}, and does not wait for review")
    keep_text(
        tx, "post", post_id, "approved", "", BETWEEN_PARTS.join(get_post(tx, mission_id, post_id).parts), by
    )


def reject(
    tx: Tx,
    mission_id: int,
    post_id: int,
    reason: str,
    by: str,
    *,
    seen_hash: str | None = None,
    waits: bool = False,
) -> None:
    """Reject, with a reason. Raises RunConflict when a target has the post already, or it was decided.

    ``seen_hash``: the version that was read; None rejects any. ``waits``: only while it waits for review.
    """
    note = f"rejected by {by}: {reason}"
    if not tx.run(
        "post_reject", mission=mission_id, post=post_id, reason=note, seen_hash=seen_hash, waits=waits
    ):
        post = get_post(tx, mission_id, post_id)
        if waits and post.status != "pending_review":
            raise RunConflict(
                f"post {post_id} does not wait any more: somebody has {post.status} it meanwhile"
            )
        if seen_hash not in (None, post.content_hash):
            raise _stale(post_id)
        raise RunConflict(f"post {post_id} is {post.status}, and cannot be rejected")


def edit(
    tx: Tx, mission_id: int, post_id: int, parts: Sequence[str], by: str, *, seen_hash: str | None = None
) -> ReviewedPost:
    """Replace the texts, checked like the model's. The post waits for review again; a draft stays a draft.

    ``seen_hash``: the version that the editor saw; None accepts any. Raises PermanentError, naming what is
    wrong, when the texts cannot be published; RunConflict when the post changed since, or a target has it or
    may have it.
    """
    post = get_post(tx, mission_id, post_id)
    if seen_hash is not None and seen_hash != post.content_hash:
        raise _stale(post_id)
    texts = [part.strip() for part in parts]
    wrong = _wrong(tx, mission_id, post, texts)
    if wrong:
        raise PermanentError("; ".join(wrong))
    digest = content_hash(post.platform, post.format, texts, post.options, post.media_url, post.media_alt)
    tags = [tag for text in texts for tag in hashtags_in(text)]
    keep_text(tx, "post", post_id, "generated", "", BETWEEN_PARTS.join(post.parts), "")
    if not tx.run(
        "post_edit", mission=mission_id, post=post_id, parts=texts, hashtags=tags, content_hash=digest,
        note=f"edited by {by}", seen_hash=seen_hash,
    ):  # fmt: skip
        now = get_post(tx, mission_id, post_id)
        if now.content_hash != post.content_hash:
            raise _stale(post_id)
        raise RunConflict(f"post {post_id} is {now.status}, and cannot be edited")
    return get_post(tx, mission_id, post_id)


def choose(tx: Tx, mission_id: int, post_id: int, by: str) -> ReviewedPost:
    """Use a slot's second version instead of the first: it waits for review, and the first becomes a draft.

    Raises RunConflict when the post is not a draft, or a target has or may have the other version.
    """
    post = get_post(tx, mission_id, post_id)
    if not tx.run("post_choose", mission=mission_id, post=post_id, note=f"chosen by {by}"):
        raise RunConflict(f"post {post_id} is {post.status}, and cannot be chosen any more")
    tx.run(
        "post_set_aside", mission=mission_id, post=post_id, note=f"{by} chose the other version, {post_id}"
    )
    return get_post(tx, mission_id, post_id)


def regenerate(tx: Tx, mission_id: int, post_id: int, guidance: str = "") -> Rewritten:
    """Archive a post, with the slot's other version if it has one, and plan its slot again as a new slot.

    The new slot has the same time and choices. It is new so that the next version is charged for itself.
    Without ``guidance``, the reason of its rejection is used. Raises RunConflict when the post is published,
    being published or archived, or its cycle is over; PermanentError when the mission has no such post.
    """
    tx.value("slot_of_post_lock", mission=mission_id, post=post_id)
    rows = tx.rows("post_to_rewrite", mission=mission_id, post=post_id)
    if not rows:
        raise PermanentError(f"this mission has no post {post_id}")
    [row] = rows
    status, slot = row["status"], row["slot_id"]
    if status not in REGENERABLE:
        raise RunConflict(f"post {post_id} is {status}, and cannot be regenerated")
    if row["out"]:
        raise RunConflict(f"post {post_id}, or its other version, is out, or may be: it stays as it is")
    if row["in_work"]:
        raise RunConflict(f"post {post_id} is being published: wait until that is through")
    if row["withdrawn"] or row["measured"] or row["slot_status"] != "written":
        raise RunConflict(f"the cycle of post {post_id} is over: nothing of it is written any more")
    archived = tx.values("posts_of_slot_archive", mission=mission_id, slot=slot)
    if post_id not in archived:
        raise RunConflict(f"post {post_id} has changed meanwhile: read it again")
    tx.run("post_failures_forget", mission=mission_id, posts=[str(post) for post in archived])
    tx.run("publications_never_sent", contents=[content_key(post) for post in archived])
    tx.run("slot_withdraw", mission=mission_id, slot=slot)
    wanted = guidance or (row["review_note"] if status == "rejected" else "")
    revision = tx.value("slot_again", mission=mission_id, slot=slot, guidance=wanted)
    return Rewritten(revision, row["run_id"])


def _terms(tx: Tx, mission_id: int, post_id: int) -> Mapping[str, Any]:
    """By the definition that the post's run goes by, which may not be today's."""
    get_post(tx, mission_id, post_id)
    today = workflow_by_id(tx, "mission", mission_id)
    run = tx.value("run_of_post", mission=mission_id, post=post_id)
    return terms_of(frozen.row_of(tx, today, run).run().mission)


def _stale(post_id: int) -> RunConflict:
    return RunConflict(f"post {post_id} has changed since it was read: read it again")


def _wrong(tx: Tx, mission_id: int, post: ReviewedPost, texts: Sequence[str]) -> list[str]:
    """The reasons, by the rules of platform, brand and mission, why these texts cannot be published."""
    [facts] = tx.rows("post_rules", mission=mission_id, post=post.id)
    mission = Mission.model_validate(facts["definition"])
    brand = None if facts["brand"] is None else BrandContext.model_validate(facts["brand"])
    composed = Composed(Platform(post.platform), post.format, texts, [], [], post.options)
    return problems(
        composed, media=int(post.media_url is not None), alt=post.media_alt, brand=brand,
        excluded_topics=mission.constraints.excluded_topics,
    )  # fmt: skip
