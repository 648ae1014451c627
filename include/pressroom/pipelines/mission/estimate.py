"""The number of posts of a cycle, and the credits that a run of it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from pressroom.domain.definitions import Account
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.pipelines.estimate import Estimate
from pressroom.pipelines.mission.cycle import find_cycle, state_of
from pressroom.store.database import Tx

_DAY = timedelta(days=1)
_SATURDAY = 5


def planned_posts(mission: Mission, start: datetime, end: datetime) -> int:
    """The posts between two aware times: ``posts_per_day`` for each local day that the cadence permits.

    The days begin with the local day of ``start``. Their number is the elapsed time in days, rounded and at
    least one, so that a day of 23 or 25 hours is one day. An empty window has no posts.
    """
    if start >= end:
        return 0
    first = start.astimezone(ZoneInfo(mission.constraints.timezone)).date()
    days = [first + _DAY * n for n in range(max(1, round((end - start) / _DAY)))]
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
    state = state_of(tx, run)
    began = state.started_at or run.mission.starts_at or datetime.now(UTC)
    start = max(began, state.planned_until or began)
    end = min(start + timedelta(days=run.mission.cycle_days), run.mission.ends(began))
    return planned_posts(run.mission, start, end)
