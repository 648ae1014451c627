"""What is in examples/ is right: all of it loads, and every workflow of it is a DAG."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from pressroom.definitions.loading import Located, load
from pressroom.domain.definitions import Account, BrandContext
from pressroom.domain.flows import Flow, PublishStep
from pressroom.domain.grants.named import names_of
from pressroom.orchestration.dags.build import build_dag
from pressroom.pipelines.registry import pipeline_of

EXAMPLES = Path(__file__).parents[3] / "examples"
FOUND = load(EXAMPLES)
WORKFLOWS = [one.definition for one in FOUND if not isinstance(one.definition, Account | BrandContext)]
FLOWS = {one.slug: one for one in WORKFLOWS if isinstance(one, Flow)}


def test_every_file_with_definitions_is_loaded() -> None:
    assert {Path(one.file) for one in FOUND} == set(EXAMPLES.rglob("*.yaml"))


def test_all_belong_to_the_example_account_and_their_brands_are_there() -> None:
    accounts = {one.definition.slug for one in FOUND if isinstance(one.definition, Account)}
    brands = {one.definition.slug for one in FOUND if isinstance(one.definition, BrandContext)}
    assert {one.account for one in WORKFLOWS} == accounts
    assert {one.brand for one in WORKFLOWS if one.brand} <= brands


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda one: one.dag_id)
def test_every_workflow_is_a_dag_with_a_task_for_each_stage(workflow: object) -> None:
    pipeline = pipeline_of(workflow)  # type: ignore[arg-type]
    dag = build_dag(pipeline, workflow)  # type: ignore[arg-type]
    tasks = {part for task in dag.tasks for part in task.task_id.split(".")}
    assert {stage.name for stage in pipeline.stages} <= tasks
    assert json.dumps(DagSerialization.to_dict(dag))


@pytest.mark.parametrize("located", FOUND, ids=lambda one: one.definition.slug)
def test_a_flow_that_needs_connections_of_the_users_is_off_and_says_which(located: Located) -> None:
    flow = located.definition
    if not isinstance(flow, Flow) or "patterns" not in Path(located.file).parts:
        assert getattr(flow, "status", "active") == "active"
        return
    text = Path(located.file).read_text("utf-8")
    assert flow.status == "disabled"
    needed = [each.name for each in names_of(flow) if each.path[0] == "steps"]
    assert all(name in text.split("kind: Flow")[0] for name in needed)


@pytest.mark.parametrize(
    ("slug", "handlers"),
    [
        ("content-pinterest", ["wordpress", "pinterest"]),
        ("content-review-pinterest", ["wordpress", "pinterest"]),
        ("content-multi-platform", ["wordpress", "pinterest", "x"]),
        ("picture-route", ["wordpress", "x", "pinterest"]),
    ],
)
def test_the_recommended_patterns_are_there(slug: str, handlers: list[str]) -> None:
    assert [step.to for step in FLOWS[slug].steps if isinstance(step, PublishStep)] == handlers
