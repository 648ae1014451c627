"""A cycle's findings, the changes they led to, and the next calendar's shares. Pure functions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.domain.strategy import WEEKDAYS
from pressroom.pipelines.mission.learning.changes import Insight, StrategyChange
from pressroom.ui.mission.facts import CycleRow, Facts, SlotRow

_LABELS = {
    "posts": "Posts it rests on",
    "others": "Posts without the level",
    "n": "Posts it rests on",
    "metric": "Metric to improve",
    "compared": "Comparisons made",
    "expected_ratio": "Expected ratio, new weights to old",
    "ratio": "Ratio to the other levels",
    "low": "95 % interval from",
    "high": "95 % interval to",
    "p_value": "Corrected p-value",
    "method": "Method",
}
"""Labels of the evidence's keys, in order. Other keys follow unchanged."""

_REPEATED = {"findings", "previous", "posterior"}
"""Keys of the evidence that repeat the insights or the change itself."""


@dataclass(frozen=True)
class Level:
    """One level of a factor: its weights, and its share (0 to 1) of the slots of a cycle and of the next
    cycle.

    None: unknown. ``weight_bars`` and ``share_bars``: before and after as lengths, 0 to 100.
    """

    name: str
    before: float | None
    after: float | None
    share: float | None
    next_share: float | None
    weight_bars: tuple[float, float]
    share_bars: tuple[float, float]


@dataclass(frozen=True)
class Shift:
    """A change of the strategy with its evidence. ``par``: the place of weight 1 on the bars, 0 to 100."""

    change: StrategyChange
    levels: Sequence[Level]
    par: float
    insights: Sequence[Insight]
    evidence: Sequence[tuple[str, str]]

    @property
    def state(self) -> str:
        """reverted, in force, or replaced by a later change."""
        if self.change.reverted:
            return "reverted"
        return "in force" if self.change.in_force else "replaced by a later change"


@dataclass(frozen=True)
class CycleLesson:
    """What was learned after one cycle. ``waiting``: why there is nothing yet; '' when it was optimized.

    ``next``: the cycle that was planned with it; None before it is planned. ``others``: insights that changed
    no weight. ``too_little``: platform → why nothing was learned there.
    """

    cycle: CycleRow
    next: CycleRow | None
    waiting: str
    shifts: Sequence[Shift]
    others: Sequence[Insight]
    too_little: Mapping[str, str]
    advice: Sequence[str]
    predicted: Sequence[tuple[str, str]]
    method: str
    learning: bool


def lessons(facts: Facts) -> list[CycleLesson]:
    """One for every cycle, the latest first."""
    by_number = {cycle.number: cycle for cycle in facts.cycles}
    return [_lesson(facts, cycle, by_number.get(cycle.number + 1)) for cycle in facts.cycles]


def _lesson(facts: Facts, cycle: CycleRow, following: CycleRow | None) -> CycleLesson:
    insights = [insight for insight in facts.insights if insight.cycle_id == cycle.id]
    changes = [change for change in facts.changes if change.cycle_id == cycle.id]
    slots = facts.slots.get(cycle.id, [])
    later = facts.slots.get(following.id, []) if following else []
    shifts = [_shift(change, insights, slots, later) for change in sorted(changes, key=_order)]
    used = {id(insight) for shift in shifts for insight in shift.insights}
    made = cycle.optimization or {}
    return CycleLesson(
        cycle=cycle,
        next=following if later else None,
        waiting=_waiting(facts, cycle),
        shifts=shifts,
        others=[insight for insight in insights if id(insight) not in used],
        too_little={str(name): text(why) for name, why in _mapping(made.get("too_little_data")).items()},
        advice=[text(sentence) for sentence in _sequence(made.get("recommendations"))],
        predicted=[
            (str(name), text(value)) for name, value in _mapping(made.get("predicted_improvement")).items()
        ],
        method=text(made.get("method") or ""),
        learning=made.get("learning_enabled", True) is not False,
    )


