"""Mission → cycle: whether it can run, on which platforms, at what cost, from when to when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pendulum

from pressroom.domain.definitions import dump
from pressroom.domain.errors import AlreadyDone, ConfigurationError, InvalidMission
from pressroom.domain.missions import Mission
from pressroom.domain.public_ids import BRAND, MISSION, public_id
from pressroom.domain.run import Run
from pressroom.domain.text import counted
from pressroom.pipelines.mission.calendar.planning import planned_count
from pressroom.pipelines.mission.calendar.plans import earliest_slot, plan_of
from pressroom.pipelines.mission.cycle import (
    MissionState,
    end_of,
    find_cycle,
    next_start,
    planned_posts,
    state_of,
)
from pressroom.pipelines.needs import platforms
from pressroom.pipelines.stage import ESTIMATE_BUFFER, Key, Saved, Stage, Undone
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

NAME = "intake"

PROMPT_TOKENS, ANSWER_TOKENS = 1200, 500
"""Tokens of one call for a post, rounded up, for the estimate."""

STRATEGY_CALLS = 3


@dataclass(frozen=True)
class IntakeBrief:
    """The mission's state when the run begins."""

    mission_id: int
    run_id: int
    state: MissionState
    brand_id: int | None


@dataclass(frozen=True)
class Context:
    """A cycle before it is saved. Times are aware, in UTC. ``closes_at``: when measuring ends."""

    number: int
    starts_at: datetime
    ends_at: datetime
    closes_at: datetime
    execution: Mapping[str, Any]


def pending(tx: Tx, run: Run) -> Sequence[Key]:
    """The run, until it has a cycle."""
    return [] if find_cycle(tx, run) else [run.id]


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[IntakeBrief]:
    """The mission, unless the run has a cycle by now."""
    if find_cycle(tx, run) or run.id not in keys:
        return []
    brand = tx.value("brand_of_mission", mission=run.mission_id)
    return [IntakeBrief(run.mission_id, run.id, state_of(tx, run), brand)]


async def process(brief: IntakeBrief, tools: Tools) -> Context:
    """Check and plan.

    Raises InvalidMission, which names the field: a budget that does not cover the estimate is one of its
    reasons. Raises ConfigurationError when a platform is not connected or the credentials are wrong.
    """
    mission = tools.mission
    now = await tools.social.clock.now()
    start, end, closes = window(mission, brief.state, now)
    earliest = earliest_slot(start, now)
    # The number does not depend on the pillars, which the strategy stage decides.
    posts = planned_count(plan_of(mission, start, end, {"any": 1.0}, earliest))
    if posts == 0:
        raise InvalidMission(
            f"constraints.cadence: {mission.constraints.cadence} leaves no time to post at between"
            f" {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC"
        )
    await _platforms_are_ready(mission, tools)
    cents = _budget_covers(mission, brief.state, posts, tools)
    timezone = mission.constraints.timezone
    mission_start = brief.state.started_at or start
    mission_end = mission.ends(mission_start)
    return Context(
        number=brief.state.cycles + 1,
        starts_at=start,
        ends_at=end,
        closes_at=closes,
        execution={
            "mission_id": public_id(MISSION, brief.mission_id),
            "brand_context_id": None if brief.brand_id is None else public_id(BRAND, brief.brand_id),
            "validated_platforms": [str(platform) for platform in mission.platforms],
            "execution_context": {
                "start_date": pendulum.instance(mission_start).in_timezone(timezone).date().isoformat(),
                "end_date": last_day(mission_end, timezone).isoformat(),
                # As many as the cadence asks for; this cycle's are counted.
                "total_posts_planned": (
                    planned_posts(mission, mission_start, mission_end)
                    - planned_posts(mission, start, end)
                    + posts
                ),
                "daily_cadence": mission.constraints.posts_per_day,
            },
            "cycle_context": {
                "start_date": pendulum.instance(start).in_timezone(timezone).date().isoformat(),
                "end_date": last_day(end, timezone).isoformat(),
                "posts_planned": posts,
            },
            "estimated_cents": float(cents),
            "earliest_slot": earliest.isoformat(),
        },
    )


