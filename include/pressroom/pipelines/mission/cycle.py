"""A mission's cycle, which its stages share: when a mission may run, how many posts a cycle has, the credits
that it costs, and when the mission is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pendulum

from pressroom.domain.definitions import Account, BrandContext
from pressroom.domain.errors import PermanentError, WorkflowOver
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.domain.schedules import in_utc
from pressroom.pipelines.stage import Estimate, must_be_active
from pressroom.store.database import Tx

_DAY = timedelta(days=1)
_SATURDAY = 5


@dataclass(frozen=True)
class Cycle:
    """What one run plans, publishes and measures. Times are aware. ``closes_at``: when measuring ends.

    ``context``: intake's execution context. ``strategy`` and ``parameters``: None before the strategy stage.
    """

    id: int
    number: int
    run_id: int
    starts_at: datetime
    ends_at: datetime
    closes_at: datetime
    context: Mapping[str, Any]
    brand: Mapping[str, Any] | None
    strategy: Mapping[str, Any] | None
    parameters: Mapping[str, Any] | None
    measured_at: datetime | None
    optimized_at: datetime | None

    @property
    def brand_context(self) -> BrandContext | None:
        """The brand context as it was when the run began: later changes do not affect the run."""
        return None if self.brand is None else BrandContext.model_validate(self.brand)


@dataclass(frozen=True)
class MissionState:
    """A mission's state. ``cycles``: how many it had. ``spent_cents``: what providers charged so far."""

    started_at: datetime | None
    completed_at: datetime | None
    completed_why: str | None
    spent_cents: Decimal
    cycles: int
    planned_until: datetime | None


def find_cycle(tx: Tx, run: Run) -> Cycle | None:
    """The run's cycle. None before intake and after a rollback."""
    return tx.maybe("cycle_of_run", Cycle, run=run.id)


def cycle_of(tx: Tx, run: Run) -> Cycle:
    """The run's cycle. Raises PermanentError before intake."""
    cycle = find_cycle(tx, run)
    if cycle is None:
        raise PermanentError("this run has no cycle: clear it from intake on")
    return cycle


def unlearn(tx: Tx, cycle_id: int) -> int:
    """Forget what was learned from a cycle. Returns the number of insights and changes."""
    tx.run("cycle_not_optimized", cycle=cycle_id)
    tx.run("optimization_delete", cycle=cycle_id)
    insights = tx.run("insights_delete", cycle=cycle_id)
    return insights + tx.run("strategy_changes_delete", cycle=cycle_id)


def measure_again(tx: Tx, run: Run) -> None:
    """The run's cycle has got another post: it is to be measured, and learned from, with it."""
    cycle = find_cycle(tx, run)
    if cycle is not None and tx.run("cycle_not_measured", cycle=cycle.id):
        unlearn(tx, cycle.id)


def state_of(tx: Tx, run: Run) -> MissionState:
    """The mission's state."""
    state = tx.maybe("mission_state", MissionState, mission=run.mission_id)
    if state is None:
        raise PermanentError(f"there is no mission {run.mission_id}")
    return state


def admit(tx: Tx, run: Run, now: datetime) -> None:
    """Raises WorkflowOver for a mission that is not active, has not begun, or is over."""
    mission = run.mission
    state = state_of(tx, run)
    must_be_active(run)
    why = state.completed_why or over(run, state, now)
    if why is not None:
        raise WorkflowOver(f"the mission {mission.slug} is completed: {why}")
    if mission.starts_at is not None and now < mission.starts_at:
        raise WorkflowOver(
            f"the mission {mission.slug} starts at {mission.starts_at:%Y-%m-%d %H:%M %Z}, and it is only"
            f" {now:%Y-%m-%d %H:%M} UTC"
        )


def over(run: Run, state: MissionState, now: datetime) -> str | None:
    """Why the mission is over; None when it is not. ``now`` is by the mission's clock."""
    mission = run.mission
    if state.started_at is not None or mission.starts_at is not None:
        end = end_of(mission, state, now)
        # Whatever is left after the last cycle was planned, nothing can be posted in.
        if now >= end or (state.planned_until is not None and state.planned_until >= end):
            return f"it ended at {end:%Y-%m-%d %H:%M} UTC"
    budget = mission.total_cents
    if budget is not None and state.spent_cents >= budget:
        return f"its budget of {budget} cents is used up ({state.spent_cents:.4f} spent)"
    return None


def next_start(mission: Mission, state: MissionState, now: datetime) -> datetime:
    """The start of the cycle that a run would plan at ``now``, in UTC: where the last one ended, or later."""
    first = mission.starts_at or state.started_at or now
    return in_utc(max(first, state.planned_until or first, now))


def end_of(mission: Mission, state: MissionState, now: datetime) -> datetime:
    """The mission's end, in UTC; of one that has not begun, when it begins at ``now``."""
    return mission.ends(state.started_at or now)


def settle(tx: Tx, run: Run, now: datetime) -> None:
    """At the end of a run: a mission past its end or over its budget is completed."""
    why = over(run, state_of(tx, run), now)
    if why is not None:
        tx.run("mission_completed", mission=run.mission_id, at=now, why=why)


def planned_posts(mission: Mission, start: datetime, end: datetime) -> int:
    """The posts between two aware times: ``posts_per_day`` for each local day that the cadence permits.

    The days begin with the local day of ``start``. Their number is the elapsed time in days, rounded and at
    least one, so that a day of 23 or 25 hours is one day. An empty window has no posts.
    """
    if start >= end:
        return 0
    first = pendulum.instance(start).in_timezone(mission.constraints.timezone).date()
    days = [first.add(days=n) for n in range(max(1, round((end - start) / _DAY)))]
    if mission.constraints.cadence == "weekdays":
        days = [day for day in days if day.weekday() < _SATURDAY]
    return len(days) * mission.constraints.posts_per_day


def estimate(posts: int, mission: Mission, account: Account, *, calendar: bool = True) -> Estimate:
    """Credits of a cycle of ``posts`` posts. ``calendar``: whether its strategy is still to be made.

    Every stage has an entry, also stages without a charge.
    """
    charges = account.charges
    free = Decimal(0)
    return Estimate(
        credits={
            "intake": free,
            "strategy": charges.calendar if calendar else free,
            "content": posts * charges.post,
            "publish": free,
            "analytics": free,
            "optimize": free,
        },
        items={
            "intake": 1,
            "strategy": int(calendar),
            "content": posts,
            "publish": posts,
            "analytics": 1,
            "optimize": 1,
        },
    )


def estimate_run(tx: Tx, run: Run) -> Estimate:
    """The estimate of the work that is left in a run: of its cycle, or of the cycle that it will plan."""
    cycle = find_cycle(tx, run)
    if cycle is None:
        return estimate(_posts_of_next_cycle(tx, run), run.mission, run.account)
    if cycle.strategy is None:
        posts = planned_posts(run.mission, cycle.starts_at, cycle.ends_at)
        return estimate(posts, run.mission, run.account)
    left: int = tx.value("slots_left", cycle=cycle.id)
    return estimate(left, run.mission, run.account, calendar=False)


def _posts_of_next_cycle(tx: Tx, run: Run) -> int:
    """The posts of a cycle that follows the last one without a gap: the most that it can have."""
    state, mission, now = state_of(tx, run), run.mission, datetime.now(UTC)
    first = state.started_at or mission.starts_at or now
    start = max(first, state.planned_until or first)
    end = min(start + timedelta(days=mission.cycle_days), end_of(mission, state, now))
    return planned_posts(mission, start, end)
