"""What an account used, and a forecast of the month."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from pressroom.api.kit.access import ACCOUNT, Scope, allowed
from pressroom.api.kit.csv_files import csv_file
from pressroom.api.kit.problems import invalid, not_found
from pressroom.api.kit.views import Amount
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import public_id
from pressroom.engine.money import usage
from pressroom.engine.money.usage import By, Spent, Used

router = APIRouter(prefix="/usage", tags=["usage"])

LONGEST = timedelta(days=366)
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)
PREFIXES = {By.MISSION: public_ids.MISSION, By.FLOW: public_ids.FLOW}


FirstDay = Annotated[
    date | None, Query(description="the first day, in UTC; left out: the first of the last day's month")
]
LastDay = Annotated[date | None, Query(description="the last day; left out: today")]


class Amounts(BaseModel):
    """What was used. ``credits``: charged, less refunds; null where they are not charged by that.

    ``cents``: what providers took. ``calls``: made to models, without those that the cache answered.
    """

    model_config = ConfigDict(from_attributes=True)

    credits: Amount | None
    cents: Amount
    prompt_tokens: int
    completion_tokens: int
    calls: int


class UsageRow(Amounts):
    """``key``: the day, stage or model, or the id of the site, mission or flow that ``slug`` names."""

    key: str
    slug: str | None = None


class UsageView(BaseModel):
    """What was used from ``since`` to ``until``, both days included, in UTC. ``totals``: of the rows."""

    by: By
    since: date
    until: date
    rows: list[UsageRow]
    totals: Amounts


class SpentView(BaseModel):
    """Credits charged, and what providers took in cents."""

    credits: Amount
    cents: Amount

    @classmethod
    def of(cls, spent: Spent) -> SpentView:
        """The view of what was spent."""
        return cls(credits=spent.credits, cents=spent.cents)


class MeanView(SpentView):
    """A day's mean, and over how many whole days."""

    days: int


class CapView(BaseModel):
    """The account's cap for a month. ``reached``: whether it will be by the month's end; null: unknown."""

    month_cents: Amount | None
    reached: bool | None


class CreditsView(BaseModel):
    """``run_out_on``: when none is available at this pace; null: not within a year, or unknown."""

    balance: Amount
    available: Amount
    run_out_on: date | None


class ForecastView(BaseModel):
    """The month's forecast. ``daily_mean`` and ``expected`` are null until one whole day has passed."""

    month_ends_on: date
    days_left: Amount
    spent: SpentView
    daily_mean: MeanView | None
    expected: SpentView | None
    cap: CapView
    credits: CreditsView


@router.get("")
def used(
    by: By = By.DAY,
    since: FirstDay = None,
    until: LastDay = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> UsageView:
    """What was used, by day, stage, site, mission, flow or model: the days in order, all else by amount."""
    return used_in(scope, by, since, until)


@router.get("/download", response_class=Response)
def download(
    by: By = By.DAY,
    since: FirstDay = None,
    until: LastDay = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Response:
    """The same as CSV, exact to the last place. No cell of it is a formula."""
    view = used_in(scope, by, since, until)
    header = [by.value, "slug", "credits", "cents", "calls", "prompt_tokens", "completion_tokens"]
    rows = [
        (row.key, row.slug, row.credits, row.cents, row.calls, row.prompt_tokens, row.completion_tokens)
        for row in view.rows
    ]
    return csv_file(f"{scope.account or 'usage'}-by-{by.value}-{view.since}-{view.until}", header, rows)


def used_in(scope: Scope, by: By, since: date | None, until: date | None) -> UsageView:
    """What was used in a period. Raises Problem 422 for one that is none."""
    today = datetime.now(UTC).date()
    last = until or today
    first = since or last.replace(day=1)
    for field, day in (("until", last), ("since", first)):
        if not EARLIEST <= day <= LATEST:
            raise invalid(f"query.{field}", f"is not from {EARLIEST} to {LATEST}")
    if first > last:
        raise invalid("query.since", f"{first} is after {last}")
    if last - first > LONGEST:
        raise invalid(
            "query.since", f"{first} is more than {LONGEST.days} days before {last}", remedy="ask for a part"
        )
    with scope.transaction() as tx:
        rows = usage.usage(tx, by, first, last, today)
    return UsageView(
        by=by, since=first, until=last, rows=[_row(by, row) for row in rows],
        totals=Amounts.model_validate(usage.total(by, rows)),
    )  # fmt: skip


@router.get("/forecast")
def forecast(scope: Scope = allowed(Role.VIEWER, ACCOUNT)) -> ForecastView:
    """What will be spent by the month's end, at the pace of the last whole days, two weeks at most."""
    with scope.transaction() as tx:
        account = usage.account_of(tx)
        if account is None:
            raise not_found("account")
        outlook = usage.forecast(account, usage.spent_by_day(tx, account.now))
    mean, expected = outlook.mean, outlook.expected
    return ForecastView(
        month_ends_on=outlook.last_day,
        days_left=outlook.days_left,
        spent=SpentView.of(outlook.spent),
        daily_mean=None
        if mean is None
        else MeanView(credits=mean.credits, cents=mean.cents, days=outlook.mean_days),
        expected=None if expected is None else SpentView.of(expected),
        cap=CapView(month_cents=account.month_cap, reached=outlook.cap_reached),
        credits=CreditsView(
            balance=account.balance, available=account.available, run_out_on=outlook.credits_end
        ),
    )


def _row(by: By, row: Used) -> UsageRow:
    key = public_id(PREFIXES[by], int(row.key)) if by in PREFIXES else row.key
    return UsageRow.model_validate(replace(row, key=key))
