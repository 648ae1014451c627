"""Which day and time each slot gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

import numpy as np

from pressroom.domain.social import Platform
from pressroom.domain.strategy import Weights
from pressroom.pipelines.mission.calendar.local_time import weekday_of
from pressroom.pipelines.mission.calendar.openings import Openings

MOST_ON_A_DAY = 2
"""A flexible cadence puts at most this many times posts_per_day on one day."""


class Cadence(Protocol):
    """The part of a plan that placing needs."""

    @property
    def cadence(self) -> Literal["flexible", "daily", "weekdays"]: ...

    @property
    def posts_per_day(self) -> int: ...

    @property
    def platforms(self) -> Sequence[Platform]: ...


@dataclass(frozen=True)
class Placed:
    """A slot that has its place. ``choices``: its levels of ``weekday`` and ``time``."""

    platform: Platform
    at: datetime
    choices: Mapping[str, str]


@dataclass
class _Filling:
    """How full the days are so far."""

    open_times: Openings
    most: Mapping[date, int]
    total: Counter[date] = field(default_factory=Counter)
    own: Counter[tuple[Platform, date]] = field(default_factory=Counter)

    def put(self, platform: Platform, day: date, number: int = 1) -> None:
        self.total[day] += number
        self.own[platform, day] += number

    def has_room(self, platform: Platform, day: date) -> bool:
        return self.own[platform, day] < self.open_times.rooms[platform, day]

    def free(self, platform: Platform) -> list[date]:
        """Days that can take another post of the platform; days over their bound only when no other can."""
        open_days = [day for day in self.open_times.days if self.has_room(platform, day)]
        return [day for day in open_days if self.total[day] < self.most[day]] or open_days


def place(
    plan: Cadence,
    platforms: Sequence[Platform],
    explores: Sequence[str | None],
    open_times: Openings,
    weights: Weights,
    dice: np.random.Generator,
) -> list[Placed]:
    """A place for each of ``platforms`` (one entry a slot), in that order.

    No two slots of a platform share an instant. A platform without room leaves its slots to others.
    """
    owners = _with_room(platforms, open_times)
    days = _days(plan, owners, explores, open_times, weights, dice)
    found: dict[int, Placed] = {}
    for platform in dict.fromkeys(owners):
        own = [index for index, owner in enumerate(owners) if owner == platform]
        learned = weights.get(platform, {}).get("time", {})
        for day in dict.fromkeys(days[index] for index in own):
            # Those that explore choose first, so that nothing that was learned is in their way.
            here = sorted((i for i in own if days[i] == day), key=lambda i: explores[i] != "time")
            taken: set[datetime] = set()
            for index in here:
                wishes = {} if explores[index] == "time" else learned
                level, moment = _time(platform, day, open_times, wishes, taken, dice)
                taken.add(moment)
                found[index] = Placed(platform, moment, {"weekday": weekday_of(day), "time": level})
    return [found[index] for index in range(len(owners))]


def largest_remainders(shares: Sequence[float], count: int, dice: np.random.Generator) -> list[int]:
    """Whole numbers that add up to ``count``, each within one of its share. Ties are drawn."""
    total = sum(shares)
    exact = [count * share / total for share in shares]
    numbers = [int(one + 1e-9) for one in exact]
    order = sorted(
        dice.permutation(len(shares)), key=lambda index: round(exact[index] - numbers[index], 9), reverse=True
    )
    for index in order[: count - sum(numbers)]:
        numbers[index] += 1
    return numbers


def _with_room(platforms: Sequence[Platform], open_times: Openings) -> list[Platform]:
    left = {
        platform: sum(open_times.rooms[platform, day] for day in open_times.days)
        for platform in open_times.times
    }
    owners = []
    for wanted in platforms:
        platform = wanted if left[wanted] else max(left, key=lambda one: left[one])
        left[platform] -= 1
        owners.append(platform)
    return owners


def _days(
    plan: Cadence,
    owners: Sequence[Platform],
    explores: Sequence[str | None],
    open_times: Openings,
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
    found: dict[int, date] = {}
    for index in sorted(range(len(owners)), key=lambda i: explores[i] != "weekday"):
        platform = owners[index]
        free = filling.free(platform)
        if explores[index] == "weekday":
            day = free[int(dice.integers(len(free)))]
        else:
            lots = dice.random(len(free))
            # The day that lacks most of what it should get; of equal ones, the emptiest.
            day = max(
                zip(free, lots, strict=True),
                key=lambda one: (
                    round(wanted[platform][one[0]] - filling.own[platform, one[0]], 9),
                    -filling.total[one[0]] / open_times.share(one[0]),
                    one[1],
                ),
            )[0]
        filling.put(platform, day)
        found[index] = day
    if flexible:
        _leave_none_empty(owners, explores, found, filling, wanted)
    return [found[index] for index in range(len(owners))]


def _bounds(plan: Cadence, count: int, open_times: Openings, dice: np.random.Generator) -> Mapping[date, int]:
    """The most posts that each day takes."""
    if plan.cadence == "flexible":
        return dict.fromkeys(open_times.days, MOST_ON_A_DAY * plan.posts_per_day)
    shares = [open_times.share(day) for day in open_times.days]
    return dict(zip(open_times.days, largest_remainders(shares, count, dice), strict=True))


def _targets(
    platform: Platform, count: int, open_times: Openings, learned: Mapping[str, float]
) -> dict[date, float]:
    """How many of a platform's posts each day should get: by weight, at most twice its even share."""
    even = {day: open_times.share_of(platform, day) for day in open_times.days}
    scale = count / max(1e-9, sum(even.values()))
    wish = {day: share * max(1e-6, learned.get(weekday_of(day), 1.0)) for day, share in even.items()}
    # No preference for a day is worth a second post within the hour.
    most = {
        day: min(
            MOST_ON_A_DAY * share * scale,
            max(share * scale, len(open_times.times[platform].get(day, {}))),
        )
        for day, share in even.items()
    }
    target = dict.fromkeys(even, 0.0)
    left = float(count)
    # What exceeds a day's bound goes to the days below theirs, in proportion, until nothing exceeds any.
    while left > 1e-9:
        below = [day for day in even if wish[day] > 0 and target[day] < most[day] - 1e-9]
        if not below:
            break
        total = sum(wish[day] for day in below)
        given = {day: min(most[day] - target[day], left * wish[day] / total) for day in below}
        for day, number in given.items():
            target[day] += number
        left -= sum(given.values())
    return target


