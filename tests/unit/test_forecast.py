"""Where an account's month is going: the pace of its last whole days, and what that leads to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from pressroom.engine.money.usage import By, Forecast, ForecastAccount, Part, Spent, forecast, parts

OLD = datetime(2020, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 21, 12, tzinfo=UTC)


def day(number: int, month: int = 3) -> date:
    return date(2026, month, number)


def spent(credits: float | str = 0, cents: float | str = 0) -> Spent:
    return Spent(Decimal(str(credits)), Decimal(str(cents)))


def look(days: Mapping[date, Spent], now: datetime = NOON, **changes: Any) -> Forecast:
    facts = {"created_at": OLD, "balance": Decimal(0), "available": Decimal(0), "month_cap": None, **changes}
    return forecast(ForecastAccount(now=now, **facts), days)


def test_the_month_ends_at_the_pace_of_the_last_fourteen_whole_days() -> None:
    days = {day(n): spent(2, 10) for n in range(7, 21)}
    days[day(6)] = spent(1000, 1000)  # before the fourteen, yet of this month
    days[day(21)] = spent(1, 5)  # today is not over
    found = look(days)
    assert (found.last_day, found.days_left, found.mean_days) == (day(31), Decimal("10.5"), 14)
    assert found.mean == spent("2.00", "10.0000")
    assert found.spent == spent(14 * 2 + 1000 + 1, 14 * 10 + 1000 + 5)
    assert found.expected == spent(1029 + 21, 1145 + 105)


def test_days_without_use_count_in_the_mean() -> None:
    assert look({day(20): spent(14, 28)}).mean == spent("1.00", "2.0000")


def test_a_young_account_has_fewer_days() -> None:
    days = {day(19): spent(6, 6), day(20): spent(2, 2), day(18): spent(500, 500)}
    found = look(days, created_at=datetime(2026, 3, 18, 23, 59, tzinfo=UTC))
    assert (found.mean_days, found.mean) == (2, spent("4.00", "4.0000"))


@pytest.mark.parametrize("created", [NOON - timedelta(hours=36), NOON - timedelta(hours=1), NOON])
def test_without_a_whole_day_nothing_is_foretold(created: datetime) -> None:
    found = look({day(21): spent(3, 300)}, created_at=created, month_cap=Decimal(400), available=Decimal(9))
    assert found.spent == spent(3, 300)
    assert (found.mean, found.mean_days, found.expected) == (None, 0, None)
    assert (found.cap_reached, found.credits_end) == (None, None)
    assert look({day(21): spent(3, 400)}, created_at=created, month_cap=Decimal(400)).cap_reached is True


def test_zero_use_leads_nowhere() -> None:
    found = look({}, available=Decimal(10), month_cap=Decimal(1))
    assert found.mean == found.expected == spent("0.00", "0.0000")
    assert (found.cap_reached, found.credits_end) == (False, None)
    assert look({}, month_cap=Decimal(0)).cap_reached is True  # such a cap lets no paid call through


def test_on_the_first_of_a_month_the_pace_is_that_of_the_last_one() -> None:
    days = {day(n, 2): spent(1, 1) for n in range(1, 29)}
    found = look(days, datetime(2026, 3, 1, tzinfo=UTC))
    assert (found.spent, found.days_left) == (spent(), Decimal(31))
    assert found.expected == spent("31.00", "31.0000")


def test_on_the_last_day_little_is_left() -> None:
    days = {day(n, 2): spent(24, 24) for n in range(1, 29)}
    found = look(days, datetime(2026, 2, 28, 23, tzinfo=UTC))
    assert (found.last_day, found.days_left) == (day(28, 2), Decimal("0.0417"))
    assert found.expected == spent(28 * 24 + 1, 28 * 24 + 1)


def test_december_ends_with_its_year() -> None:
    found = look({}, datetime(2026, 12, 31, 12, tzinfo=UTC))
    assert (found.last_day, found.days_left) == (date(2026, 12, 31), Decimal("0.5"))


def test_days_are_those_of_utc() -> None:
    kiritimati = datetime(2026, 4, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    assert look({day(31): spent(5)}, kiritimati).spent == spent(5)


@pytest.mark.parametrize(("cap", "reached"), [(None, None), ("200", True), ("200.01", False)])
def test_a_cap_is_reached_or_not(cap: str | None, reached: bool | None) -> None:
    days = {day(n): spent(0, 10) for n in range(7, 21)}  # 140 so far, and 105 to come
    days[day(20)] = spent(0, 5)
    days[day(21)] = spent(0, -36.25)
    assert look(days).expected == spent("0.00", "200.0000")
    assert look(days, month_cap=None if cap is None else Decimal(cap)).cap_reached is reached


@pytest.mark.parametrize(
    ("available", "end"),
    [
        ("0", day(21)),
        ("-5", day(21)),
        ("0.9", day(21)),
        ("2", day(22)),
        ("21", day(1, 4)),
        ("730", date(2027, 3, 21)),
        ("730.01", None),
    ],
)
def test_credits_run_out_at_that_pace(available: str, end: date | None) -> None:
    days = {day(n): spent(2) for n in range(7, 21)}
    assert look(days, available=Decimal(available)).credits_end == end


def test_what_is_given_back_is_no_pace() -> None:
    assert look({day(20): spent(-14)}, available=Decimal(5)).credits_end is None


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        ((1, 3), (31, 3), ["m 1/3-31/3"]),
        ((1, 3), (30, 3), ["d 1/3-30/3"]),
        ((2, 3), (31, 3), ["d 2/3-31/3"]),
        ((2, 3), (1, 5), ["d 2/3-31/3", "m 1/4-30/4", "d 1/5-1/5"]),
        ((1, 1), (28, 2), ["m 1/1-28/2"]),
        ((1, 12), (31, 12), ["m 1/12-31/12"]),
        ((31, 1), (1, 2), ["d 31/1-1/2"]),
        ((15, 5), (20, 6), ["d 15/5-31/5", "m 1/6-30/6"]),  # it is the 20th of June: all that there can be
        ((1, 6), (20, 6), ["m 1/6-30/6"]),
        ((1, 6), (25, 6), ["m 1/6-30/6"]),
        ((1, 6), (19, 6), ["d 1/6-19/6"]),
        ((5, 6), (20, 6), ["d 5/6-20/6"]),
    ],
)
def test_workflows_come_by_the_month_where_it_is_whole(
    since: tuple[int, int], until: tuple[int, int], found: list[str]
) -> None:
    names = {"workflow": "d", "workflow_month": "m"}

    def shown(part: Part) -> str:
        first, last = part.first, part.last
        return f"{names[part.by]} {first.day}/{first.month}-{last.day}/{last.month}"

    for by in (By.SITE, By.MISSION, By.FLOW):
        assert [shown(part) for part in parts(by, day(*since), day(*until), today=day(20, 6))] == found
    assert parts(By.STAGE, day(*since), day(*until), today=day(20, 6)) == [
        Part("stage", day(*since), day(*until))
    ]
