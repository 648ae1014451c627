"""A mission's cycle, which its stages share; when a mission may run, and when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import PermanentError, WorkflowOver
from pressroom.domain.run import Run
from pressroom.pipelines.stage import must_be_active
from pressroom.store.database import Tx


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
    began = state.started_at or mission.starts_at
    if began is not None:
        end = mission.ends(began)
        # Whatever is left after the last cycle was planned, nothing can be posted in.
        if now >= end or (state.planned_until is not None and state.planned_until >= end):
            return f"it ended at {end:%Y-%m-%d %H:%M} UTC"
    budget = mission.total_cents
    if budget is not None and state.spent_cents >= budget:
        return f"its budget of {budget} cents is used up ({state.spent_cents:.4f} spent)"
    return None


def settle(tx: Tx, run: Run, now: datetime) -> None:
    """At the end of a run: a mission past its end or over its budget is completed."""
    why = over(run, state_of(tx, run), now)
    if why is not None:
        tx.run("mission_completed", mission=run.mission_id, at=now, why=why)
