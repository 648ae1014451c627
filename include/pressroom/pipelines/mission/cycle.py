"""A mission's cycle, which its stages share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import PermanentError
from pressroom.domain.run import Run
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
