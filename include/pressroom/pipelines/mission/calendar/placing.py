"""The day and time of each slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from pressroom.domain.social import Platform
from pressroom.domain.strategy import Weights
from pressroom.pipelines.mission.calendar.open_times import OpenTimes, weekday_of
from pressroom.pipelines.mission.calendar.plans import Plan

MOST_ON_A_DAY = 2
"""Under a flexible cadence, the most posts on one day as a multiple of posts_per_day."""


@dataclass(frozen=True)
class PlacedSlot:
    """A slot with its time. ``choices``: its levels of ``weekday`` and ``time``."""

    platform: Platform
    at: datetime
    choices: Mapping[str, str]


@dataclass
class _Filling:
    """The number of posts on each day so far: ``total``, and ``own`` by platform. ``most``: the bounds."""

    open_times: OpenTimes
    most: Mapping[date, int]
    total: Counter[date] = field(default_factory=Counter)
    own: Counter[tuple[Platform, date]] = field(default_factory=Counter)

    def put(self, platform: Platform, day: date, number: int = 1) -> None:
        self.total[day] += number
        self.own[platform, day] += number

    def has_room(self, platform: Platform, day: date) -> bool:
        return self.own[platform, day] < self.open_times.capacities[platform, day]

    def free(self, platform: Platform) -> list[date]:
        """Days that can take another post of the platform; days over their bound only when all others are
        full.
        """
        open_days = [day for day in self.open_times.days if self.has_room(platform, day)]
        return [day for day in open_days if self.total[day] < self.most[day]] or open_days


def place(
    plan: Plan,
    platforms: Sequence[Platform],
    explores: Sequence[str | None],
    open_times: OpenTimes,
    weights: Weights,
    dice: np.random.Generator,
) -> list[PlacedSlot]:
    """A time for each of ``platforms`` (one entry a slot), in that order.

    Two slots of a platform never share an instant. A platform without a free time leaves its slots to others.
    """
    owners = _with_room(platforms, open_times)
    days = _days(plan, owners, explores, open_times, weights, dice)
    placed: dict[int, PlacedSlot] = {}
    for platform in dict.fromkeys(owners):
        own = [index for index, owner in enumerate(owners) if owner == platform]
        learned = weights.get(platform, {}).get("time", {})
        for day in dict.fromkeys(days[index] for index in own):
            # Slots that explore choose first: the times that were learned cannot take theirs.
            here = sorted((i for i in own if days[i] == day), key=lambda i: explores[i] != "time")
            taken: set[datetime] = set()
            for index in here:
                wishes = {} if explores[index] == "time" else learned
                level, moment = _time(platform, day, open_times, wishes, taken, dice)
                taken.add(moment)
                placed[index] = PlacedSlot(platform, moment, {"weekday": weekday_of(day), "time": level})
    return [placed[index] for index in range(len(owners))]


def largest_remainders(shares: Sequence[float], count: int, dice: np.random.Generator) -> list[int]:
    """Whole numbers that add up to ``count``, each within one of its share. Ties are drawn."""
    total = sum(shares)
    exact = [count * share / total for share in shares]
    numbers = [int(share + 1e-9) for share in exact]
    order = sorted(
        dice.permutation(len(shares)), key=lambda index: round(exact[index] - numbers[index], 9), reverse=True
    )
    for index in order[: count - sum(numbers)]:
        numbers[index] += 1
    return numbers


def _with_room(platforms: Sequence[Platform], open_times: OpenTimes) -> list[Platform]:
    left = {
        platform: sum(open_times.capacities[platform, day] for day in open_times.days)
        for platform in open_times.times
    }
    owners = []
    for wanted in platforms:
        platform = wanted if left[wanted] else max(left, key=lambda candidate: left[candidate])
        left[platform] -= 1
        owners.append(platform)
    return owners


def _days(
    plan: Plan,
    owners: Sequence[Platform],
    explores: Sequence[str | None],
    open_times: OpenTimes,
    weights: Weights,
    dice: np.random.Generator,
) -> list[date]:
    """A day for each slot."""
    flexible = plan.cadence == "flexible"
    filling = _Filling(open_times, _bounds(plan, len(owners), open_times, dice))
    wanted = {
        platform: _targets(
            platform,
            owners.count(platform),
            open_times,
            weights.get(platform, {}).get("weekday", {}) if flexible else {},
        )
        for platform in dict.fromkeys(owners)
    }
    chosen: dict[int, date] = {}
    for index in sorted(range(len(owners)), key=lambda i: explores[i] != "weekday"):
        platform = owners[index]
        free = filling.free(platform)
        if explores[index] == "weekday":
            day = free[int(dice.integers(len(free)))]
        else:
            lots = dice.random(len(free))
            # The day with the most posts missing; among equal days, the emptiest.
            day = max(
                zip(free, lots, strict=True),
                key=lambda option: (
                    round(wanted[platform][option[0]] - filling.own[platform, option[0]], 9),
                    -filling.total[option[0]] / open_times.share(option[0]),
                    option[1],
                ),
            )[0]
        filling.put(platform, day)
        chosen[index] = day
    if flexible:
        _leave_none_empty(owners, explores, chosen, filling, wanted)
    return [chosen[index] for index in range(len(owners))]


def _bounds(plan: Plan, count: int, open_times: OpenTimes, dice: np.random.Generator) -> Mapping[date, int]:
    """The most posts that each day takes."""
    if plan.cadence == "flexible":
        return dict.fromkeys(open_times.days, MOST_ON_A_DAY * plan.posts_per_day)
    shares = [open_times.share(day) for day in open_times.days]
    return dict(zip(open_times.days, largest_remainders(shares, count, dice), strict=True))


def _targets(
    platform: Platform, count: int, open_times: OpenTimes, learned: Mapping[str, float]
) -> dict[date, float]:
    """How many of a platform's posts each day should get: by weight, at most twice its even share."""
    even = {day: open_times.share_of(platform, day) for day in open_times.days}
    scale = count / max(1e-9, sum(even.values()))
    wish = {day: share * max(1e-6, learned.get(weekday_of(day), 1.0)) for day, share in even.items()}
    # A preferred day never gets more posts than it has times: two within an hour are too many.
    most = {
        day: min(
            MOST_ON_A_DAY * share * scale,
            max(share * scale, len(open_times.times[platform].get(day, {}))),
        )
        for day, share in even.items()
    }
    target = dict.fromkeys(even, 0.0)
    left = float(count)
    # What exceeds a day's bound goes to the days below theirs, in proportion, until no day exceeds its bound.
    while left > 1e-9:
        below = [day for day in even if wish[day] > 0 and target[day] < most[day] - 1e-9]
        if not below:
            break
        total = sum(wish[day] for day in below)
        added = {day: min(most[day] - target[day], left * wish[day] / total) for day in below}
        for day, number in added.items():
            target[day] += number
        left -= sum(added.values())
    return target


