"""Spend: credits and cents by day, stage, model and workflow, and the entries behind each number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BeforeValidator

from pressroom.api.kit.access import Scope, scopes_of, signed_in
from pressroom.api.kit.callers import Caller, admission_of, plane_of
from pressroom.api.kit.problems import Problem, not_found
from pressroom.api.resources.usage import UsageRow, forecast, used_in
from pressroom.domain.public_ids import FLOW, JOB, LARGEST, MISSION, public_id, row_id, workflow_path
from pressroom.engine.money.usage import By
from pressroom.page.kit.charts import Plot, bars
from pressroom.page.kit.pages import exact, refusal, rendered

router = APIRouter(prefix="/spend")

SHOWN = 200
TITLES = {
    By.STAGE: "Stages", By.MODEL: "Models", By.SITE: "Sites", By.MISSION: "Missions", By.FLOW: "Flows",
}  # fmt: skip

Account = Annotated[str, Query(max_length=60)]
# A form sends a field that is left empty as ''.
Day = Annotated[date | None, BeforeValidator(lambda text: text or None), Query()]
Number = Annotated[int | None, BeforeValidator(lambda text: text or None), Query(ge=1, le=LARGEST)]
Text = Annotated[str, Query(max_length=200)]


@router.get("")
def page(
    request: Request,
    account: Account = "",
    since: Day = None,
    until: Day = None,
    caller: Caller = signed_in(),
) -> HTMLResponse:
    """What was spent in a period, what the month will come to, and what is behind each number."""
    scopes = scopes_of(plane_of(request), admission_of(request), caller)
    scope = _scope(scopes, account)
    values: dict[str, Any] = {
        "accounts": [each.account for each in scopes], "account": scope.account if scope else "",
    }  # fmt: skip
    if scope is None:
        return rendered(request, "spend.html.j2", caller=caller, notice=None, days=None, **values)
    try:
        days = used_in(scope, By.DAY, since, until)
        notice = None
    except Problem as problem:
        notice = refusal(problem)
        days = used_in(scope, By.DAY, None, None)
    tables = [(by, title, used_in(scope, by, days.since, days.until)) for by, title in TITLES.items()]
    return rendered(
        request, "spend.html.j2", notice.status if notice else 200, caller=caller, notice=notice, days=days,
        tables=tables, chart=daily(days.rows), outlook=forecast(scope), behind=behind, place=place, **values,
    )  # fmt: skip


@router.get("/entries")
def entries(
    request: Request,
    account: Account = "",
    since: Day = None,
    until: Day = None,
    workflow: Number = None,
    stage: Text = "",
    model: Text = "",
    run: Text = "",
    kind: Text = "",
    before: Text = "",
    caller: Caller = signed_in(),
) -> HTMLResponse:
    """The entries of the ledger behind a number, newest first, each with its run."""
    scope = _scope(scopes_of(plane_of(request), admission_of(request), caller), account)
    if scope is None:
        raise not_found("account")
    at, _, number = before.partition(" ")
    if any("\0" in each for each in (stage, model, kind)) or (before and not number.isdigit()):
        raise Problem(404, "there is no such page")
    with scope.transaction() as tx:
        rows = tx.rows(
            "ledger_page", at=_moment(at), id=int(number) if number else None, limit=SHOWN + 1,
            kind=kind or None, stage=stage or None, model=model or None, workflow=workflow,
            run=(row_id(JOB, run) or 0) if run else None,
            since=_midnight(since), until=_midnight(until + timedelta(days=1) if until else None),
        )  # fmt: skip
    shown = rows[:SHOWN]
    asked = {
        "account": scope.account, "since": since or "", "until": until or "", "workflow": workflow or "",
        "stage": stage, "model": model, "run": run, "kind": kind,
    }  # fmt: skip
    return rendered(
        request, "spend_entries.html.j2", caller=caller, entries=[_entry(row) for row in shown], asked=asked,
        next=f"{shown[-1]['at'].isoformat()} {shown[-1]['id']}" if len(rows) > SHOWN else "",
        credits=sum((row["credits"] for row in shown), Decimal(0)),
        cents=sum((row["cents"] for row in shown), Decimal(0)), account=scope.account,
    )  # fmt: skip


def daily(rows: Sequence[UsageRow]) -> Plot:
    """The days as a chart of credits or, where none are charged, of cents."""
    by_cents = not any(row.credits for row in rows)
    return bars([
        (
            row.key[8:], float(row.cents if by_cents else row.credits or 0),
            f"{row.key}: {exact(row.credits)} credits, {exact(row.cents)} ¢",
        )
        for row in rows
    ])  # fmt: skip


def behind(by: By, row: UsageRow) -> dict[str, str]:
    """The query for the entries behind a row of a table."""
    match by:
        case By.DAY:
            return {"since": row.key, "until": row.key}
        case By.STAGE:
            return {"stage": row.key}
        case By.MODEL:
            return {"model": row.key, "kind": "cost"}
    return {"workflow": str(_number(by, row.key))}


def place(by: By, row: UsageRow) -> str:
    """Where the page has a workflow."""
    return workflow_path(by.value, _number(by, row.key))


def _number(by: By, key: str) -> int:
    return row_id({By.MISSION: MISSION, By.FLOW: FLOW}[by], key) or 0 if by is not By.SITE else int(key)


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    workflow = row["workflow_id"]
    return row | {
        "job": public_id(JOB, row["run_id"]) if row["run_id"] else None,
        "place": workflow_path(row["workflow"], workflow) if row["workflow"] else None,
    }


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Problem(404, "there is no such page") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _scope(scopes: Sequence[Scope], account: str) -> Scope | None:
    """The account that is asked for, else the first. Raises Problem 404 for one that is not the viewer's."""
    if not account:
        return scopes[0] if scopes else None
    scope = next((each for each in scopes if each.account == account), None)
    if scope is None:
        raise not_found("account")
    return scope
