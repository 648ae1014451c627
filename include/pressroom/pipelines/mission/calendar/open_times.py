"""When posts can appear: local times as instants in UTC, daylight saving time included."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import pendulum
from pendulum import Timezone

from pressroom.domain.social import Platform
from pressroom.domain.strategy import WEEKDAYS

NOTICE = timedelta(minutes=10)
"""The least time between now and the new time of a late post."""

_SATURDAY = 5

_FURTHER = (0, 15, 30, 45, *(m for m in range(5, 60, 5) if m % 15), *(m for m in range(1, 60) if m % 5))
"""Minutes after a time at which another post can follow, when every time of the day is taken."""


def instant(day: date, at: time, zone: Timezone) -> datetime:
    """The moment, in UTC, at which the clocks of the zone show this time.

    A time that the clocks skip moves forward by what they skip (02:30 becomes 03:30). A time that they show
    twice means its first moment.
    """
    # Of a pair of moments, pendulum's fold=1 is the later one: for a time that is skipped, what is wanted.
    shown = zone.convert(datetime.combine(day, at.replace(fold=1)))
    return shown.replace(fold=0).astimezone(UTC)


def clock(level: str) -> time:
    """The time of day of a level of the factor ``time`` ("HH:MM")."""
    return time.fromisoformat(level)


def weekday_of(day: date) -> str:
    """The level of the factor ``weekday``."""
    return WEEKDAYS[day.weekday()]


def dates(start: datetime, end: datetime, zone: Timezone, *, working_days: bool = False) -> Iterator[date]:
    """Every local date that the window touches. ``working_days``: Monday to Friday only."""
    day, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    while day <= last:
        if not working_days or day.weekday() < _SATURDAY:
            yield day
        day += timedelta(days=1)


def replan(
    at: datetime,
    now: datetime,
    taken: Collection[datetime],
    *,
    timezone: str,
    times: Sequence[str],
    end: datetime,
    working_days: bool = False,
) -> datetime | None:
    """A new time, in UTC, for a post whose time has passed. None when no time is left before ``end``.

    It is the first of the local ``times`` ("HH:MM") that is later than ``at``, at least ten minutes after
    ``now``, before ``end``, and not ``taken`` by a post of the same platform.
    """
    zone = pendulum.timezone(timezone)
    earliest = max(at, now + NOTICE)
    used = {moment.astimezone(UTC) for moment in taken}
    for day in dates(earliest, end, zone, working_days=working_days):
        for moment in sorted(instant(day, clock(level), zone) for level in times):
            if moment >= earliest and moment > at and moment < end and moment not in used:
                return moment
    return None


@dataclass(frozen=True)
class OpenTimes:
    """The times within a window.

    ``times``: platform → day → level of ``time`` → its instant, in UTC, for levels that lie in the window.
    ``full_day``: platform → how many times a whole day has. ``start`` and ``end``: the window. ``zone``: the
    time zone of its days.
    """

    times: Mapping[Platform, Mapping[date, Mapping[str, datetime]]]
    full_day: Mapping[Platform, int]
    start: datetime
    end: datetime
    zone: Timezone

    @cached_property
    def days(self) -> Sequence[date]:
        """Every day with a time on any platform, in order."""
        return sorted({day for days in self.times.values() for day, levels in days.items() if levels})

    def share(self, day: date) -> float:
        """The share of a day's times that lies in the window, averaged over the platforms. A whole day: 1."""
        parts = [self.share_of(platform, day) for platform in self.times]
        return sum(parts) / len(parts)

    def share_of(self, platform: Platform, day: date) -> float:
        """The share of a day's times of one platform that lies in the window."""
        return len(self.times[platform].get(day, {})) / max(1, self.full_day[platform])

    def instants(self, platform: Platform, day: date, level: str) -> list[datetime]:
        """The level's instant, then the instants in the hour after it, the preferred ones first."""
        first = self.times[platform][day][level]
        return [
            moment
            for minutes in _FURTHER
            if (moment := first + timedelta(minutes=minutes)) < self.end
            and moment.astimezone(self.zone).date() == day
        ]

    @cached_property
    def capacities(self) -> Mapping[tuple[Platform, date], int]:
        """How many posts a platform can take on a day."""
        return {
            (platform, day): len(
                {moment for level in levels for moment in self.instants(platform, day, level)}
            )
            for platform, days in self.times.items()
            for day, levels in days.items()
        }

    @property
    def capacity(self) -> int:
        """How many posts the window can take."""
        return sum(self.capacities.values())


def find_open_times(
    start: datetime,
    end: datetime,
    zone: Timezone,
    levels: Mapping[Platform, Sequence[str]],
    *,
    working_days: bool = False,
) -> OpenTimes:
    """The times from ``start`` until before ``end``. ``levels``: each platform's local times ("HH:MM")."""
    days = list(dates(start, end, zone, working_days=working_days)) if start < end else []

    def of(level: str, day: date) -> datetime | None:
        moment = instant(day, clock(level), zone)
        # A date that a zone skipped has no times.
        return moment if start <= moment < end and moment.astimezone(zone).date() == day else None

    times = {
        platform: {
            day: {level: moment for level in own if (moment := of(level, day)) is not None} for day in days
        }
        for platform, own in levels.items()
    }
    return OpenTimes(times, {platform: len(own) for platform, own in levels.items()}, start, end, zone)
