"""Published posts → metrics: which posts are public, what they reached, and how the KPIs stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.missions import Mission
from pressroom.domain.publishing import Delivery, Placed
from pressroom.domain.run import Run
from pressroom.domain.social import Measured, Platform
from pressroom.domain.text import counted
from pressroom.pipelines.mission.cycle import Cycle, cycle_of, find_cycle, state_of
from pressroom.pipelines.mission.results.kpis import Result, snapshot
from pressroom.pipelines.needs import platforms
from pressroom.pipelines.stage import Key, Saved, Stage, Undone
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

NAME = "analytics"

EDGE = timedelta(hours=1)
"""How far a post may appear from its time: requested time windows are wider by this on both sides."""


@dataclass(frozen=True)
class Watched:
    """A publication that is still read. ``own``: of this cycle, not of the one before."""

    id: int
    status: str
    external_id: str | None
    scheduled_for: datetime
    post: int
    platform: str
    own: bool


@dataclass(frozen=True)
class Watch:
    """The cycle and the publications that one look reads."""

    cycle: Cycle
    publications: Sequence[Watched]


@dataclass(frozen=True)
class Look:
    """What one look saw. ``at``: its time by the mission's clock."""

    at: datetime
    scheduled: Mapping[str, Placed]
    measured: Mapping[Platform, Sequence[Measured]]
    simulated: bool


@dataclass(frozen=True)
class PublicationOutcome:
    """The final status of an accepted publication: confirmed or failed."""

    watched: Watched
    status: str
    public_url: str = ""
    detail: str = ""


def pending(tx: Tx, run: Run) -> Sequence[Key]:
    """The run's cycle, once it has a strategy and until it is measured."""
    cycle = find_cycle(tx, run)
    return [cycle.id] if cycle and cycle.strategy is not None and cycle.measured_at is None else []


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[Watch]:
    """The cycle with its publications, unless it is measured by now."""
    cycle = find_cycle(tx, run)
    if cycle is None or cycle.id not in keys or cycle.measured_at is not None:
        return []
    return [Watch(cycle, _watched(tx, run, cycle))]


def _watched(tx: Tx, run: Run, cycle: Cycle) -> list[Watched]:
    return tx.all(
        "publications_watched", Watched, mission=run.mission_id, cycle=cycle.id, number=cycle.number,
        mature=_mature(run.mission),
    )  # fmt: skip


def _mature(mission: Mission) -> timedelta:
    return timedelta(hours=mission.measuring.mature_hours)


async def process(watch: Watch, tools: Tools) -> Look:
    """Read which posts are public by now, and what they reached. Raises what the two ports raise."""
    social = tools.social
    now = await social.clock.now()
    due = [
        publication
        for publication in watch.publications
        if publication.external_id is not None and publication.scheduled_for <= now
    ]
    open_ones = [publication.scheduled_for for publication in due if publication.status == "accepted"]
    scheduled: Mapping[str, Placed] = {}
    if open_ones:
        scheduled = await social.metrics.status(min(open_ones) - EDGE, now + EDGE)
    measured = {}
    for platform in sorted({Platform(publication.platform) for publication in due}):
        since = min(publication.scheduled_for for publication in due if publication.platform == platform)
        measured[platform] = await social.metrics.posts(platform, since - EDGE, now)
    return Look(now, scheduled, measured, social.metrics.simulated)


def save(tx: Tx, run: Run, watch: Watch, look: Look) -> Saved:
    """Save the results of one look. Raises AlreadyDone when the cycle is measured already."""
    cycle = watch.cycle
    # Two triggerers may look at the same time: the second waits here, and reads what the first has written.
    locked = tx.rows("cycle_lock", cycle=cycle.id)
    if not locked or locked[0]["measured_at"] is not None:
        raise AlreadyDone(f"cycle {cycle.number} is measured already")
    seen = _matched(watch, look)
    fates = _fates(watch, look, seen)
    _confirm(tx, fates, look.at)
    _store(tx, run, seen, look.at)
    last = next_due(watch, look, run.mission) is None
    tx.run(
        "snapshot_upsert", cycle=cycle.id, at=_slot_of(cycle, look.at, run.mission),
        status="completed" if last else "running", output=_snapshot(tx, run, watch, look),
    )  # fmt: skip
    if last:
        tx.run("cycle_measured", cycle=cycle.id, at=look.at)
    _report(tx, run, watch, fates, last=last)
    return Saved(created=len(seen), label=f"{counted(len(seen), 'post')} measured")


def next_due(watch: Watch, look: Look, mission: Mission) -> datetime | None:
    """When to look next: after the interval, at the latest when the cycle closes. None after the last look.

    A cycle without publications has no second look.
    """
    closes = watch.cycle.closes_at
    if look.at >= closes or not any(publication.own for publication in watch.publications):
        return None
    return min(look.at + timedelta(minutes=mission.measuring.poll_minutes), closes)