def window(mission: Mission, state: MissionState, now: datetime) -> tuple[datetime, datetime, datetime]:
    """(start, end, end of measuring) of the next cycle, in UTC.

    Cycles follow each other without a gap and end at a local midnight (``Mission.cycle_end``). A late cycle
    starts now. The last cycle ends with the mission, and is measured until its last post is old enough to
    count.
    """
    start, over = next_start(mission, state, now), end_of(mission, state, now)
    if start >= over:
        raise InvalidMission(f"ends_at: the mission ended at {over:%Y-%m-%d %H:%M} UTC")
    end = mission.cycle_end(start, over)
    closes = end + timedelta(hours=mission.measuring.mature_hours) if end == over else end
    return start, end, closes


def last_day(end: datetime, timezone: str) -> date:
    """The local day on which a window ends; the day before when it ends at midnight."""
    return pendulum.instance(end).in_timezone(timezone).subtract(microseconds=1).date()


async def _platforms_are_ready(mission: Mission, tools: Tools) -> None:
    target = tools.outside.target(mission.place(mission.platforms[0]))
    await target.check()
    missing: list[str] = []
    for platform in sorted(mission.platforms):
        try:
            await target.check({"network": platform})
        except ConfigurationError as error:
            missing.append(f"{platform}: {error}")
    if missing:
        raise ConfigurationError(f"platforms: {'; '.join(missing)} (connection {mission.connection})")


def _budget_covers(mission: Mission, state: MissionState, posts: int, tools: Tools) -> Decimal:
    """The cycle's estimate in cents."""
    calls = posts + STRATEGY_CALLS
    cents = calls * tools.text.estimate(PROMPT_TOKENS, ANSWER_TOKENS)
    left = None if mission.total_cents is None else mission.total_cents - state.spent_cents
    if left is not None and cents * ESTIMATE_BUFFER > left:
        raise InvalidMission(
            f"constraints.budget_cents: {left:.4f} of {mission.total_cents} cents are left, and this cycle"
            f" needs {cents * ESTIMATE_BUFFER:.4f} ({ESTIMATE_BUFFER} × the estimate of {cents:.4f})"
        )
    return cents


def save(tx: Tx, run: Run, brief: IntakeBrief, output: Context) -> Saved:
    """The cycle, with the brand context as it is now."""
    tx.run("mission_started", mission=run.mission_id, at=output.starts_at)
    brand = None if run.brand is None else dump(run.brand)
    if not tx.run(
        "cycle_insert", mission=run.mission_id, run=run.id, number=output.number, starts_at=output.starts_at,
        ends_at=output.ends_at, closes_at=output.closes_at, context=dict(output.execution), brand=brand,
    ):  # fmt: skip
        raise AlreadyDone(f"cycle {output.number} exists already")
    planned = output.execution["cycle_context"]["posts_planned"]
    return Saved(created=1, label=f"cycle {output.number}: {counted(planned, 'post')} planned")


def output(tx: Tx, run: Run) -> Mapping[str, Any] | None:
    """mission_id, brand_context_id, validated_platforms; execution_context of the whole mission, and
    cycle_context of the run's cycle.
    """
    cycle = find_cycle(tx, run)
    return None if cycle is None else {**cycle.context, "cycle": cycle.number}


async def undo(store: Store, run: Run, tools: Tools) -> Undone:
    """Withdraw the cycle. Its number becomes free, and with the first cycle the mission's start."""

    def withdraw(tx: Tx) -> Undone:
        withdrawn = tx.run("cycle_withdraw", run=run.id)
        tx.run("mission_not_started", mission=run.mission_id)
        return Undone(withdrawn)

    return await store.run(run.account_id, withdraw)


STAGE: Stage[IntakeBrief, Context] = Stage(
    name=NAME,
    title="Intake",
    pending=pending,
    load=load,
    process=process,
    save=save,
    key=lambda brief: str(brief.run_id),
    result_fields={"cycles": "created"},
    output=output,
    undo=undo,
    needs=lambda run: platforms(run.mission),
)