def _leave_none_empty(
    owners: Sequence[Platform],
    explores: Sequence[str | None],
    chosen: dict[int, date],
    filling: _Filling,
    wanted: Mapping[Platform, Mapping[date, float]],
) -> None:
    """Move single posts from days with several posts to days without any."""
    for day in filling.open_times.days:
        movable = [
            index
            for index, platform in enumerate(owners)
            if explores[index] != "weekday"
            and filling.total[chosen[index]] > 1
            and filling.open_times.capacities[platform, day]
        ]
        if filling.total[day] or not movable:
            continue
        # From the fullest day, and there from the platform with the most posts beyond its wish.
        index = max(
            movable,
            key=lambda i: (
                filling.total[chosen[i]],
                filling.own[owners[i], chosen[i]] - wanted[owners[i]][chosen[i]],
            ),
        )
        filling.put(owners[index], chosen[index], -1)
        filling.put(owners[index], day)
        chosen[index] = day


def _time(
    platform: Platform,
    day: date,
    open_times: OpenTimes,
    learned: Mapping[str, float],
    taken: set[datetime],
    dice: np.random.Generator,
) -> tuple[str, datetime]:
    """A free level, drawn by weight, with its instant; when none is free, an instant in the hour after."""
    levels = open_times.times[platform][day]
    free = {level: moment for level, moment in levels.items() if moment not in taken}
    if not free:
        free = {
            level: moments[0]
            for level in levels
            if (
                moments := [
                    instant for instant in open_times.instants(platform, day, level) if instant not in taken
                ]
            )
        }
    wishes = np.array([max(1e-6, learned.get(level, 1.0)) for level in free])
    level = list(free)[int(dice.choice(len(free), p=wishes / wishes.sum()))]
    return level, free[level]