def _waiting(facts: Facts, cycle: CycleRow) -> str:
    if cycle.optimization is not None or cycle.optimized_at is not None:
        return ""
    if cycle.strategy is None:
        return "This cycle has no calendar yet."
    if cycle.measured_at is None:
        closes = facts.local(cycle.closes_at)
        return f"Its posts are measured until {closes.day} {closes:%b %Y, %H:%M}; what they teach comes then."
    return "Measured, and not evaluated yet."


def _order(change: StrategyChange) -> tuple[str, int]:
    return (change.platform, change.id)


def _shift(
    change: StrategyChange, insights: Sequence[Insight], slots: Sequence[SlotRow], later: Sequence[SlotRow]
) -> Shift:
    share = shares(slots, change.platform, change.factor)
    next_share = shares(later, change.platform, change.factor)
    names = {*map(str, change.before), *map(str, change.after), *share, *next_share}
    before, after = _weights(change.before, names), _weights(change.after, names)
    most = max([1.0, *before.values(), *after.values()])
    common = max([*share.values(), *next_share.values()], default=1.0)
    levels = [
        Level(
            name,
            before.get(name),
            after.get(name),
            share.get(name, 0.0) if share else None,
            next_share.get(name, 0.0) if next_share else None,
            (_length(before.get(name), most), _length(after.get(name), most)),
            (_length(share.get(name), common), _length(next_share.get(name), common)),
        )
        for name in _sorted(change.factor, names, after)
    ]
    own = [
        insight
        for insight in insights
        if (insight.platform, insight.factor) == (change.platform, change.factor)
    ]
    # Insights are shown beside the change, so the evidence's findings are shown only when it has no insight.
    repeated = _REPEATED if own or not change.evidence.get("findings") else _REPEATED - {"findings"}
    evidence = {key: value for key, value in change.evidence.items() if key not in repeated}
    return Shift(change, levels, _length(1.0, most), own, described(evidence))


def shares(slots: Sequence[SlotRow], platform: str, factor: str) -> dict[str, float]:
    """Level → its share of the platform's slots; empty without slots."""
    chosen = [
        str(slot.choices[factor]) for slot in slots if slot.platform == platform and factor in slot.choices
    ]
    return {level: number / len(chosen) for level, number in Counter(chosen).items()}


def _weights(stored: Mapping[str, Any], names: Collection[str]) -> dict[str, float]:
    """Level → weight, without invalid weights. A missing level has weight 1."""
    weights = {name: stored.get(name, 1.0) for name in names}
    return {
        name: float(weight)
        for name, weight in weights.items()
        if isinstance(weight, (int, float)) and math.isfinite(weight) and weight >= 0
    }


def _length(value: float | None, most: float) -> float:
    """A bar's length in percent of the longest bar."""
    return round(100 * (value or 0.0) / most, 1)


def _sorted(factor: str, names: Collection[str], after: Mapping[str, float]) -> list[str]:
    """Days and times in their order; other levels by weight, the heaviest first."""
    if factor == "weekday":
        return sorted(names, key=lambda name: (WEEKDAYS.index(name) if name in WEEKDAYS else 7, name))
    if factor == "time":
        return sorted(names)
    return sorted(names, key=lambda name: (-after.get(name, 0.0), name))


def described(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Evidence as label and text, known keys first; what is not known is shown all the same."""
    known = [(label, text(evidence[key])) for key, label in _LABELS.items() if key in evidence]
    unknown = [
        (str(key).replace("_", " "), text(value)) for key, value in evidence.items() if key not in _LABELS
    ]
    return known + unknown


def text(value: Any) -> str:
    """Any JSON value as people read it."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
        case int():
            return f"{value:,}"
        case Mapping():
            return (
                ", ".join(f"{str(key).replace('_', ' ')} {text(item)}" for key, item in value.items())
                or "none"
            )
        case list() | tuple():
            separator = "; " if any(isinstance(item, (Mapping, list)) for item in value) else ", "
            return separator.join(text(item) for item in value) or "none"
        case _:
            return str(value)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
