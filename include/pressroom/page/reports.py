"""Reports for clients: a month of a site or a mission on one page that prints, also by a link."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from pressroom.api.kit.access import MISSION, SITE, Scope, Subject, allowed
from pressroom.api.kit.problems import Problem
from pressroom.api.resources.outcomes import reports as months
from pressroom.api.resources.outcomes.reports import MissionReport, MonthQuery, SiteReport
from pressroom.api.resources.review import links
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import workflow_path
from pressroom.page.kit.charts import bars
from pressroom.page.kit.pages import Notice, address_of, filled_in, outcome, rendered
from pressroom.page.kit.tokens import PostedForm, SentForm
from pressroom.page.missions import views
from pressroom.page.workflow_view import facts

router = APIRouter(prefix="/reports")
"""What visitors with a link see, too."""
desk = APIRouter(prefix="/reports")

USUAL_DAYS = 30
LISTED = 200
"""A page lists so many pieces: its sums are over all."""


def _add_pages(path: str, locate: Callable[..., Subject]) -> None:
    @router.get(f"/{path}/{{id}}", name=f"report_{path}")
    def page(
        request: Request, month: MonthQuery = None, scope: Scope = allowed(Role.VIEWER, locate)
    ) -> HTMLResponse:
        return _shown(request, scope, month, None, "")

    @desk.post(f"/{path}/{{id}}/link", name=f"report_link_{path}")
    async def link(
        request: Request, form: SentForm, scope: Scope = allowed(Role.APPROVER, locate)
    ) -> HTMLResponse:
        made: list[str] = []

        async def work() -> Notice:
            made.append(await run_in_threadpool(_make_link, request, scope, form))
            return Notice("good", "The link is made. It is shown this once: copy it now.")

        notice = await outcome(work)
        month = form.text("month") or None
        return await run_in_threadpool(_shown, request, scope, month, notice, "".join(made))


_add_pages("sites", SITE)
_add_pages("missions", MISSION)


def _make_link(request: Request, scope: Scope, form: PostedForm) -> str:
    """A link to the report. Raises Problem for what a link cannot be."""
    try:
        days = int(form.text("days"))
    except ValueError:
        days = 0
    if not 1 <= days <= links.MOST_DAYS:
        raise Problem(422, f"days: must be a whole number from 1 to {links.MOST_DAYS}")
    named = {"site_id": scope.id} if scope.kind == "site" else {"mission_id": f"msn_{scope.id}"}
    body = {
        "opens": "report", "recipient": form.text("recipient"), **named,
        "expires_at": datetime.now(UTC) + timedelta(days=days) - timedelta(seconds=1),
    }  # fmt: skip
    wanted = filled_in(links.LinkBody, body, "no link is made")
    return links.make(scope, wanted, address_of(request)).url


def _shown(
    request: Request, scope: Scope, asked: str | None, notice: Notice | None, made: str
) -> HTMLResponse:
    report: SiteReport | MissionReport
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        values: dict[str, Any] = facts(scope, row)
        month = months.month_of(tx, scope.id, asked, values["zone"])
        if scope.kind == "site":
            report = months.site_report(tx, scope.id, row.run().site, month)
        else:
            report = months.mission_report(tx, scope.id, row.run().mission, month)
    kind = scope.kind
    if isinstance(report, MissionReport):
        values["bars"] = bars(_columns(report))
        values |= views.filters()
    return rendered(
        request, f"report_{kind}.html.j2", notice.status if notice else 200, caller=scope.caller,
        notice=notice, report=report, month=month, made=made, most_days=links.MOST_DAYS,
        usual_days=USUAL_DAYS, listed=LISTED,
        may_send=scope.role.covers(Role.APPROVER), own=f"/reports/{workflow_path(kind, scope.id)}",
        **values,
    )  # fmt: skip


def _columns(report: MissionReport) -> list[tuple[str, float, str]]:
    return [
        (
            str(each.day.day), each.engagements,
            f"{each.day.day} {each.day:%b}: {each.engagements:,} engagements of {each.posts:,} posts",
        )
        for each in report.days
    ]  # fmt: skip
