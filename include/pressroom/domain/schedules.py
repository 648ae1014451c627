"""Schedules: the slots of a cron expression in a time zone, and the rule for scheduled runs of one day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import pendulum
from croniter import CroniterError, croniter  # what Airflow reads the same expression with
from pendulum import DateTime
from pydantic import AfterValidator, StringConstraints

LONGEST_CRON = 200
"""Characters of a cron expression: every second minute by name fits. Airflow stores its description, which is
several times as long.
"""
GAP = timedelta(hours=23)
"""The least time between the slots of scheduled runs, when the schedule comes at most once a day."""


def in_utc(moment: datetime) -> datetime:
    """The moment as a plain datetime in UTC.

    For what leaves the arithmetic: pendulum's times lose a time zone that is not pendulum's when something is
    added to them.
    """
    utc = pendulum.instance(moment).in_timezone(pendulum.UTC)
    return datetime.combine(utc.date(), utc.time(), UTC)


def _readable(cron: str) -> str:
    if not (len(cron.split()) == 5 and croniter.is_valid(cron)):
        raise ValueError(f"cron {cron!r} is not a five-field cron expression")
    if re.search(r"\bR\b", cron, re.IGNORECASE):
        raise ValueError(f"cron {cron!r} has a random part, so no two looks at it agree: put a number")
    try:
        croniter(cron, datetime(2000, 1, 1)).get_next(datetime)  # noqa: DTZ001  # any calendar will do
    except CroniterError:
        raise ValueError(f"cron {cron!r} names a date that no year has") from None
    return cron


Cron = Annotated[str, StringConstraints(max_length=LONGEST_CRON), AfterValidator(_readable)]
"""A cron expression of five fields that has slots."""


@dataclass(frozen=True)
class CronSchedule:
    """A five-field cron expression in a time zone. Its slots are those of Airflow's CronTriggerTimetable."""

    cron: str
    timezone: str

    def __str__(self) -> str:
        return f"{self.cron} {self.timezone}"

    @property
    def several_a_day(self) -> bool:
        """Whether a day can have more than one slot."""
        minutes, hours = croniter(self.cron).expanded[:2]
        return any(len(field) > 1 or field == ["*"] for field in (minutes, hours))

    def after(self, moment: datetime) -> DateTime:
        """The first slot later than that moment, in UTC.

        As in Airflow, a time that the clocks skip comes later by what they skip, and of a time that they show
        twice the second counts. A schedule of every hour also has a slot in the repeated hour.
        """
        zone = pendulum.timezone(self.timezone)
        local = pendulum.instance(moment).in_timezone(zone)
        naive = local.naive()
        cron = croniter(self.cron, naive)
        slot: datetime = cron.get_next(datetime)
        if cron.expanded[1] == ["*"]:
            return (local + (slot - naive)).in_timezone(pendulum.UTC)
        return pendulum.instance(zone.convert(slot.replace(fold=1))).in_timezone(pendulum.UTC)

    def too_soon(self, slot: datetime, last: datetime) -> bool:
        """Whether a slot is too close behind the last one that a run began for.

        By the clock on the wall: a day of 23 hours is a day.
        """
        return not self.several_a_day and self._wall(slot) - self._wall(last) < GAP

    def next_run(self, now: datetime, last: datetime | None) -> DateTime:
        """The next slot that starts a run. ``last``: the slot of the last scheduled run that began."""
        slot = self.after(now)
        while last is not None and self.too_soon(slot, last):
            slot = self.after(slot)
        return slot

    def _wall(self, moment: datetime) -> DateTime:
        return pendulum.instance(moment).in_timezone(self.timezone).naive()
