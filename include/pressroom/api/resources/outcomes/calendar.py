"""A mission's editorial calendar: its slots between two dates, each with its posts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import pendulum
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from pressroom.api.kit.access import MISSION, Scope, allowed
from pressroom.api.kit.problems import invalid
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.missions import FIRST_YEAR, LAST_YEAR, Mission
from pressroom.domain.public_ids import public_id
from pressroom.store.database import Tx
from pressroom.ui.mission.calendar import standing_of

router = APIRouter(tags=["missions"])

LONGEST = timedelta(days=62)
USUAL = timedelta(days=7)


class PlannedPost(BaseModel):
    """A post of a slot. ``state``: what became of it, in words. Numbers are null before its first reading."""

    id: str
    variant: str
    title: str
    status: str
    state: str
    publication_id: str | None
    public_url: str
    error: str
    impressions: int | None
    engagements: int | None


class CalendarSlot(BaseModel):
    """A time at which a post is due. ``state``: written, failed or not written yet; ``explores``: the choice
    that was drawn without regard to what was learned; ``error``: why it could not be written.
    """

    at: datetime
    platform: str
    topic: str
    cycle: int = Field(description="its number, from 1")
    job_id: str
    status: str
    state: str
    explores: str | None
    error: str
    posts: list[PlannedPost]


class CalendarView(BaseModel):
    """The slots from ``since`` to ``until``, both days included, in the mission's time zone.

    ``first`` and ``last``: the days of the mission's first and last slot; null before there is one.
    """

    mission_id: str
    timezone: str
    since: date
    until: date
    first: date | None
    last: date | None
    slots: list[CalendarSlot]


@router.get("/missions/{id}/calendar")
def get_calendar(
    since: Annotated[date | None, Query(description="the first day; left out: today")] = None,
    until: Annotated[date | None, Query(description="the last day; left out: six days later")] = None,
    scope: Scope = allowed(Role.VIEWER, MISSION),
) -> CalendarView:
    """A mission's calendar, in days of its time zone: every slot with its posts and what became of them."""
    with scope.transaction() as tx:
        mission = mission_of(tx, scope)
        first = since or pendulum.now(mission.constraints.timezone).date()
        last = until or first + USUAL - timedelta(days=1)
        for field, day in (("since", first), ("until", last)):
            if not FIRST_YEAR <= day.year <= LAST_YEAR:
                raise invalid(f"query.{field}", f"the year must be from {FIRST_YEAR} to {LAST_YEAR}")
        if not first <= last < first + LONGEST:
            raise invalid("query.until", f"{last} is not within {LONGEST.days} days from {first} on")
        return calendar_between(tx, scope.id, mission, first, last)


def mission_of(tx: Tx, scope: Scope) -> Mission:
    """The mission that the request is about."""
    return scope.workflow(tx).run().mission


def calendar_between(tx: Tx, number: int, mission: Mission, first: date, last: date) -> CalendarView:
    """The calendar of a mission from one local day to another, both included."""
    zone = mission.constraints.timezone
    begins, ends = planned_days(tx, number, mission)
    rows = tx.rows(
        "calendar_between", mission=number, since=midnight(first, zone),
        until=midnight(last + timedelta(days=1), zone),
    )  # fmt: skip
    return CalendarView(
        mission_id=public_id(public_ids.MISSION, number), timezone=zone, since=first, until=last,
        first=begins, last=ends, slots=[_slot(row) for row in rows],
    )  # fmt: skip


def planned_days(tx: Tx, number: int, mission: Mission) -> tuple[date | None, date | None]:
    """The local days of a mission's first and last slot; None before there is one."""
    [span] = tx.rows("calendar_span", mission=number)
    zone = mission.constraints.timezone
    first, last = (at and pendulum.instance(at).in_timezone(zone).date() for at in span.values())
    return first, last


def midnight(day: date, zone: str) -> datetime:
    """When a day begins in a time zone."""
    return pendulum.datetime(day.year, day.month, day.day, tz=zone)


def _slot(row: Mapping[str, Any]) -> CalendarSlot:
    error = row["error"] or ""
    return CalendarSlot(
        **{name: row[name] for name in ("at", "platform", "topic", "cycle", "status", "explores")},
        job_id=public_id(public_ids.JOB, row["run_id"]),
        state="failed" if error else "written" if row["posts"] else "not written yet",
        error=error,
        posts=[_post(each) for each in row["posts"]],
    )


def _post(row: Mapping[str, Any]) -> PlannedPost:
    publication = row["publication"]
    return PlannedPost(
        id=public_id(public_ids.CONTENT, row["id"]),
        state=standing_of(row["status"], row["publication_status"] or "").label,
        publication_id=None if publication is None else public_id(public_ids.PUBLICATION, publication),
        public_url=row["public_url"] or "",
        error=row["error"] or "",
        **{name: row[name] for name in ("variant", "title", "status", "impressions", "engagements")},
    )
