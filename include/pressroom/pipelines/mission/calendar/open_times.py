"""When posts can appear: the local days and times of a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from pressroom.domain.social import Platform
from pressroom.pipelines.mission.calendar.local_time import clock, dates, instant

_FURTHER = (0, 15, 30, 45, *(m for m in range(5, 60, 5) if m % 15), *(m for m in range(1, 60) if m % 5))
"""Minutes after a time at which another post can follow, when every time of the day is taken."""


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
    zone: ZoneInfo

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
    zone: ZoneInfo,
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
