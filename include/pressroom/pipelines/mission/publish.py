"""Approved posts → scheduled posts: handed to the scheduler once, at a time that is still to come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pressroom.domain.errors import AlreadyDone, ApprovalVoid, PastDate, TimeTaken
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.missions import Mission
from pressroom.domain.platforms import rules
from pressroom.domain.public_ids import CONTENT, public_id
from pressroom.domain.publishing import (
    Approval,
    Picture,
    Piece,
    Publication,
    PublicationStatus,
    Submission,
    arguments_of,
)
from pressroom.domain.run import Run
from pressroom.domain.social import Platform
from pressroom.domain.text import counted
from pressroom.pipelines.mission.analytics import look_early
from pressroom.pipelines.mission.calendar.open_times import replan
from pressroom.pipelines.mission.cycle import find_cycle, measure_again
from pressroom.pipelines.mission.withdrawal import undo
from pressroom.pipelines.needs import MEDIA, platforms
from pressroom.pipelines.stage import Key, Saved, Stage, Wait
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

NAME = "publish"

AUTO = "auto"
"""Who approved where no person has to."""

NOTICE = timedelta(minutes=2)
"""A post whose time is nearer than this counts as late: it would be over by the time the scheduler has it."""


@dataclass(frozen=True)
class Ready:
    """An approved post. ``at``: its slot's time; ``ends_at``: the cycle's; ``taken``: times of its platform.

    ``attempted``: an earlier try may have got through.
    """

    id: int
    slot_id: int
    platform: str
    parts: list[str]
    options: dict[str, str]
    media_url: str | None
    media_alt: str
    content_hash: str
    approved_hash: str | None
    approved_terms: Mapping[str, Any] | None
    approved_by: str | None
    at: datetime
    ends_at: datetime
    taken: list[datetime]
    attempted: bool


@dataclass(frozen=True)
class Scheduled:
    """A post that the scheduler has, and the time at which it will appear."""

    publication: Publication
    at: datetime


def pending(tx: Tx, run: Run) -> Sequence[Key]:
    """Posts of the run's cycle that are approved as they are now."""
    ids: list[Key] = tx.values("posts_to_publish", run=run.id, mission=run.mission_id, ids=None)
    return ids


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[Ready]:
    """Those of them that still are."""
    waiting = tx.values("posts_to_publish", run=run.id, mission=run.mission_id, ids=list(keys))
    return tx.all("posts_ready", Ready, mission=run.mission_id, ids=waiting)


def waits_for(tx: Tx, run: Run) -> Wait | None:
    """Posts in review, until the cycle's time is over."""
    cycle = find_cycle(tx, run)
    waiting = tx.value("posts_in_review", run=run.id, mission=run.mission_id) if cycle is not None else 0
    if cycle is None or not waiting:
        return None
    reason = f"{counted(waiting, 'post')} {'waits' if waiting == 1 else 'wait'} for review"
    return Wait(reason, cycle.ends_at)


async def process(post: Ready, tools: Tools) -> Scheduled:
    """Publish at the slot's time, or at a later one when that is over.

    Raises PastDate when no time is left in the cycle, and what ``Outside.publish`` raises.
    """
    try:
        publication = await _publish_in_time(post, tools)
    except PastDate:
        if not post.attempted:
            raise
        # What an earlier try left there is looked for before anything is sent; what is over is refused.
        publication = await _publish(post, post.at, tools)
    # One that was there already may be there with an earlier attempt's time.
    return Scheduled(publication, publication.scheduled_for)


async def _publish_in_time(post: Ready, tools: Tools) -> Publication:
    at, taken, move, refused = post.at, set(post.taken), False, False
    while True:
        now = await tools.social.clock.now()
        if move or at < now + NOTICE:
            at = _later(post, at, now, taken, tools)
        try:
            return await _publish(post, at, tools)
        except TimeTaken:  # another late post was quicker; times are finite, so this ends
            taken.add(at)
        except PastDate:  # its time came while it waited for its turn
            if refused:
                raise
            refused = True
        move = True


async def _publish(post: Ready, at: datetime, tools: Tools) -> Publication:
    pictures = []
    if post.media_url is not None:
        url = await asyncio.to_thread(tools.media.public_url, post.media_url)
        pictures.append(Picture(alt=post.media_alt, url=url))
    to, key = tools.mission.place(post.platform), content_key(post.id)
    first, *others = post.parts
    fields = {
        "network": post.platform, "text": first, "thread": others,
        "timezone": tools.mission.constraints.timezone, **post.options,
    }  # fmt: skip
    arguments = arguments_of(tools.outside.target(to), fields, to.target_name)
    account = tools.mission.account
    piece: Piece[Any] = Piece(f"{account}/{key}", arguments, pictures, at, account=account)
    return await tools.outside.publish(
        to, Submission(key, post.content_hash, piece, alone=True, approval=_approval(post, tools.mission))
    )


