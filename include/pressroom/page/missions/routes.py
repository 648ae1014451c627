"""The pages of a mission beside its stages: calendar, results, and what was learned."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import pendulum
from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from pressroom.api.kit.access import MISSION, Scope, allowed
from pressroom.api.resources.outcomes import lessons
from pressroom.api.resources.outcomes.calendar import calendar_between, mission_of, planned_days
from pressroom.api.resources.outcomes.results import results_of
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST
from pressroom.page.kit.pages import Notice, outcome, rendered
from pressroom.page.kit.tokens import SentForm
from pressroom.page.missions import views
from pressroom.page.workflow_view import facts

router = APIRouter(prefix="/missions/{id}")

LESSONS = 6
"""So many cycles are shown at first."""


@router.get("/calendar")
def calendar(
    request: Request,
    span: Annotated[Literal["week", "month"], Query()] = "week",
    day: Annotated[date | None, Query()] = None,
    scope: Scope = allowed(Role.VIEWER, MISSION),
) -> HTMLResponse:
    """A week or a month of the calendar."""
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        mission = mission_of(tx, scope)
        today = pendulum.now(mission.constraints.timezone).date()
        chosen = views.shown_day(day, today, *planned_days(tx, scope.id, mission))
        first, last = views.bounds(span, chosen)
        shown = calendar_between(tx, scope.id, mission, first, last)
        values = facts(scope, row)
    return rendered(
        request, "mission_calendar.html.j2", caller=scope.caller, calendar=shown, day=chosen, today=today,
        page=views.calendar_page(span, chosen, shown), language=mission.language, **values, **views.filters(),
    )  # fmt: skip


@router.get("/results")
def results(request: Request, scope: Scope = allowed(Role.VIEWER, MISSION)) -> HTMLResponse:
    """KPIs against their targets, and engagement by cycle."""
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        reached = results_of(tx, scope.id, mission_of(tx, scope))
        values = facts(scope, row)
    return rendered(
        request, "mission_results.html.j2", caller=scope.caller, results=reached, tiles=views.tiles(reached),
        growth=views.growth(reached.cycles), rates=views.rates(reached.cycles),
        growth_table=views.growth_table(reached.cycles), **values, **views.filters(),
    )  # fmt: skip


@router.get("/lessons")
def learned(
    request: Request,
    cycles: Annotated[int, Query(ge=1, le=100)] = LESSONS,
    scope: Scope = allowed(Role.VIEWER, MISSION),
) -> HTMLResponse:
    """What was learned, and what it changed."""
    return _lessons(request, scope, None, cycles)


@router.post("/changes/{change}/revert")
async def revert(
    request: Request,
    form: SentForm,
    change: Annotated[int, Path(ge=1, le=LARGEST)],
    scope: Scope = allowed(Role.APPROVER, MISSION),
) -> HTMLResponse:
    """Take a change back."""

    async def work() -> Notice:
        done = await run_in_threadpool(lessons.revert_change, change, scope)
        return Notice(
            "good", f"{done.factor} on {done.platform} is taken back: the next cycle is planned without it."
        )

    notice = await outcome(work)
    return await run_in_threadpool(_lessons, request, scope, notice, LESSONS)


def _lessons(request: Request, scope: Scope, notice: Notice | None, cycles: int) -> HTMLResponse:
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        every = lessons.lessons_of(tx, scope)
        values = facts(scope, row)
    status = notice.status if notice else 200
    return rendered(
        request, "mission_lessons.html.j2", status, caller=scope.caller, notice=notice,
        lessons=every[:cycles],
        newest=next((each.cycle.number for each in every if each.shifts), None), earlier=len(every) - cycles,
        may_revert=scope.role.covers(Role.APPROVER), **values,
    )  # fmt: skip
