"""Local times as instants in UTC, daylight saving time included; new times for late posts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pressroom.domain.strategy import WEEKDAYS

NOTICE = timedelta(minutes=10)
"""The least time between now and the new time of a late post."""

_SATURDAY = 5


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The moment, in UTC, at which the clocks of the zone show this time.

    A time that the clocks skip moves forward by what they skip (02:30 becomes 03:30). A time that they show
    twice means its first moment.
    """
    return datetime.combine(day, at.replace(fold=0), tzinfo=zone).astimezone(UTC)


def clock(level: str) -> time:
    """The time of day of a level of the factor ``time`` ("HH:MM")."""
    return time.fromisoformat(level)


def weekday_of(day: date) -> str:
    """The level of the factor ``weekday``."""
    return WEEKDAYS[day.weekday()]


def dates(start: datetime, end: datetime, zone: ZoneInfo, *, working_days: bool = False) -> Iterator[date]:
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
    zone = ZoneInfo(timezone)
    earliest = max(at, now + NOTICE)
    used = {moment.astimezone(UTC) for moment in taken}
    for day in dates(earliest, end, zone, working_days=working_days):
        for moment in sorted(instant(day, clock(level), zone) for level in times):
            if moment >= earliest and moment > at and moment < end and moment not in used:
                return moment
    return None