def _leave_none_empty(
    owners: Sequence[Platform],
    explores: Sequence[str | None],
    found: dict[int, date],
    filling: _Filling,
    wanted: Mapping[Platform, Mapping[date, float]],
) -> None:
    """Move single posts from days that have several to days that have none."""
    for day in filling.open_times.days:
        movable = [
            index
            for index, platform in enumerate(owners)
            if explores[index] != "weekday"
            and filling.total[found[index]] > 1
            and filling.open_times.rooms[platform, day]
        ]
        if filling.total[day] or not movable:
            continue
        # From the fullest day, the platform that misses the post least there.
        index = max(
            movable,
            key=lambda i: (
                filling.total[found[i]],
                filling.own[owners[i], found[i]] - wanted[owners[i]][found[i]],
            ),
        )
        filling.put(owners[index], found[index], -1)
        filling.put(owners[index], day)
        found[index] = day


def _time(
    platform: Platform,
    day: date,
    open_times: Openings,
    learned: Mapping[str, float],
    taken: set[datetime],
    dice: np.random.Generator,
) -> tuple[str, datetime]:
    """A level drawn by weight among those still free, with its instant; the hours after them when none is."""
    levels = open_times.times[platform][day]
    free = {level: moment for level, moment in levels.items() if moment not in taken}
    if not free:
        free = {
            level: moments[0]
            for level in levels
            if (moments := [one for one in open_times.instants(platform, day, level) if one not in taken])
        }
    wishes = np.array([max(1e-6, learned.get(level, 1.0)) for level in free])
    level = list(free)[int(dice.choice(len(free), p=wishes / wishes.sum()))]
    return level, free[level]
