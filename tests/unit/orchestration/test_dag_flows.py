"""The DAG of a flow: a chain of tasks for each item, in which nobody waits for anybody else."""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, CronTriggerTimetable
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from pressroom.domain.flows import Flow
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.tasks.flow import ItemsOfRun, ItemStep
from pressroom.orchestration.tasks.gates import ApproveAtGate, WaitAtGate
from pressroom.orchestration.tasks.run_operator import ErrorClassPolicy
from pressroom.orchestration.tasks.triggers import GateTrigger
from pressroom.pipelines.flow.pipeline import flow_pipeline

FETCH = {"name": "read", "type": "fetch", "source": {"type": "rss", "url": "https://example.org/feed"}}
WRITE = {"name": "write", "type": "ai", "prompt": "Write about {{ item.title | data }}"}
DRAW = {"name": "draw", "type": "media", "prompt": "A picture"}
BLOG = {"name": "blog", "type": "publish", "to": "wordpress", "mode": "auto"}
HOOK = {"name": "hook", "type": "gate", "by": "webhook"}
LOOK = {"name": "look", "type": "gate", "by": "approval", "timeout_hours": 12, "on_timeout": "approve"}
WAIT = {"name": "wait", "type": "gate", "by": "time", "timeout_hours": 1}
WAY = {"name": "way", "type": "route", "rules": [{"when": "true", "to": "end"}]}
TELL = {"name": "tell", "type": "ping", "connection": "hook"}
ALL: list[dict[str, Any]] = [FETCH, WRITE, DRAW, HOOK, LOOK, WAIT, WAY, BLOG, TELL]


def flow(*steps: dict[str, Any], **changes: Any) -> Flow:
    facts = {"account": "acme", "slug": "news", "name": "The News", "steps": list(steps or ALL), **changes}
    return Flow.model_validate(facts)


def built(*steps: dict[str, Any], **changes: Any) -> DAG:
    made = flow(*steps, **changes)
    return build_dag(flow_pipeline(made), made)


def text(dag: DAG) -> str:
    return json.dumps(DagSerialization.to_dict(dag), sort_keys=True)


def chain(dag: DAG) -> list[str]:
    return [task.task_id.removeprefix("item.") for task in dag.tasks if task.task_id.startswith("item.")]


def test_it_is_found_by_its_flow_and_its_account() -> None:
    dag = built()
    assert (dag.dag_id, dag.dag_display_name, dag.owner) == ("flow__news", "The News", "acme")
    assert dag.tags == {"pressroom", "account:acme", "flow:news"}
    assert dag.doc_md is not None
    assert all(str(step["name"]) in dag.doc_md for step in ALL)


def test_items_come_in_and_each_goes_through_every_step() -> None:
    dag = built()
    steps = [str(step["name"]) for step in ALL[1:]]
    assert [task.task_id for task in dag.tasks] == [
        "open_run", "read.plan", "read.work", "items", *[f"item.{name}" for name in steps],
        "close_run",
    ]  # fmt: skip
    before = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    assert before["items"] == {"read.plan", "read.work"}
    assert before["item.write"] == {"items"}
    for one, other in pairwise(steps):
        assert before[f"item.{other}"] == {f"item.{one}"} | ({"items"} & before[f"item.{other}"])
    assert before["close_run"] == {"open_run", f"item.{steps[-1]}"}


def test_an_items_tasks_are_named_after_it() -> None:
    dag = built()
    names = [f"item.{step['name']}" for step in ALL[1:]]
    assert {dag.get_task(name).map_index_template for name in names} == {"{{ item_title }}"}


def test_the_last_task_decides_the_state_of_the_dag_run_whatever_later_steps_skipped() -> None:
    dag = built()
    assert [task.task_id for task in dag.leaves] == ["close_run"]
    assert dag.get_task("close_run").on_failure_fail_dagrun


def test_the_chain_is_mapped_over_the_items() -> None:
    dag = built()
    group = dag.task_group.children["item"]
    assert type(group).__name__ == "MappedTaskGroup"
    assert isinstance(dag.get_task("items"), ItemsOfRun)
    assert all(dag.get_task(f"item.{name}").get_closest_mapped_task_group() is group for name in chain(dag))


def test_a_step_looks_at_its_item_unless_one_before_it_failed() -> None:
    dag = built()
    rules = {dag.get_task(f"item.{name}").trigger_rule for name in chain(dag)}
    assert rules == {"none_failed"}
    assert dag.get_task("items").trigger_rule == "none_failed_min_one_success"
    assert dag.get_task("close_run").trigger_rule == "all_done_setup_success"


