"""Compares two cycles of a mission: their slots, their results, and what was learned between them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pressroom.pipelines.mission.learning.changes import StrategyChange, changes
from pressroom.store.database import Tx


@dataclass(frozen=True)
class Share:
    """A level's share of a platform's slots, in the earlier and in the later cycle: 0 to 1."""

    platform: str
    factor: str
    level: str
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """``before`` and ``after``: engagements a post. ``shares``: those that changed, the largest change
    first.
    """

    numbers: tuple[int, int]
    before: float
    after: float
    changes: list[StrategyChange]
    shares: list[Share]


def compare_cycles(
    tx: Tx, mission_id: int, earlier_run: int, later_run: int, *, most: int = 12
) -> Comparison:
    """The comparison of the cycles of two runs."""
    facts = {
        row["run_id"]: row
        for row in tx.rows("cycle_engagement", mission=mission_id, runs=[earlier_run, later_run])
    }
    first, second = facts[earlier_run], facts[later_run]
    shares = [
        Share(row["platform"], row["factor"], row["level"], float(row["before"]), float(row["after"]))
        for row in tx.rows(
            "level_shares", mission=mission_id, earlier=first["cycle_id"], later=second["cycle_id"]
        )
        if row["before"] != row["after"]
    ]
    return Comparison(
        (first["number"], second["number"]),
        _mean(first["engagements"], first["posts"]),
        _mean(second["engagements"], second["posts"]),
        [change for change in changes(tx, mission_id) if change.cycle_id == first["cycle_id"]],
        sorted(shares, key=lambda share: -abs(share.after - share.before))[:most],
    )


def _mean(total: Decimal, count: int) -> float:
    return float(total) / count if count else 0.0
