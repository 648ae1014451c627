"""An account's usage by day, stage, site, mission, flow or model, and a forecast of the month's end.

Days are in UTC. Credits and cents come from the ledger: charges less refunds, and providers' costs. Calls and
tokens come from the model calls. All are summed by day when they are entered (migration 0006), so that a
query does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pendulum

from pressroom.store.database import Tx

MEAN_DAYS = 14
"""The most whole days that a forecast is based on."""

HORIZON = timedelta(days=365)
"""A forecast does not report credits that last longer than this."""

DAY = timedelta(days=1)
NOTHING = Decimal(0)
CENT = Decimal("0.01")
FINE = Decimal("0.0001")


class By(StrEnum):
    """The groupings of usage."""

    DAY = "day"
    STAGE = "stage"
    SITE = "site"
    MISSION = "mission"
    FLOW = "flow"
    MODEL = "model"


@dataclass(frozen=True)
class Spent:
    """Credits charged, less refunds, and providers' costs in cents."""

    credits: Decimal = NOTHING
    cents: Decimal = NOTHING

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.credits + other.credits, self.cents + other.cents)

    def after(self, days: Decimal, each: Spent) -> Spent:
        """The sum after more days at ``each`` a day."""
        return Spent(self.credits + days * each.credits, self.cents + days * each.cents)


@dataclass(frozen=True)
class Used:
    """The usage under one key. ``credits``: None for models, because items are charged, not calls.

    ``key``: the day, stage, model, or a workflow's row id. ``slug``: a workflow's.
    """

    key: str
    credits: Decimal | None
    cents: Decimal
    calls: int
    prompt_tokens: int
    completion_tokens: int
    slug: str | None = None

    @property
    def rank(self) -> tuple[Any, ...]:
        """The sort key: the highest usage comes first."""
        tokens = self.prompt_tokens + self.completion_tokens
        return (-(self.credits or NOTHING), -self.cents, -tokens, self.key)


@dataclass(frozen=True)
class Part:
    """Daily sums to add up. ``by``: the grouping, as in the tables. Days from ``first`` to ``last``,
    inclusive.
    """

    by: str
    first: date
    last: date


def parts(by: By, since: date, until: date, today: date) -> list[Part]:
    """The sums that make up a period. Workflows are many, so whole months use monthly sums.

    The last month also counts as whole when none of its days after ``until`` has begun.
    """
    match by:
        case By.DAY | By.STAGE:
            return [Part("stage", since, until)]
        case By.MODEL:
            return [Part("model", since, until)]
    first = since if since.day == 1 else _next_month(since)
    after = (
        _next_month(until) if until >= today or _next_month(until) - until == DAY else until.replace(day=1)
    )
    if first >= after:
        return [Part("workflow", since, until)]
    split = [
        Part("workflow", since, first - DAY),
        Part("workflow_month", first, after - DAY),
        Part("workflow", after, until),
    ]
    return [part for part in split if part.first <= part.last]


def _next_month(day: date) -> date:
    return pendulum.date(day.year, day.month, 1).add(months=1)


def _asked(sums: Sequence[Part], *, daily: bool) -> dict[str, Any]:
    return {
        "daily": daily,
        "bys": [part.by for part in sums],
        "firsts": [part.first for part in sums],
        "lasts": [part.last for part in sums],
    }


def usage(tx: Tx, by: By, since: date, until: date, today: date) -> list[Used]:
    """The usage from ``since`` to ``until``, inclusive. Days are in order, other keys by usage, highest
    first.
    """
    asked = _asked(parts(by, since, until, today), daily=by is By.DAY)
    spent = {} if by is By.MODEL else {row["key"]: row for row in tx.rows("usage_spent", **asked)}
    calls = {row["key"]: row for row in tx.rows("usage_calls", **asked)}
    keys = {**spent, **calls}
    match by:
        case By.DAY:
            first = pendulum.instance(since)
            days = (first.add(days=n) for n in range((until - since).days + 1))
            return [_used(by, day.isoformat(), spent, calls) for day in days]
        case By.STAGE | By.MODEL:
            rows = [_used(by, key, spent, calls) for key in keys]
        case kind:
            ids = [int(key) for key in keys if key]
            workflows = tx.rows("usage_workflows", kind=kind.value, ids=ids)
            rows = [_used(by, str(row["id"]), spent, calls, row["slug"]) for row in workflows]
    return sorted(rows, key=lambda row: row.rank)


