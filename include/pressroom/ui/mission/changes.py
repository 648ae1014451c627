"""What a cycle taught, what that changed, and what the next calendar did with it. Pure functions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.domain.strategy import WEEKDAYS
from pressroom.pipelines.mission.learning.changes import Change, Insight
from pressroom.ui.mission.facts import CycleRow, Facts, SlotRow

_LABELS = {
    "posts": "Posts it rests on",
    "others": "Posts without the level",
    "n": "Posts it rests on",
    "metric": "What shall get better",
    "compared": "Comparisons made",
    "expected_ratio": "Expected ratio, new weights to old",
    "ratio": "Ratio to the other levels",
    "low": "95 % interval from",
    "high": "95 % interval to",
    "p_value": "Corrected p-value",
    "method": "Method",
}
"""Keys of the evidence as people read them, in this order; any other key comes after them, as it is."""

_REPEATED = {"findings", "previous", "posterior"}
"""What the evidence repeats of the insights and of the change itself."""


@dataclass(frozen=True)
class Level:
    """One level of a factor: its weights, and its share (0 to 1) of the slots of a cycle and of the next one.

    None: not known. ``weight_bars`` and ``share_bars``: before and after as lengths, 0 to 100.
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
    """A change of the strategy beside what it rests on. ``par``: where weight 1 is on the bars, 0 to 100."""

    change: Change
    levels: Sequence[Level]
    par: float
    insights: Sequence[Insight]
    evidence: Sequence[tuple[str, str]]

    @property
    def state(self) -> str:
        """Whether strategy goes by it now."""
        if self.change.reverted:
            return "reverted"
        return "in force" if self.change.in_force else "replaced by a later change"


@dataclass(frozen=True)
class Lesson:
    """What was learned after one cycle. ``waiting``: why there is nothing yet, '' when it was optimized.

    ``next``: the cycle that was planned with it, None while there is none; ``others``: insights that changed
    no weight; ``too_little``: platform → why nothing was learned there.
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


def lessons(facts: Facts) -> list[Lesson]:
    """One for every cycle, the latest first."""
    by_number = {cycle.number: cycle for cycle in facts.cycles}
    return [_lesson(facts, cycle, by_number.get(cycle.number + 1)) for cycle in facts.cycles]


def _lesson(facts: Facts, cycle: CycleRow, following: CycleRow | None) -> Lesson:
    insights = [one for one in facts.insights if one.cycle_id == cycle.id]
    changes = [one for one in facts.changes if one.cycle_id == cycle.id]
    slots = facts.slots.get(cycle.id, [])
    later = facts.slots.get(following.id, []) if following else []
    shifts = [_shift(change, insights, slots, later) for change in sorted(changes, key=_order)]
    used = {id(one) for shift in shifts for one in shift.insights}
    made = cycle.optimization or {}
    return Lesson(
        cycle=cycle,
        next=following if later else None,
        waiting=_waiting(facts, cycle),
        shifts=shifts,
        others=[one for one in insights if id(one) not in used],
        too_little={str(name): text(why) for name, why in _mapping(made.get("too_little_data")).items()},
        advice=[text(one) for one in _sequence(made.get("recommendations"))],
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


def _order(change: Change) -> tuple[str, int]:
    return (change.platform, change.id)


def _shift(
    change: Change, insights: Sequence[Insight], slots: Sequence[SlotRow], later: Sequence[SlotRow]
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
    own = [one for one in insights if (one.platform, one.factor) == (change.platform, change.factor)]
    # What a finding says stands beside the change; only findings that no insight tells are shown from here.
    told = _REPEATED if own or not change.evidence.get("findings") else _REPEATED - {"findings"}
    evidence = {key: value for key, value in change.evidence.items() if key not in told}
    return Shift(change, levels, _length(1.0, most), own, described(evidence))


def shares(slots: Sequence[SlotRow], platform: str, factor: str) -> dict[str, float]:
    """Level → share of the platform's slots that have it; empty without slots."""
    chosen = [
        str(slot.choices[factor]) for slot in slots if slot.platform == platform and factor in slot.choices
    ]
    return {level: number / len(chosen) for level, number in Counter(chosen).items()}


def _weights(stored: Mapping[str, Any], names: Collection[str]) -> dict[str, float]:
    """Level → weight, without those that cannot be drawn. A level that is missing has no preference."""
    found = {name: stored.get(name, 1.0) for name in names}
    return {
        name: float(weight)
        for name, weight in found.items()
        if isinstance(weight, (int, float)) and math.isfinite(weight) and weight >= 0
    }


def _length(value: float | None, most: float) -> float:
    """A bar's length in percent of the longest one."""
    return round(100 * (value or 0.0) / most, 1)


def _sorted(factor: str, names: Collection[str], after: Mapping[str, float]) -> list[str]:
    """Days and times in their own order; other levels by their weight, the heaviest first."""
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
                ", ".join(f"{str(key).replace('_', ' ')} {text(one)}" for key, one in value.items()) or "none"
            )
        case list() | tuple():
            separator = "; " if any(isinstance(one, (Mapping, list)) for one in value) else ", "
            return separator.join(text(one) for one in value) or "none"
        case _:
            return str(value)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