def _approval(post: Ready, mission: Mission) -> Approval | None:
    if post.approved_by == AUTO and not mission.constraints.require_approval:
        return None
    return Approval(
        {"post": post.approved_hash, **(post.approved_terms or {})},
        {"post": post.content_hash, **terms_of(mission)},
    )


def _later(post: Ready, at: datetime, now: datetime, taken: set[datetime], tools: Tools) -> datetime:
    """A time after ``at`` for a post that is late. Raises PastDate when the cycle has none."""
    constraints = tools.mission.constraints
    times = [f"{posting_time:%H:%M}" for posting_time in constraints.posting_times] or rules(
        Platform(post.platform)
    ).times
    later = replan(
        at, now, taken, timezone=constraints.timezone, times=times, end=post.ends_at,
        working_days=constraints.cadence == "weekdays",
    )  # fmt: skip
    if later is None:
        raise PastDate(f"{_short(post.at)} UTC is over, and no time is left for {post.platform} in the cycle")
    return later


def save(tx: Tx, run: Run, post: Ready, output: Scheduled) -> Saved:
    """The post is scheduled; a slot that was late has its new time."""
    if not tx.run("post_scheduled", mission=run.mission_id, post=post.id):
        raise AlreadyDone(f"post {post.id} is no longer waiting to be published")
    measure_again(tx, run)
    if output.at != post.at:
        tx.run("slot_moved", mission=run.mission_id, slot=post.slot_id, at=output.at)
    moved = f", moved from {_short(post.at)}" if output.at != post.at else ""
    return Saved(
        created=1,
        label=f"{post.platform} {_short(output.at)} UTC{moved}: {shorten(post.parts[0], 50)}",
    )


def _short(at: datetime) -> str:
    return f"{at.astimezone(UTC):%m-%d %H:%M}"


def terms_of(mission: Mission) -> dict[str, Any]:
    """All but the post that decides what is sent, and where, as JSON."""
    return {"connection": mission.connection, "timezone": mission.constraints.timezone}


def content_key(post_id: int) -> str:
    """How the publication ledger names a post."""
    return f"post:{post_id}"


def output(tx: Tx, run: Run) -> Mapping[str, Any] | None:
    """scheduled, total_scheduled, first_publish_at, last_publish_at; failed and unknown ones beside them."""
    cycle = find_cycle(tx, run)
    if cycle is None:
        return None
    rows = tx.rows("publications_of_cycle", mission=run.mission_id, cycle=cycle.id)
    kept = [row for row in rows if row["status"] in _THERE]
    times = sorted(row["scheduled_for"] for row in kept)
    return {
        "scheduled": [
            {
                "content_id": public_id(CONTENT, row["post"]),
                "platform": row["platform"],
                "scheduled_for": _utc(row["scheduled_for"]),
                "metricool_post_id": row["external_id"],
                "preview_url": row["preview_url"],
            }
            for row in kept
        ],
        "total_scheduled": len(kept),
        "first_publish_at": _utc(times[0]) if times else None,
        "last_publish_at": _utc(times[-1]) if times else None,
        "failed": [_trouble(row) for row in rows if _has_failed(row)],
        "unknown": [_trouble(row) for row in rows if row["status"] == PublicationStatus.UNKNOWN],
    }


_THERE = (PublicationStatus.ACCEPTED, PublicationStatus.CONFIRMED)


def _has_failed(row: Mapping[str, Any]) -> bool:
    """Refused by the scheduler, or given up before there was anything to refuse."""
    if row["status"] == PublicationStatus.FAILED:
        return True
    return bool(row["given_up"]) and row["status"] in ("", PublicationStatus.PLANNED)


def _trouble(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "content_id": public_id(CONTENT, row["post"]),
        "platform": row["platform"],
        "error": row["error"],
    }


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def failed(tx: Tx, run: Run, post: Ready, error: Exception) -> None:
    """A post that the scheduler refused for good is failed; one that may yet get there stays approved.

    Of one whose last try was not answered, nobody knows: an operator has to look. One that is not what was
    approved waits for review again.
    """
    if isinstance(error, ApprovalVoid):
        tx.run("post_void", mission=run.mission_id, post=post.id, note=str(error))
        return
    tx.run("post_in_doubt", mission=run.mission_id, post=post.id)
    tx.run("post_refused", mission=run.mission_id, post=post.id)


STAGE: Stage[Ready, Scheduled] = Stage(
    name=NAME,
    title="Content → scheduled posts",
    pending=pending,
    load=load,
    process=process,
    save=save,
    named=lambda post: post.platform,
    setup_of=lambda post: post.platform,
    result_fields={"posts_processed": "processed", "posts_scheduled": "created", "batches_run": "batches"},
    batch_items=lambda mission: mission.batch_size,
    pool="pressroom_publish",
    waits_for=waits_for,
    meanwhile=look_early,
    output=output,
    failed=failed,
    undo=undo,
    needs=lambda run: (MEDIA, *platforms(run.mission)),
)