def test_the_lock_is_taken_in_a_setup_and_released_in_a_teardown() -> None:
    dag = built()
    assert [task.task_id for task in dag.tasks if task.is_setup] == ["open_run"]
    assert [task.task_id for task in dag.tasks if task.is_teardown] == ["close_run"]


def test_a_gate_waits_and_a_step_works() -> None:
    dag = built()
    kinds = {name: type(dag.get_task(f"item.{name}")) for name in chain(dag)}
    assert kinds.pop("hook") is kinds.pop("wait") is WaitAtGate
    assert kinds.pop("look") is ApproveAtGate
    assert set(kinds.values()) == {ItemStep}


def test_an_approval_is_airflows_own_page_with_room_for_an_edit() -> None:
    look = built().get_task("item.look")
    assert isinstance(look, ApproveAtGate)
    assert look.options == ["Approve", "Reject"]
    assert look.defaults == ["Approve"]
    assert look.response_timeout == dt.timedelta(hours=12)
    assert "text" in look.params
    reject = built(FETCH, LOOK | {"on_timeout": "fail"}).get_task("item.look")
    assert isinstance(reject, ApproveAtGate)
    assert reject.defaults == ["Reject"]


def test_paid_work_is_bounded_by_a_pool_over_all_workflows() -> None:
    pools = {task.task_id: task.pool for task in built().tasks if task.pool != "default_pool"}
    assert pools == {
        "item.write": "pressroom_text", "item.draw": "pressroom_images", "item.blog": "pressroom_publish",
    }  # fmt: skip


def test_every_task_is_retried_by_the_class_of_its_error() -> None:
    assert all(isinstance(task.retry_policy, ErrorClassPolicy) for task in built().tasks)


def test_a_flow_without_a_fetch_opens_with_what_the_trigger_brought() -> None:
    dag = built(WRITE, FETCH, BLOG)
    assert {"start.plan", "start.work"} <= set(dag.task_ids)
    assert chain(dag) == ["write", "read", "blog"]


def test_a_flow_that_is_only_a_fetch_has_no_chain() -> None:
    assert built(FETCH).task_ids == ["open_run", "read.plan", "read.work", "close_run"]


# When it runs -----------------------------------------------------------------------------------------------


def test_by_hand_unless_it_says_otherwise() -> None:
    dag = built()
    assert not dag.schedule
    assert (dag.catchup, dag.is_paused_upon_creation) == (False, False)


def test_by_the_clock() -> None:
    dag = built(trigger={"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin"})
    assert isinstance(dag.schedule, CronTriggerTimetable)
    assert (dag.schedule.expression, str(dag.schedule.timezone)) == ("0 6 * * 1-5", "Europe/Berlin")


def test_by_an_asset() -> None:
    dag = built(trigger={"asset": "s3://drop/news"})
    assert dag.schedule == [Asset("s3://drop/news")]


def test_a_webhook_is_no_schedule() -> None:
    assert built(trigger={"webhook": "inbound"}).schedule is None


def test_a_run_that_waits_at_a_gate_does_not_hold_up_the_next() -> None:
    assert built().max_active_runs == 1000


@pytest.mark.parametrize("item", [None, {}, {"title": "New", "tags": ["a"]}])
def test_a_run_may_bring_an_item(item: object) -> None:
    dag = built(WRITE)
    assert list(dag.params) == ["item", "cap_cents"]
    assert dag.params.get_param("item").resolve(item) == item


@pytest.mark.parametrize("item", ["text", 5, ["x"]])
def test_but_only_an_object(item: object) -> None:
    with pytest.raises(ParamValidationError):
        built(WRITE).params.get_param("item").resolve(item)


# What the dag processor compares ------------------------------------------------------------------------


def test_two_builds_of_one_definition_serialize_identically() -> None:
    trigger = {"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin"}
    assert text(built(trigger=trigger)) == text(built(trigger=trigger))


def test_a_changed_definition_serializes_differently() -> None:
    assert text(built()) != text(built(*ALL[:-1]))
    assert text(built()) != text(built(trigger={"asset": "s3://drop/news"}))


def test_no_prompt_and_no_content_is_in_the_dag_but_in_its_documentation() -> None:
    secret = "the words of the prompt"
    assert secret not in text(built(FETCH, WRITE | {"prompt": secret}))


def test_a_gates_trigger_survives_being_stored() -> None:
    trigger = GateTrigger(1, 2, 3, "look")
    path, values = trigger.serialize()
    assert path == "pressroom.orchestration.tasks.triggers.GateTrigger"
    assert json.loads(json.dumps(values)) == {"account_id": 1, "run_id": 2, "item_id": 3, "step": "look"}
    assert GateTrigger(**values).serialize() == trigger.serialize()
