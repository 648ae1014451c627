"""When a mission may run, and when it is over."""

from __future__ import annotations

from datetime import datetime

from pressroom.domain.errors import WorkflowOver
from pressroom.domain.run import Run
from pressroom.pipelines.mission.cycle import MissionState, state_of
from pressroom.pipelines.stage import must_be_active
from pressroom.store.database import Tx


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
