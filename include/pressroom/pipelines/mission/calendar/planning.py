"""An editorial calendar: how many slots, when, where, and what each of them decides.

No model takes part. ``plan_calendar`` turns a plan and the learned weights into slots:

* **How many**: ``posts_per_day`` for every local day of the window that the cadence permits. A day counts by
  the share of its times that lies in the window (which may start at noon, or at ``earliest``). The number is
  posts_per_day × the sum of these shares, rounded, and at least one.
* **Platforms** take turns: their shares differ by one at most, unless a platform has no time left.
* **Days**: ``daily`` and ``weekdays`` give every whole day the same number. ``flexible`` shares a platform's
  posts out by its weekday weights: at most twice posts_per_day on one day, and no day without a post while
  another has two.
* **Times**: drawn by weight, each once a day and platform. When a day needs more posts than it has times,
  more follow within the hour.
* **Pillars**: shares of base weight × learned weight, turned into numbers by largest remainder. No pillar
  falls below a quarter of its base share.
* **Everything else**: each level gets its share of the slots by weight, rounded up or down by chance.

The learned weights are each level's probability of being the best: to draw by them is Thompson sampling.
**Exploration** comes on top: a stated share of the slots draws one factor from all its levels alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pressroom.domain.errors import ConfigurationError, PastDate
from pressroom.domain.social import Platform
from pressroom.domain.strategy import FACTORS, Slot, Weights
from pressroom.pipelines.mission.calendar.open_times import OpenTimes, find_open_times
from pressroom.pipelines.mission.calendar.placing import PlacedSlot, largest_remainders, place
from pressroom.pipelines.mission.calendar.plans import Plan

PILLAR_FLOOR = 0.25
"""The part of its base share that a pillar always keeps."""

EXPLORE_FROM = 5
"""A calendar with this many slots has at least one that explores."""

_DRAWN = ("format", "length", "hashtags", "visual")


def planned_count(plan: Plan) -> int:
    """How many slots the calendar will have; 0 when the window has no room at all."""
    return _count(plan, _openings(plan))


def plan_calendar(plan: Plan, weights: Weights, seed: int) -> list[Slot]:
    """The calendar, by time. The same plan, weights and seed give the same one.

    Raises PastDate when the window had room, but none after ``earliest``; ConfigurationError when it had none
    to begin with (a weekend, with posts on weekdays only).
    """
    open_times = _openings(plan)
    count = _count(plan, open_times)
    if not count:
        raise _no_room(plan)
    dice = np.random.default_rng(seed)
    first = int(dice.integers(len(plan.platforms)))
    platforms = [plan.platforms[(first + turn) % len(plan.platforms)] for turn in range(count)]
    explores = _exploring(plan, platforms, dice)
    placed = place(plan, platforms, explores, open_times, weights, dice)
    choices = _contents(plan, placed, explores, weights, dice)
    slots = [
        Slot(
            at=spot.at,
            day=spot.at.astimezone(plan.zone).date(),
            time=spot.at.astimezone(plan.zone).time(),
            platform=spot.platform,
            choices={
                factor: level for factor in FACTORS if (level := {**spot.choices, **chosen}.get(factor))
            },
            explores=explored,
        )
        for spot, chosen, explored in zip(placed, choices, explores, strict=True)
    ]
    return sorted(slots, key=lambda slot: (slot.at, slot.platform))


def _openings(plan: Plan) -> OpenTimes:
    return find_open_times(
        max(plan.start, plan.earliest),
        plan.end,
        plan.zone,
        {platform: plan.levels[platform]["time"] for platform in plan.platforms},
        working_days=plan.cadence == "weekdays",
    )


def _count(plan: Plan, open_times: OpenTimes) -> int:
    exact = plan.posts_per_day * sum(open_times.share(day) for day in open_times.days)
    if exact <= 0:
        return 0
    return min(max(1, math.floor(exact + 0.5)), open_times.capacity)


def _no_room(plan: Plan) -> Exception:
    if planned_count(_from_the_start(plan)):
        return PastDate(f"no posting time is left from {plan.earliest:%Y-%m-%d %H:%M %Z} to the cycle's end")
    return ConfigurationError(
        f"there is no posting time between {plan.start:%Y-%m-%d %H:%M %Z} and {plan.end:%Y-%m-%d %H:%M %Z}"
        f" with the cadence {plan.cadence}"
    )


def _from_the_start(plan: Plan) -> Plan:
    return Plan(**{**vars(plan), "earliest": plan.start})


def _exploring(plan: Plan, platforms: Sequence[Platform], dice: np.random.Generator) -> list[str | None]:
    """The factor that each slot explores, or None. Factors take turns, in a drawn order."""
    count = len(platforms)
    number = math.floor(plan.exploration_share * count + 0.5)
    if plan.exploration_share > 0 and count >= EXPLORE_FROM:
        number = max(1, number)
    explored: list[str | None] = [None] * count
    turns = [str(factor) for factor in dice.permutation([factor for factor in FACTORS if factor != "topic"])]
    for index in dice.choice(count, size=min(number, count), replace=False):
        free = _free_factors(plan, platforms[index])
        factor = next((factor for factor in turns if factor in free), None)
        if factor is not None:
            explored[index] = factor
            turns.remove(factor)
            turns.append(factor)
    return explored


def _free_factors(plan: Plan, platform: Platform) -> set[str]:
    """The factors in which a platform's slots have a choice."""
    levels = {**plan.levels[platform], "pillar": list(plan.pillar_weights)}
    free = {factor for factor, among in levels.items() if len(among) > 1 and factor in FACTORS}
    return (free | {"weekday"} if plan.cadence == "flexible" else free - {"weekday"}) - {"topic"}


