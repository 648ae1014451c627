"""Strategy parameters: the weights in force, the changes behind them, and reverting a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.domain.missions import Mission
from pressroom.domain.social import Platform
from pressroom.domain.strategy import Weights
from pressroom.store.database import Tx


@dataclass(frozen=True)
class StrategyChange:
    """A change of the weights of one factor on one platform, as a cycle's optimize made it.

    ``before`` and ``after``: level → weight. ``in_force``: it is the latest change of its platform and factor
    that was not reverted.
    """

    id: int
    cycle_id: int
    cycle: int
    platform: str
    factor: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    evidence: Mapping[str, Any]
    in_force: bool
    reverted_at: datetime | None
    reverted_by: str | None
    created_at: datetime

    @property
    def reverted(self) -> bool:
        """Whether somebody reverted it."""
        return self.reverted_at is not None


@dataclass(frozen=True)
class Insight:
    """A finding of a cycle's optimize. ``confidence``: 1 − corrected p-value."""

    id: int
    cycle_id: int
    cycle: int
    type: str
    platform: str
    factor: str
    level: str
    finding: str
    confidence: float
    action: str
    evidence: Mapping[str, Any]
    created_at: datetime


def weights_in_force(tx: Tx, mission_id: int) -> Weights:
    """The weights in force. A platform or factor without a change is missing: it has no preference."""
    weights: dict[Platform, dict[str, Mapping[str, float]]] = {}
    for row in tx.rows("weights_in_force", mission=mission_id):
        weights.setdefault(Platform(row["platform"]), {})[row["factor"]] = row["after"]
    return weights


def proven_topics(tx: Tx, mission_id: int, limit: int) -> list[str]:
    """The topics whose posts did best at the age from which posts count, best first.

    Engagements are compared with the average of the same platform, so that no topic wins by its platform.
    Topics without a post of that age are left out.
    """
    mission = Mission.model_validate(tx.value("mission_definition", mission=mission_id))
    mature = timedelta(hours=mission.measuring.mature_hours)
    topics: list[str] = tx.values("proven_topics", mission=mission_id, mature=mature, most=limit)
    return topics


def changes(tx: Tx, mission_id: int) -> list[StrategyChange]:
    """Every change of the mission's strategy, latest first, also reverted ones."""
    return tx.all("strategy_changes", StrategyChange, mission=mission_id, change=None, cycle=None)


def insights(tx: Tx, mission_id: int) -> list[Insight]:
    """The mission's insights, latest cycle first."""
    return tx.all("insights", Insight, mission=mission_id)


def revert(tx: Tx, mission_id: int, change_id: int, by: str) -> StrategyChange:
    """Revert a change: the weights before it are in force again, unless a later change stands.

    Returns the change as it is now. The next cycle's results may lead to the same change, with new evidence
    and a new id. Raises PermanentError when the mission has no such change, RunConflict when it is reverted
    already.
    """
    done = tx.run("strategy_change_revert", mission=mission_id, change=change_id, by=by)
    change = tx.maybe("strategy_changes", StrategyChange, mission=mission_id, change=change_id, cycle=None)
    if change is None:
        raise PermanentError(f"this mission has no strategy change {change_id}")
    if not done:
        raise RunConflict(
            f"strategy change {change_id} was reverted already, at {change.reverted_at:%Y-%m-%d %H:%M} UTC"
            f" by {change.reverted_by}"
        )
    return change
