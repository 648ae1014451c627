"""The DAG of a site: what Airflow gets to see of a list of stages and a definition."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from croniter import croniter

from pressroom.domain.definitions import Automation, BatchSizes, Site
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.tasks.run_operator import ErrorClassPolicy
from pressroom.pipelines.site import SITE

WITH_WORK = ["clusters", "ideas", "tasks", "content", "image_prompts", "images"]
SUNDAY = dt.datetime(2026, 2, 15, 12, tzinfo=dt.UTC)


def site(**changes: Any) -> Site:
    return Site(account="acme", slug="garden", name="The Garden", **changes)


def built(**automation: Any) -> DAG:
    return build_dag(SITE, site(automation=Automation(**automation)))


def text(dag: DAG) -> str:
    return json.dumps(DagSerialization.to_dict(dag), sort_keys=True)


def test_it_is_found_by_its_site_and_its_account() -> None:
    dag = built()
    assert dag.dag_id == "site__garden"
    assert dag.dag_display_name == "The Garden"
    assert dag.tags == {"pressroom", "account:acme", "site:garden"}
    assert dag.owner == "acme"
    assert dag.doc_md is not None
    assert all(f"| `{stage.name}` | {stage.title} |" in dag.doc_md for stage in SITE.stages)


def test_the_stages_stand_in_order_between_opening_and_closing() -> None:
    dag = built()
    stages = [f"{stage}.{step}" for stage in WITH_WORK for step in ("plan", "work")]
    assert [task.task_id for task in dag.tasks] == ["open_run", *stages, "review", "close_run"]
    expected = {"open_run": set(), "clusters.plan": {"open_run"}, "close_run": {"open_run", "review"}}
    for stage, following in zip(
        WITH_WORK, [*[f"{name}.plan" for name in WITH_WORK[1:]], "review"], strict=True
    ):
        expected[f"{stage}.work"] = {f"{stage}.plan"}
        expected[following] = {f"{stage}.plan", f"{stage}.work"}
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == expected


def test_the_lock_is_taken_in_a_setup_and_released_in_a_teardown() -> None:
    dag = built()
    assert [task.task_id for task in dag.tasks if task.is_setup] == ["open_run"]
    assert [task.task_id for task in dag.tasks if task.is_teardown] == ["close_run"]
    assert dag.get_task("close_run").on_failure_fail_dagrun


def test_a_stage_runs_behind_one_without_work_but_never_behind_a_failed_one() -> None:
    rules = {task.task_id: task.trigger_rule.value for task in built().tasks}
    assert rules.pop("open_run") == "all_success"
    assert rules.pop("clusters.plan") == "all_success"  # Airflow's condition for what follows a setup
    assert rules.pop("close_run") == "all_done_setup_success"
    works = {rules.pop(f"{stage}.work") for stage in WITH_WORK}
    assert works == {"all_success"}
    assert set(rules) == {*[f"{stage}.plan" for stage in WITH_WORK[1:]], "review"}
    assert set(rules.values()) == {"none_failed_min_one_success"}


def test_paid_work_is_bounded_by_a_pool_over_all_sites() -> None:
    pools = {task.task_id: task.pool for task in built().tasks if task.pool != "default_pool"}
    assert pools == {
        "clusters.work": "pressroom_text",
        "ideas.work": "pressroom_text",
        "content.work": "pressroom_text",
        "image_prompts.work": "pressroom_text",
        "images.work": "pressroom_images",
    }


@pytest.mark.parametrize(
    ("concurrency", "size", "batches"), [(8, 8, 1), (8, 4, 2), (9, 4, 3), (16, 1, 16), (1, 8, 1)]
)
def test_no_more_batches_at_once_than_fill_the_sites_concurrency(
    concurrency: int, size: int, batches: int
) -> None:
    dag = built(concurrency=concurrency, batch_sizes=BatchSizes(content=size))
    assert dag.get_task("content.work").max_active_tis_per_dagrun == batches
    assert dag.get_task("clusters.work").max_active_tis_per_dagrun == 1  # a group sees what the last one made


def test_every_task_is_retried_by_the_class_of_its_error() -> None:
    policies = [built().get_task(name).retry_policy for name in ("open_run", "content.plan", "content.work")]
    assert all(isinstance(policy, ErrorClassPolicy) for policy in policies)


# When it runs: the next three times after a Sunday noon ------------------------------------------------

SCHEDULES: dict[str, tuple[dict[str, Any], list[str] | None]] = {
    "daily": (
        {"frequency": "daily"},
        ["Mon 2026-02-16 02:00", "Tue 2026-02-17 02:00", "Wed 2026-02-18 02:00"],
    ),
    "weekly: Mondays": (
        {"frequency": "weekly", "time": "06:30"},
        ["Mon 2026-02-16 06:30", "Mon 2026-02-23 06:30", "Mon 2026-03-02 06:30"],
    ),
    "monthly: the 1st": (
        {"frequency": "monthly", "time": "23:05"},
        ["Sun 2026-03-01 23:05", "Wed 2026-04-01 23:05", "Fri 2026-05-01 23:05"],
    ),
    "any cron, instead of frequency and time": (
        {"frequency": "monthly", "time": "23:05", "cron": "15 4 * * 2,4"},
        ["Tue 2026-02-17 04:15", "Thu 2026-02-19 04:15", "Tue 2026-02-24 04:15"],
    ),
    "not enabled: no schedule": ({"enabled": False, "frequency": "daily"}, None),
    "not enabled: no cron either": ({"enabled": False, "cron": "15 4 * * 2,4"}, None),
}


@pytest.mark.parametrize("rule", SCHEDULES)
def test_schedule(rule: str) -> None:
    automation, times = SCHEDULES[rule]
    schedule: Any = built(**{"enabled": True, "timezone": "Europe/Berlin", **automation}).schedule
    if times is None:
        assert schedule is None
        return
    assert isinstance(schedule, CronTriggerTimetable)
    assert str(schedule.timezone) == "Europe/Berlin"
    after = croniter(schedule.expression, SUNDAY)
    assert [f"{after.get_next(dt.datetime):%a %Y-%m-%d %H:%M}" for _ in range(3)] == times


def test_what_was_missed_is_not_made_up_for_and_a_new_dag_is_on() -> None:
    dag = built(enabled=True)
    assert dag.catchup is False
    assert dag.is_paused_upon_creation is False
    assert dag.max_active_runs > 1  # a second run shall start and be told who holds the lock


# The trigger form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("articles", None), ("articles", 1), ("articles", 500), ("cap_cents", None), ("cap_cents", 0),
     ("cap_cents", 12.5)],
)  # fmt: skip
def test_a_param_takes(name: str, value: object) -> None:
    assert built().params.get_param(name).resolve(value) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("articles", 0), ("articles", -1), ("articles", 1.5), ("articles", "3"), ("cap_cents", -0.01),
     ("cap_cents", "much")],
)  # fmt: skip
def test_a_param_refuses(name: str, value: object) -> None:
    with pytest.raises(ParamValidationError):
        built().params.get_param(name).resolve(value)


# What the dag processor compares ------------------------------------------------------------------------


def test_two_builds_of_one_definition_serialize_identically() -> None:
    automation = {"enabled": True, "frequency": "weekly", "timezone": "Europe/Berlin", "concurrency": 16}
    assert text(built(**automation)) == text(built(**automation))


@pytest.mark.parametrize("change", [{"time": "03:00"}, {"enabled": False}, {"concurrency": 64}])
def test_a_changed_definition_serializes_differently(change: dict[str, Any]) -> None:
    assert text(built(enabled=True)) != text(built(**{"enabled": True, **change}))