def _contents(
    plan: Plan,
    placed: Sequence[PlacedSlot],
    explores: Sequence[str | None],
    weights: Weights,
    dice: np.random.Generator,
) -> list[dict[str, str]]:
    """Each slot's levels of all factors but weekday and time."""
    chosen: list[dict[str, str]] = [{} for _ in placed]
    for platform in plan.platforms:
        own = [index for index, spot in enumerate(placed) if spot.platform == platform]
        among = {**plan.levels[platform], "pillar": list(plan.pillar_weights)}
        for factor in ("pillar", *_DRAWN):
            levels = among.get(factor, ())
            if not levels:
                continue
            learned = weights.get(platform, {}).get(factor, {})
            wishes = [max(0.0, learned.get(level, 1.0)) for level in levels]
            trying = [index for index in own if explores[index] == factor]
            for index in trying:
                chosen[index][factor] = levels[int(dice.integers(len(levels)))]
            rest = [index for index in own if explores[index] != factor]
            if factor == "pillar":
                shares = pillar_shares([plan.pillar_weights[level] for level in levels], wishes)
                numbers = largest_remainders(shares, len(rest), dice)
            else:
                numbers = _by_chance(wishes, len(rest), dice)
            decided = [level for level, number in zip(levels, numbers, strict=True) for _ in range(number)]
            for index, place_in_list in zip(rest, dice.permutation(len(rest)), strict=True):
                chosen[index][factor] = decided[place_in_list]
    return chosen


def pillar_shares(base: Sequence[float], learned: Sequence[float]) -> list[float]:
    """Shares that sum to 1, each at least PILLAR_FLOOR of its base."""
    wished = [share * weight for share, weight in zip(base, learned, strict=True)]
    total = sum(wished)
    if total <= 0:
        wished, total = list(base), sum(base)
    return [
        PILLAR_FLOOR * share / sum(base) + (1 - PILLAR_FLOOR) * wish / total
        for share, wish in zip(base, wished, strict=True)
    ]


def _by_chance(wishes: Sequence[float], count: int, dice: np.random.Generator) -> list[int]:
    """Numbers that add up to ``count``, each within one of its share, and equal to it on average."""
    total = sum(wishes)
    shares = [wish / total for wish in wishes] if total > 0 else [1 / len(wishes)] * len(wishes)
    # Systematic sampling: marks at equal distances, from a start that is drawn.
    edges = np.floor(np.cumsum([0.0, *shares]) * count + dice.random())
    edges[-1] = edges[0] + count
    return [int(number) for number in np.diff(np.minimum(edges, edges[-1]))]
