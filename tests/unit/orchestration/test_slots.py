"""When schedules start runs: Airflow's own timetables over simulated months, changes of clocks included."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from pressroom.domain.definitions import Automation, Site
from pressroom.domain.missions import Mission
from pressroom.domain.schedules import CronSchedule
from pressroom.orchestration.dags.build import build_dag
from pressroom.pipelines.mission.pipeline import MISSION
from pressroom.pipelines.site import SITE

BERLIN = "Europe/Berlin"


def site(**automation: Any) -> Site:
    facts = {"enabled": True, "timezone": BERLIN, **automation}
    return Site(account="acme", slug="garden", name="The Garden", automation=Automation.model_validate(facts))


def mission(**changes: Any) -> Mission:
    return Mission.model_validate({
        "account": "acme", "slug": "launch", "name": "The Launch", "status": "active", "objectives": ["x"],
        "platforms": ["twitter"], "constraints": {"timezone": BERLIN}, **changes,
    })  # fmt: skip


def local(text: str, zone: str = BERLIN) -> pendulum.DateTime:
    moment = pendulum.parse(text, tz=zone)
    assert isinstance(moment, pendulum.DateTime)
    return moment


@pytest.fixture(autouse=True)
def _no_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a stored DAG looks for timetables of plugins; Airflow as a library has no folder of them."""
    monkeypatch.setattr("airflow.settings.PLUGINS_FOLDER", str(tmp_path))


class Scheduler:
    """Airflow's choice of the next slot, as its scheduler and its dag processor make it."""

    def __init__(self, dag: DAG) -> None:
        self.dag = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        self.last: DagRunInfo | None = None

    def due(self, now: pendulum.DateTime) -> pendulum.DateTime | None:
        """The slot for which a run is made at this moment, if there is one."""
        with patch("airflow.timetables.trigger.utcnow", return_value=now):
            info = self.dag.next_dagrun_info(last_automated_run_info=self.last)
        if info is None or info.run_after > now:
            return None
        self.last = info
        return info.run_after

    def runs(self, start: pendulum.DateTime, end: pendulum.DateTime, **step: int) -> Iterator[str]:
        """All slots, looked for in these steps: local time of the slot."""
        now = start
        while now < end:
            if (slot := self.due(now)) is not None:
                yield f"{slot.in_timezone(BERLIN):%m-%d %H:%M}"
            now = now.add(**step or {"minutes": 37})


@pytest.mark.parametrize(
    ("automation", "set_at"),
    [
        ({"cron": "*/3 * * * *"}, "2027-02-10T14:01"),
        ({"time": "12:00"}, "2027-02-10T14:00"),
        ({"frequency": "weekly", "time": "06:30"}, "2027-02-08T22:00"),
        ({"frequency": "monthly"}, "2027-02-03T09:00"),
    ],
    ids=["every three minutes", "daily", "weekly", "monthly"],
)
@pytest.mark.parametrize("ran_before", [False, True])
def test_a_schedule_starts_at_its_next_slot(
    automation: dict[str, Any], set_at: str, ran_before: bool
) -> None:
    own, since = site(**automation), local(set_at)
    scheduler = Scheduler(build_dag(SITE, own, since=since))
    if ran_before:
        scheduler.last = DagRunInfo.exact(since.subtract(days=90))
    assert scheduler.due(since.add(seconds=20)) is None
    slots = own.automation.slots
    assert slots is not None
    first = slots.after(since)
    assert scheduler.due(first.add(seconds=2)) == first