def _used(
    by: By,
    key: str,
    spent: Mapping[str, Mapping[str, Any]],
    calls: Mapping[str, Mapping[str, Any]],
    slug: str | None = None,
) -> Used:
    money, made = spent.get(key, {}), calls.get(key, {})
    return Used(
        key=key,
        credits=None if by is By.MODEL else money.get("credits", NOTHING),
        cents=(made if by is By.MODEL else money).get("cents", NOTHING),
        calls=made.get("calls", 0),
        prompt_tokens=made.get("prompt_tokens", 0),
        completion_tokens=made.get("completion_tokens", 0),
        slug=slug,
    )


def total(by: By, rows: Sequence[Used]) -> Used:
    """All rows of a grouping as one, without a key."""
    return Used(
        key="",
        credits=None if by is By.MODEL else sum((row.credits or NOTHING for row in rows), NOTHING),
        cents=sum((row.cents for row in rows), NOTHING),
        calls=sum(row.calls for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
    )


# Forecast ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ForecastAccount:
    """An account's state for a forecast, in credits. ``month_cap``: in cents; None without a cap."""

    now: datetime
    created_at: datetime
    balance: Decimal
    available: Decimal
    month_cap: Decimal | None


@dataclass(frozen=True)
class Forecast:
    """The forecast of a month.

    ``mean``: of the last ``mean_days`` whole days. It and all that is based on it are None without a whole
    day. ``days_left``: until the month's end. ``cap_reached``: whether the month's cap will be reached, so
    that paid calls stop; None when unknown or without a cap. ``credits_end``: the day on which credits run
    out at that pace; None when unknown, or not within a year.
    """

    last_day: date
    days_left: Decimal
    spent: Spent
    mean: Spent | None
    mean_days: int
    expected: Spent | None
    cap_reached: bool | None
    credits_end: date | None


def account_of(tx: Tx) -> ForecastAccount | None:
    """The state of the transaction's account for a forecast. None when the account does not exist."""
    return tx.maybe("usage_account", ForecastAccount)


def spent_by_day(tx: Tx, now: datetime) -> dict[date, Spent]:
    """The spent amounts that ``forecast`` needs: of this month's days, and of the last MEAN_DAYS days."""
    today = now.astimezone(UTC).date()
    since = min(today.replace(day=1), today - timedelta(days=MEAN_DAYS))
    rows = tx.rows("usage_spent", **_asked(parts(By.DAY, since, today, today), daily=True))
    return {date.fromisoformat(row["key"]): Spent(row["credits"], row["cents"]) for row in rows}


def forecast(account: ForecastAccount, days: Mapping[date, Spent]) -> Forecast:
    """The forecast at the pace of the last whole days. ``days``: day → what was spent."""
    now = account.now.astimezone(UTC)
    today, first = now.date(), now.date().replace(day=1)
    following = _next_month(today)
    left = Decimal((datetime.combine(following, time(), UTC) - now) / DAY)
    spent = sum((days.get(first + timedelta(days=n), Spent()) for n in range(today.day)), Spent())
    # The day on which the account was created was not a whole day.
    age = (today - account.created_at.astimezone(UTC).date()).days - 1
    whole = max(0, min(MEAN_DAYS, age))
    mean = expected = None
    if whole:
        past = sum((days.get(today - timedelta(days=n + 1), Spent()) for n in range(whole)), Spent())
        mean = Spent(past.credits / whole, past.cents / whole)
        expected = spent.after(left, mean)
    return Forecast(
        last_day=following - DAY,
        days_left=left.quantize(FINE),
        spent=spent,
        mean=_rounded(mean),
        mean_days=whole,
        expected=_rounded(expected),
        cap_reached=_reached(account.month_cap, spent, expected),
        credits_end=_end_of_credits(account, now, mean),
    )


def _reached(cap: Decimal | None, spent: Spent, expected: Spent | None) -> bool | None:
    if cap is None:
        return None
    if spent.cents >= cap:
        return True
    return None if expected is None else expected.cents >= cap


def _end_of_credits(account: ForecastAccount, now: datetime, mean: Spent | None) -> date | None:
    if mean is None or mean.credits <= 0:
        return None
    days = max(account.available, NOTHING) / mean.credits
    return None if days > HORIZON.days else (now + timedelta(days=float(days))).date()


def _rounded(spent: Spent | None) -> Spent | None:
    return None if spent is None else Spent(spent.credits.quantize(CENT), spent.cents.quantize(FINE))