def _slot_of(cycle: Cycle, at: datetime, mission: Mission) -> datetime:
    """The time of a look's snapshot: looks within one interval share one."""
    every = timedelta(minutes=mission.measuring.poll_minutes)
    return min(cycle.starts_at + (at - cycle.starts_at) // every * every, cycle.closes_at)


def _matched(watch: Watch, look: Look) -> dict[int, Measured]:
    """Readings by post. A reading without a publication of the mission is of another post of the account."""
    posts = {
        (publication.platform, publication.external_id): publication.post
        for publication in watch.publications
        if publication.external_id
    }
    return {
        posts[platform, reading.external_id]: reading
        for platform, readings in look.measured.items()
        for reading in readings
        if (platform, reading.external_id) in posts
    }


def _fates(watch: Watch, look: Look, seen: Mapping[int, Measured]) -> list[PublicationOutcome]:
    fates = []
    for publication in watch.publications:
        if publication.status != "accepted" or publication.external_id is None:
            continue
        placed = look.scheduled.get(publication.external_id)
        if placed is not None and placed.delivery is Delivery.FAILED:
            fates.append(
                PublicationOutcome(publication, "failed", detail=placed.detail or "the platform refused it")
            )
        elif placed is not None and placed.delivery is Delivery.PUBLISHED:
            fates.append(PublicationOutcome(publication, "confirmed", public_url=placed.url))
        elif publication.post in seen:  # a measured post is public, whatever the scheduler says
            fates.append(PublicationOutcome(publication, "confirmed"))
    return fates


def _confirm(tx: Tx, fates: Sequence[PublicationOutcome], at: datetime) -> None:
    if fates:
        tx.run(
            "confirm_publications", at=at, ids=[fate.watched.id for fate in fates],
            statuses=[fate.status for fate in fates], urls=[fate.public_url for fate in fates],
            details=[fate.detail for fate in fates],
        )  # fmt: skip


def _store(tx: Tx, run: Run, seen: Mapping[int, Measured], at: datetime) -> None:
    if seen:
        readings = list(seen.values())
        tx.run(
            "post_metrics_upsert", mission=run.mission_id, hour=_hour(at), posts=list(seen),
            platforms=[str(reading.platform) for reading in readings],
            published=[reading.published_at for reading in readings],
            impressions=[reading.impressions for reading in readings],
            engagements=[reading.engagements for reading in readings],
            link_clicks=[reading.link_clicks for reading in readings],
            new_followers=[reading.new_followers for reading in readings],
        )  # fmt: skip


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _snapshot(tx: Tx, run: Run, watch: Watch, look: Look) -> dict[str, Any]:
    latest = tx.all("latest_results", Result, mission=run.mission_id)
    mature = tx.all("mature_results", Result, mission=run.mission_id, mature=_mature(run.mission))
    began = state_of(tx, run).started_at or watch.cycle.starts_at
    facts = snapshot(watch.cycle, run.mission, began=began, at=look.at, latest=latest, mature=mature)
    facts["simulated"] = look.simulated
    if not any(publication.own for publication in watch.publications):
        facts["note"] = "Nothing of this cycle was published: there is nothing to measure"
    return facts


def _report(tx: Tx, run: Run, watch: Watch, fates: Sequence[PublicationOutcome], *, last: bool) -> None:
    """Write an event when something happened; a look without news writes none."""
    nothing = not any(publication.own for publication in watch.publications)
    failed = [fate for fate in fates if fate.status == "failed"]
    out = len(fates) - len(failed)
    parts = ["nothing was published in this cycle: there is nothing to measure"] if nothing and last else []
    parts += [f"{counted(out, 'post')} seen in public"] if out else []
    parts += [f"{counted(len(failed), 'post')} failed at the platform: {failed[0].detail}"] if failed else []
    if not parts and not last:
        return
    if last and not nothing:
        parts.append(f"cycle {watch.cycle.number} is measured")
    tx.run(
        "insert_event", run=run.id, stage=NAME, kind="analytics_polled",
        level="warning" if failed else "info", message=f"Analytics: {'; '.join(parts)}"[:2000],
        data={"confirmed": out, "failed": [fate.watched.post for fate in failed], "last": last},
    )  # fmt: skip


async def poll(store: Store, run: Run, tools: Tools) -> datetime | None:
    """Take one look. Returns when the next one is due; None after the last.

    A look is saved in one transaction: a crash before it changes nothing, and a second look at the same time
    writes the same rows. Raises PermanentError without a cycle.
    """
    watch = await store.run(run.account_id, _watch, run)
    if watch is None:
        return None
    look = await process(watch, tools)
    try:
        await store.run(run.account_id, save, run, watch, look)
    except AlreadyDone:
        return None
    return next_due(watch, look, run.mission)


async def look_early(store: Store, run: Run, tools: Tools) -> datetime | None:
    """Take a look at what is out while other posts of the cycle wait for review: readings count by their age.

    Returns when the next one is due; None while nothing is out, and once the cycle's own looks are due.
    """
    watch = await store.run(run.account_id, _watch, run)
    if watch is None or await tools.social.clock.now() >= watch.cycle.ends_at:
        return None
    return await poll(store, run, tools) if any(post.own for post in watch.publications) else None


def _watch(tx: Tx, run: Run) -> Watch | None:
    watches = load(tx, run, [cycle_of(tx, run).id])
    return watches[0] if watches else None


def output(tx: Tx, run: Run) -> Mapping[str, Any] | None:
    """The latest snapshot, with its time and its status: running or completed."""
    cycle = find_cycle(tx, run)
    rows = tx.rows("latest_snapshot", cycle=cycle.id) if cycle else []
    if not rows:
        return None
    return {**rows[0]["output"], "status": rows[0]["status"], "at": rows[0]["at"].isoformat()}


async def undo(store: Store, run: Run, tools: Tools) -> Undone:
    """Set the cycle to not measured. The readings stay: they are facts."""

    def open_again(tx: Tx) -> Undone:
        cycle = find_cycle(tx, run)
        return Undone(tx.run("cycle_not_measured", cycle=cycle.id) if cycle else 0)

    return await store.run(run.account_id, open_again)


STAGE: Stage[Watch, Look] = Stage(
    name=NAME,
    title="Analytics",
    pending=pending,
    load=load,
    process=process,
    save=save,
    key=lambda watch: str(watch.cycle.id),
    result_fields={"cycles_measured": "processed"},
    poll=poll,
    output=output,
    undo=undo,
    needs=lambda run: platforms(run.mission),
)