def test_a_slot_that_came_while_airflow_was_away_is_made_up_for_once() -> None:
    scheduler = Scheduler(build_dag(SITE, site(time="06:30"), since=local("2027-02-01T12:00")))
    assert scheduler.due(local("2027-02-05T09:00")) == local("2027-02-05T06:30")
    assert scheduler.due(local("2027-02-05T09:00")) is None


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"]
)
@pytest.mark.parametrize(
    "cron",
    ["30 6 * * *", "30 2 * * *", "15 1,2,3 * * *", "*/40 * * * *", "5 * * * *", "0 0 * * *", "30 6 * * 1",
     "0 6,18 1 * *"],
)  # fmt: skip
def test_our_slots_are_airflows(cron: str, zone: str) -> None:
    ours, airflows = CronSchedule(cron, zone), CronTriggerTimetable(cron, timezone=zone)
    for start in ("2027-03-12", "2027-04-29", "2027-10-02", "2027-10-29", "2027-11-06"):
        at = local(start, "UTC")
        for _ in range(12):
            info = airflows.next_dagrun_info(
                last_automated_data_interval=DataInterval.exact(at),
                restriction=TimeRestriction(None, None, catchup=True),
            )
            assert info is not None
            assert ours.after(at) == info.run_after
            at = pendulum.instance(info.run_after)


@pytest.mark.parametrize("month", [3, 10])
def test_a_daily_run_comes_on_every_day_of_a_month_with_a_change_of_clocks(month: int) -> None:
    own = site(time="06:30")
    start = pendulum.datetime(2027, month, 1, tz=BERLIN)
    runs = list(Scheduler(build_dag(SITE, own, since=start)).runs(start, start.add(months=1)))
    assert runs == [f"{month:02}-{day:02} 06:30" for day in range(1, 32)]
    slots, schedule = [local(f"2027-{run.replace(' ', 'T')}") for run in runs], own.automation.slots
    assert schedule is not None
    assert not any(schedule.too_soon(slot, last) for last, slot in pairwise(slots))


def test_cycles_keep_the_phase_of_their_start_through_a_change_of_clocks() -> None:
    own = mission(starts_at="2027-03-08T00:00:00+01:00", duration_days=42)
    start = local("2027-03-07T12:00")
    runs = list(Scheduler(build_dag(MISSION, own, since=start)).runs(start, start.add(days=60), hours=7))
    assert runs == ["03-08 00:00", "03-15 00:00", "03-22 00:00", "03-29 00:00", "04-05 00:00", "04-12 00:00"]


def test_a_mission_that_is_noticed_late_runs_at_once_and_then_in_phase() -> None:
    own = mission(starts_at="2026-11-09T00:00:00+01:00", duration_days=56)
    since = local("2026-11-26T22:30")
    scheduler = Scheduler(build_dag(MISSION, own, since=since))
    assert scheduler.due(since.add(seconds=30)) == local("2026-11-23T00:00")  # the cycle that it falls into
    runs = list(scheduler.runs(since.add(minutes=1), since.add(days=60), hours=7))
    assert runs == ["11-30 00:00", "12-07 00:00", "12-14 00:00", "12-21 00:00", "12-28 00:00"]


def test_a_cycle_that_outlasts_the_next_slot_does_not_lose_it() -> None:
    """The scheduler makes no run while one is active; meanwhile the dag processor looks again and again."""
    own = mission(starts_at="2027-03-08T00:00:00+01:00", duration_days=28)
    scheduler = Scheduler(build_dag(MISSION, own, since=local("2027-03-01T00:00")))
    assert scheduler.due(local("2027-03-08T00:01")) == local("2027-03-08T00:00")
    assert scheduler.due(local("2027-03-15T03:20")) == local("2027-03-15T00:00")


def test_a_backfill_is_refused() -> None:
    """Airflow asks the DAG, in its API, its command line and its scheduler."""
    for dag in (build_dag(SITE, site()), build_dag(MISSION, mission())):
        stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        allowed = set(stored.allowed_run_types or ())
        assert "backfill" not in allowed
        assert {"manual", "scheduled", "asset_triggered"} <= allowed


def test_two_builds_of_one_schedule_serialize_identically() -> None:
    since = dt.datetime(2027, 2, 1, 12, 0, 0, 5, tzinfo=dt.UTC)
    own = mission(starts_at="2027-01-04T00:00:00+01:00")
    texts = {str(DagSerialization.to_dict(build_dag(MISSION, own, since=since))) for _ in range(2)}
    assert len(texts) == 1
