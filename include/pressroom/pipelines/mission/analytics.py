"""Published posts → numbers: what is out, what it reached, how the KPIs stand. One look at every poll."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.domain.social import Delivery, Measured, Platform, Receipt
from pressroom.domain.text import counted
from pressroom.pipelines.mission.cycle import Cycle, cycle_of, find_cycle, state_of
from pressroom.pipelines.mission.results.kpis import Result
from pressroom.pipelines.mission.results.snapshot import snapshot
from pressroom.pipelines.stage import Key, Saved, Stage, Undone
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

NAME = "analytics"

EDGE = timedelta(hours=1)
"""How far a post may come out from its time: time windows asked for are so much wider on both sides."""


@dataclass(frozen=True)
class Watched:
    """A publication that may still have news. ``own``: of this cycle, and not of the one before."""

    id: int
    status: str
    external_id: str | None
    scheduled_for: datetime
    post: int
    platform: str
    own: bool


@dataclass(frozen=True)
class Watch:
    """What one look is for."""

    cycle: Cycle
    publications: Sequence[Watched]


@dataclass(frozen=True)
class Look:
    """What one look saw, at which time by the mission's clock."""

    at: datetime
    receipts: Mapping[str, Receipt]
    measured: Mapping[Platform, Sequence[Measured]]
    simulated: bool


@dataclass(frozen=True)
class Fate:
    """What became of an accepted publication: confirmed or failed."""

    watched: Watched
    status: str
    public_url: str = ""
    detail: str = ""


def pending(tx: Tx, run: Run) -> Sequence[Key]:
    """The run's cycle, once it has a strategy and until it is measured."""
    cycle = find_cycle(tx, run)
    return [cycle.id] if cycle and cycle.strategy is not None and cycle.measured_at is None else []


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[Watch]:
    """The cycle with its publications, while it is not measured."""
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
    """Look: which posts are out by now, and what they reached. Raises what its two ports raise."""
    social = tools.social
    now = await social.clock.now()
    due = [one for one in watch.publications if one.external_id is not None and one.scheduled_for <= now]
    open_ones = [one.scheduled_for for one in due if one.status == "accepted"]
    receipts: Mapping[str, Receipt] = {}
    if open_ones:
        receipts = await social.scheduler.status(min(open_ones) - EDGE, now + EDGE)
    measured = {}
    for platform in sorted({Platform(one.platform) for one in due}):
        since = min(one.scheduled_for for one in due if one.platform == platform)
        measured[platform] = await social.analytics.posts(platform, since - EDGE, now)
    return Look(now, receipts, measured, social.scheduler.simulated)


def save(tx: Tx, run: Run, watch: Watch, look: Look) -> Saved:
    """Everything that one look brings. Raises AlreadyDone when the last look was taken before."""
    cycle = watch.cycle
    # Two triggerers may look at the same time: the second waits here, and finds what the first has written.
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
    """When to look next: after the interval, at the latest when the cycle closes. None: it was the last look.

    A cycle of which nothing is out, and nothing can come out any more, is not waited for.
    """
    closes = watch.cycle.closes_at
    if look.at >= closes or not any(one.own for one in watch.publications):
        return None
    return min(look.at + timedelta(minutes=mission.measuring.poll_minutes), closes)


def _slot_of(cycle: Cycle, at: datetime, mission: Mission) -> datetime:
    """The time of the poll that a look belongs to: looks within one interval are one snapshot."""
    every = timedelta(minutes=mission.measuring.poll_minutes)
    return min(cycle.starts_at + (at - cycle.starts_at) // every * every, cycle.closes_at)


def _matched(watch: Watch, look: Look) -> dict[int, Measured]:
    """Readings by post. One that belongs to no publication of the mission is somebody else's post."""
    posts = {(one.platform, one.external_id): one.post for one in watch.publications if one.external_id}
    return {
        posts[platform, reading.external_id]: reading
        for platform, readings in look.measured.items()
        for reading in readings
        if (platform, reading.external_id) in posts
    }


def _fates(watch: Watch, look: Look, seen: Mapping[int, Measured]) -> list[Fate]:
    fates = []
    for one in watch.publications:
        if one.status != "accepted" or one.external_id is None:
            continue
        receipt = look.receipts.get(one.external_id)
        if receipt is not None and receipt.delivery is Delivery.FAILED:
            fates.append(Fate(one, "failed", detail=receipt.detail or "the platform refused it"))
        elif receipt is not None and receipt.delivery is Delivery.PUBLISHED:
            fates.append(Fate(one, "confirmed", public_url=receipt.public_url))
        elif one.post in seen:  # whatever the scheduler says or no longer says: people have seen it
            fates.append(Fate(one, "confirmed"))
    return fates


def _confirm(tx: Tx, fates: Sequence[Fate], at: datetime) -> None:
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
            platforms=[str(one.platform) for one in readings],
            published=[one.published_at for one in readings],
            impressions=[one.impressions for one in readings],
            engagements=[one.engagements for one in readings],
            link_clicks=[one.link_clicks for one in readings],
            new_followers=[one.new_followers for one in readings],
        )  # fmt: skip


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _snapshot(tx: Tx, run: Run, watch: Watch, look: Look) -> dict[str, Any]:
    latest = tx.all("latest_results", Result, mission=run.mission_id)
    mature = tx.all("mature_results", Result, mission=run.mission_id, mature=_mature(run.mission))
    began = state_of(tx, run).started_at or watch.cycle.starts_at
    facts = snapshot(watch.cycle, run.mission, began=began, at=look.at, latest=latest, mature=mature)
    facts["simulated"] = look.simulated
    if not any(one.own for one in watch.publications):
        facts["note"] = "Nothing of this cycle was published: there is nothing to measure"
    return facts


def _report(tx: Tx, run: Run, watch: Watch, fates: Sequence[Fate], *, last: bool) -> None:
    """A line for the log when something happened; a look that brought nothing new is not worth one."""
    nothing = not any(one.own for one in watch.publications)
    failed = [fate for fate in fates if fate.status == "failed"]
    out = len(fates) - len(failed)
    told = ["nothing was published in this cycle: there is nothing to measure"] if nothing and last else []
    told += [f"{counted(out, 'post')} seen in public"] if out else []
    told += [f"{counted(len(failed), 'post')} failed at the platform: {failed[0].detail}"] if failed else []
    if not told and not last:
        return
    if last and not nothing:
        told.append(f"cycle {watch.cycle.number} is measured")
    tx.run(
        "insert_event", run=run.id, stage=NAME, kind="analytics_polled",
        level="warning" if failed else "info", message=f"Analytics: {'; '.join(told)}"[:2000],
        data={"confirmed": out, "failed": [fate.watched.post for fate in failed], "last": last},
    )  # fmt: skip


async def poll(store: Store, run: Run, tools: Tools) -> datetime | None:
    """One look, and when the next one is due; None: it was the last.

    What a look brings is written in one transaction, so whoever dies before it has changed nothing, and
    whoever looks again at the same time writes the same rows. Raises PermanentError without a cycle.
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
    """The cycle counts as not measured. What was read stays: it is what people saw."""

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
)
