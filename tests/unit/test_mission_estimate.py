"""How many posts a window holds, and what a cycle costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pressroom.domain.definitions import Account, Charges
from pressroom.domain.missions import Constraints, Mission
from pressroom.domain.social import Platform
from pressroom.pipelines.mission.cycle import estimate, planned_posts

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
BERLIN, APIA = "Europe/Berlin", "Pacific/Apia"


def mission(**constraints: Any) -> Mission:
    return Mission(
        account="acme",
        slug="launch",
        name="Launch",
        objectives=["be known"],
        platforms=[Platform.TWITTER],
        constraints=Constraints(**{"posts_per_day": 2, **constraints}),
    )


@pytest.mark.parametrize(
    ("hours", "posts"),
    [(0, 0), (-5, 0), (1, 2), (12, 2), (24, 2), (35, 2), (37, 4), (7 * 24, 14), (30 * 24, 60)],
)
def test_posts_per_day_times_days(hours: int, posts: int) -> None:
    assert planned_posts(mission(), MONDAY, MONDAY + timedelta(hours=hours)) == posts


@pytest.mark.parametrize(
    ("start", "days", "posts"),
    [
        (MONDAY, 7, 10),
        (MONDAY, 5, 10),
        (MONDAY + timedelta(days=4), 2, 2),  # Friday and Saturday
        (MONDAY + timedelta(days=5), 2, 0),  # the weekend
        (MONDAY + timedelta(days=5), 3, 2),  # and the Monday after it
        (MONDAY, 14, 20),
    ],
)
def test_weekdays_are_monday_to_friday(start: datetime, days: int, posts: int) -> None:
    assert planned_posts(mission(cadence="weekdays"), start, start + timedelta(days=days)) == posts


def test_the_days_are_those_of_the_missions_time_zone() -> None:
    """Friday 11:00 UTC is Saturday in Apia."""
    friday = datetime(2026, 3, 6, 11, tzinfo=UTC)
    day = timedelta(days=1)
    assert planned_posts(mission(cadence="weekdays"), friday, friday + day) == 2
    assert planned_posts(mission(cadence="weekdays", timezone=APIA), friday, friday + day) == 0


@pytest.mark.parametrize("midnight", ["2026-03-27", "2026-10-23"])
def test_days_of_23_and_25_hours_are_days(midnight: str) -> None:
    zone = ZoneInfo(BERLIN)
    start = datetime.fromisoformat(midnight).replace(tzinfo=zone)
    end = start + timedelta(days=7)  # by the wall clock
    elapsed = (end.astimezone(UTC) - start.astimezone(UTC)) / timedelta(hours=1)
    assert elapsed in (167, 169)
    aware = mission(timezone=BERLIN)
    assert planned_posts(aware, start.astimezone(UTC), end.astimezone(UTC)) == 14
    assert planned_posts(aware, start.astimezone(UTC), start.astimezone(UTC) + timedelta(days=7)) == 14


@pytest.mark.parametrize("cadence", ["flexible", "daily"])
def test_other_cadences_use_every_day(cadence: str) -> None:
    assert planned_posts(mission(cadence=cadence), MONDAY, MONDAY + timedelta(days=7)) == 14


def test_a_cycle_costs_a_calendar_and_its_posts() -> None:
    account = Account(slug="a", name="A", charges=Charges(calendar=Decimal(3), post=Decimal("1.5")))
    made = estimate(14, mission(), account)
    assert made.credits == {
        "intake": 0,
        "strategy": 3,
        "content": 21,
        "publish": 0,
        "analytics": 0,
        "optimize": 0,
    }
    assert made.total == 24
    assert made.required == Decimal("28.80")
    assert (made.items["content"], made.items["publish"], made.items["strategy"]) == (14, 14, 1)


def test_a_calendar_that_is_made_costs_nothing_more() -> None:
    made = estimate(3, mission(), Account(slug="a", name="A"), calendar=False)
    assert made.total == 3
    assert made.items["strategy"] == 0
