"""The DAG of a mission: one cycle a run, polled without a worker, undone when it fails."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.events import EventsTimetable

from pressroom.domain.missions import Mission
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.tasks.triggers import PollTrigger, RunTrigger
from pressroom.pipelines.mission.pipeline import MISSION

STAGES = ["intake", "strategy", "content", "publish", "analytics", "optimize"]
START = dt.datetime(2027, 1, 4, 8, tzinfo=dt.UTC)
FEBRUARY = dt.datetime(2027, 2, 1, tzinfo=dt.UTC)


def mission(**changes: Any) -> Mission:
    facts = {
        "account": "acme", "slug": "launch", "name": "The Launch", "status": "active",
        "objectives": ["be known"], "platforms": ["twitter"], **changes,
    }  # fmt: skip
    return Mission.model_validate(facts)


def built(*, since: dt.datetime | None = None, **changes: Any) -> DAG:
    return build_dag(MISSION, mission(**changes), since=since)


def test_it_is_found_by_its_mission_and_its_account() -> None:
    dag = built()
    assert dag.dag_id == "mission__launch"
    assert dag.tags == {"pressroom", "account:acme", "mission:launch"}
    assert dag.doc_md is not None
    assert all(f"| `{stage.name}` | {stage.title} |" in dag.doc_md for stage in MISSION.stages)


def test_the_six_stages_stand_in_order_and_analytics_is_one_task_that_defers() -> None:
    steps = {
        stage: [stage] if stage == "analytics" else [f"{stage}.plan", f"{stage}.work"] for stage in STAGES
    }
    dag = built()
    assert [task.task_id for task in dag.tasks] == [
        "open_run", *(step for stage in STAGES for step in steps[stage]), "close_run", "rollback",
    ]  # fmt: skip
    assert dag.get_task("analytics").upstream_task_ids == {"publish.plan", "publish.work"}
    assert dag.get_task("optimize.plan").upstream_task_ids == {"analytics"}


@pytest.mark.parametrize("on", [False, True])
def test_every_run_can_be_undone_once_its_stages_are_over_also_when_it_is_marked_as_failed(on: bool) -> None:
    dag = built(rollback=on)
    undo, closing = (dag.get_task(name) for name in ("rollback", "close_run"))
    # Airflow skips every pending task of a DAG run that somebody marks, but for teardowns.
    assert undo.is_teardown
    assert undo.trigger_rule == "all_done_setup_success"
    assert {"intake.work", "content.plan", "analytics", "optimize.work"} <= undo.upstream_task_ids
    assert not undo.on_failure_fail_dagrun  # close_run comes after it and says how the run ended
    assert {"rollback", "optimize.work"} <= closing.upstream_task_ids


def test_only_the_last_task_decides_the_state_of_the_dag_run() -> None:
    dag = built()
    assert [task.task_id for task in dag.tasks if task.on_failure_fail_dagrun] == ["close_run"]
    assert [task.task_id for task in dag.leaves] == ["close_run"]


@pytest.mark.parametrize(("on", "said"), [(True, "when it failed, or once"), (False, "did once somebody")])
def test_its_page_says_when_a_run_is_undone(on: bool, said: str) -> None:
    page = built(rollback=on).doc_md
    assert page is not None
    assert said in page
    assert "POST /pressroom/api/v1/pipeline/jobs/ID/rollback" in page


@pytest.mark.parametrize(
    ("changes", "slots"),
    [
        ({"duration_days": 28}, ["01-04 08", "01-11 00", "01-18 00", "01-25 00"]),
        ({"ends_at": FEBRUARY.isoformat(), "cycle_days": 14}, ["01-04 08", "01-18 00"]),
        ({"starts_at": None}, None),
        ({"status": "paused"}, None),
        ({"status": "completed"}, None),
    ],
    ids=["where cycles end", "until its end", "no start: by hand", "paused", "completed"],
)  # fmt: skip
def test_schedule(changes: dict[str, Any], slots: list[str] | None) -> None:
    schedule: Any = built(**{"starts_at": START.isoformat()} | changes).schedule
    if slots is None:
        assert schedule is None
        return
    assert isinstance(schedule, EventsTimetable)
    assert [f"{slot:%m-%d %H}" for slot in schedule.event_dates] == slots


def test_the_next_cycle_waits_for_this_one() -> None:
    dag = built(starts_at=START.isoformat())
    assert dag.max_active_runs == 1
    assert dag.catchup is True  # without, a slot that comes while a cycle is at work is passed over


def test_a_mission_takes_a_cap_and_no_number_of_articles() -> None:
    params = built().params
    assert list(params) == ["cap_cents"]
    with pytest.raises(ParamValidationError):
        params.get_param("cap_cents").resolve(-1)


def test_two_builds_of_one_definition_serialize_identically() -> None:
    texts = [json.dumps(DagSerialization.to_dict(built(rollback=True)), sort_keys=True) for _ in range(2)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "trigger",
    [
        RunTrigger(1, 2),
        RunTrigger(1, 2, until="2027-01-01T00:00:00+00:00"),
        RunTrigger(1, 2, workflow="mission/launch", stage="publish"),
        PollTrigger(1, 2, "mission/launch", "analytics"),
    ],
)
def test_a_trigger_survives_being_stored(trigger: RunTrigger | PollTrigger) -> None:
    path, values = trigger.serialize()
    json.dumps(values)
    assert path == f"pressroom.orchestration.tasks.triggers.{type(trigger).__name__}"
    assert type(trigger)(**values).serialize() == trigger.serialize()
