"""Intake: what a mission must fulfil before its cycle is planned, and the context it begins with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from pressroom.domain.errors import ConfigurationError, InvalidMission
from pressroom.domain.missions import Mission
from pressroom.domain.social import Platform
from pressroom.pipelines.mission import intake
from pressroom.pipelines.mission.cycle import MissionState
from pressroom.pipelines.mission.intake import IntakeBrief
from pressroom.testing import FixedClock, connected, tools
from pressroom.testing_flows import FakeNetworks, FakeOutside

NOW = datetime(2024, 1, 15, 8, tzinfo=UTC)  # a Monday


def mission(**changes: Any) -> Mission:
    facts: dict[str, Any] = {
        "account": "acme", "slug": "launch", "name": "Launch", "status": "active", "objectives": ["be known"],
        "platforms": ["twitter", "linkedin"], "duration_days": 31, "cycle_days": 31, **changes,
    }  # fmt: skip
    return Mission.model_validate(facts)


def brief(
    started_at: datetime | None = None,
    planned_until: datetime | None = None,
    cycles: int = 0,
    spent: str = "0",
) -> IntakeBrief:
    state = MissionState(started_at, None, None, Decimal(spent), cycles, planned_until)
    return IntakeBrief(7, 3, state, 2)


async def context(
    given: Mission, state: IntakeBrief, missing: dict[Platform, str] | None = None
) -> intake.Context:
    outside = FakeOutside(networks=FakeNetworks(FixedClock(NOW), missing))
    return await intake.process(state, tools(site=given, social=connected(NOW), outside=outside))


async def test_the_execution_context_has_the_documented_fields() -> None:
    made = await context(mission(constraints={"posts_per_day": 2}), brief())
    assert made.execution == {
        "mission_id": "msn_7",
        "brand_context_id": "brc_2",
        "validated_platforms": ["twitter", "linkedin"],
        "execution_context": {
            "start_date": "2024-01-15",
            "end_date": "2024-02-15",
            "total_posts_planned": 62,
            "daily_cadence": 2,
        },
        "cycle_context": {"start_date": "2024-01-15", "end_date": "2024-02-14", "posts_planned": 62},
        "estimated_cents": pytest.approx(65 * 1.7),
        "earliest_slot": "2024-01-15T08:30:00+00:00",
    }


async def test_the_execution_context_is_the_missions_in_every_cycle() -> None:
    weekly = mission(constraints={"posts_per_day": 2}, duration_days=28, cycle_days=7)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    third = await context(weekly, brief(started_at=start, planned_until=start + timedelta(days=14), cycles=2))
    assert third.execution["execution_context"] == {
        "start_date": "2024-01-01", "end_date": "2024-01-28", "total_posts_planned": 56, "daily_cadence": 2,
    }  # fmt: skip
    assert third.execution["cycle_context"] == {
        "start_date": "2024-01-15", "end_date": "2024-01-21", "posts_planned": 14,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("objectives", [], "objectives"),
        ("platforms", [], "platforms"),
        ("platforms", ["twitter", "twitter"], "platforms"),
        ("platforms", ["myspace"], "platforms"),
        ("constraints", {"posts_per_day": 0}, "constraints.posts_per_day"),
        ("constraints", {"timezone": "Mars/Base"}, "constraints.timezone"),
        ("constraints", {"budget_cents": -1}, "constraints.budget_cents"),
        ("kpis", [{"metric": "fame", "target": 1}], "kpis.0.metric"),
        ("kpis", [{"metric": "impressions", "target": 0}], "kpis.0.target"),
        ("starts_at", "2026-01-01T00:00:00", "starts_at"),
        ("ends_at", "2026-01-01T00:00:00Z", "ends_at"),
        ("duration_days", 0, "duration_days"),
        ("colour", "red", "colour"),
    ],
)
def test_an_invalid_mission_names_the_field(field: str, value: Any, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        mission(**{field: value})
    problem = refused.value.errors()[0]
    assert says in ".".join(map(str, problem["loc"])) or problem["msg"].startswith(f"Value error, {says}")


async def test_a_platform_that_is_not_ready_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"platforms: linkedin: not connected .*pressroom_metricool"):
        await context(mission(), brief(), {Platform.LINKEDIN: "not connected"})


@pytest.mark.parametrize(("spent", "fits"), [("0", True), ("10", False)])
async def test_the_budget_must_cover_the_estimate_1_2_times(spent: str, fits: bool) -> None:
    # 10 posts and 3 calls of 1.7 cents: 22.1, times 1.2 is 26.52
    given = mission(cycle_days=5, constraints={"posts_per_day": 2, "budget_cents": 26.52})
    if fits:
        assert (await context(given, brief(spent=spent))).number == 1
    else:
        with pytest.raises(InvalidMission, match=r"^constraints\.budget_cents: 16\.5200 of 26\.52 cents"):
            await context(given, brief(spent=spent))


async def test_a_window_without_a_day_to_post_on_is_refused() -> None:
    saturday = datetime(2024, 1, 20, 8, tzinfo=UTC)
    given = mission(cycle_days=1, constraints={"cadence": "weekdays"})
    with pytest.raises(InvalidMission, match=r"^constraints\.cadence"):
        await intake.process(brief(), tools(site=given, social=connected(saturday)))


# The window of a cycle ---------------------------------------------------------------------------------


def window(given: Mission, state: IntakeBrief, now: datetime = NOW) -> tuple[datetime, datetime, datetime]:
    return intake.window(given, state.state, now)


MIDNIGHT = datetime(2024, 1, 22, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_the_first_cycle_begins_now_and_the_next_where_it_ended() -> None:
    given = mission(cycle_days=7)
    assert window(given, brief()) == (NOW, MIDNIGHT, MIDNIGHT)
    later = brief(started_at=NOW, planned_until=MIDNIGHT, cycles=1)
    assert window(given, later, NOW + timedelta(days=6)) == (MIDNIGHT, MIDNIGHT + WEEK, MIDNIGHT + WEEK)


def test_a_cycle_ends_at_midnight_where_the_mission_is() -> None:
    given = mission(cycle_days=7, constraints={"timezone": "Europe/Berlin"})
    in_march = datetime(2027, 3, 25, 8, tzinfo=UTC)  # the clocks go forward on the 28th
    assert window(given, brief(), in_march)[1] == datetime(2027, 3, 31, 22, tzinfo=UTC)


def test_a_late_cycle_begins_now() -> None:
    late = MIDNIGHT + timedelta(days=2)
    state = brief(started_at=NOW, planned_until=MIDNIGHT, cycles=1)
    assert window(mission(cycle_days=7), state, late)[0] == late


IN_PHASE = {"starts_at": "2026-11-09T09:00:00+01:00", "cycle_days": 7, "duration_days": 56,
            "constraints": {"timezone": "Europe/Berlin"}}  # fmt: skip


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-11-09T08:00", "2026-11-15T23:00"),
        ("2026-11-26T21:30", "2026-11-29T23:00"),  # late: it ends where it would have ended
        ("2026-11-29T09:00", "2026-11-29T23:00"),
        ("2026-11-29T21:30", "2026-12-06T23:00"),  # an hour and a half is no cycle
        ("2026-12-28T08:00", "2027-01-04T08:00"),  # nor are the nine hours before the mission's end
    ],
)
def test_a_cycle_with_a_date_to_start_at_keeps_its_phase(now: str, ends: str) -> None:
    given = mission(**IN_PHASE)
    at = datetime.fromisoformat(f"{now}:00+00:00")
    start, end, _ = window(given, brief(), at)
    assert (start, end) == (at, datetime.fromisoformat(f"{ends}:00+00:00"))


def test_cycles_in_phase_follow_each_other_without_a_gap_when_the_clocks_change() -> None:
    given = mission(**IN_PHASE | {"starts_at": "2027-03-15T00:00:00+01:00"})
    state, at, ends = brief(), datetime(2027, 3, 14, 23, tzinfo=UTC), []
    for _ in range(3):
        start, end, _ = window(given, state, at)
        assert start == at
        state, at = brief(started_at=start, planned_until=end), end
        ends.append(f"{end:%m-%d %H}")
    assert ends == ["03-21 23", "03-28 22", "04-04 22"]


def test_the_last_cycle_is_cut_off_and_measured_until_its_last_post_counts() -> None:
    given = mission(cycle_days=7, duration_days=10, measuring={"mature_hours": 48})
    state = brief(started_at=NOW, planned_until=MIDNIGHT, cycles=1)
    end = NOW + timedelta(days=10)
    assert window(given, state) == (MIDNIGHT, end, end + timedelta(hours=48))


def test_a_cycle_may_take_the_whole_mission() -> None:
    assert window(mission(cycle_days=700, duration_days=31), brief())[1] == NOW + timedelta(days=31)
