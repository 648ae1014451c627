"""The task that a stage begins with is where others look for it: a retry clears it by its name."""

from __future__ import annotations

import pytest
from airflow.sdk.definitions.mappedoperator import MappedOperator

from pressroom.domain.definitions import Site
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.engine.runs.starting import ROLLBACK_TASK
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.tasks.run_operator import RunOperator, record_failure, record_retry
from pressroom.pipelines.registry import PUBLISH, pipeline_of, task_of

NAMED = {"account": "acme", "slug": "one", "name": "One"}
SITE = Site.model_validate({**NAMED, "publish": {"targets": [{"to": "static_site"}]}})
MISSION = Mission.model_validate({**NAMED, "objectives": ["be known"], "platforms": ["twitter"]})
FLOW = Flow.model_validate({
    **NAMED,
    "steps": [
        {"name": "read", "type": "fetch", "source": {"type": "rss", "url": "https://example.org/feed"}},
        {"name": "look", "type": "gate", "by": "approval"},
        {"name": "tell", "type": "ping", "connection": "hook"},
    ],
})  # fmt: skip


@pytest.mark.parametrize(
    ("workflow", "part"), [(SITE, ""), (SITE, PUBLISH), (MISSION, ""), (FLOW, "")],
    ids=["site", "publish", "mission", "flow"],
)  # fmt: skip
def test_each_stage_begins_with_the_task_of_that_name(workflow: Workflow, part: str) -> None:
    pipeline = pipeline_of(workflow, part)
    dag = build_dag(pipeline, workflow, part)
    firsts = [task_of(pipeline, stage.name) for stage in pipeline.stages]
    assert set(firsts) <= set(dag.task_ids)
    for stage, first in zip(pipeline.stages, firsts, strict=True):
        own = {name for name in dag.task_ids if stage.name in name.split(".")}
        assert not dag.get_task(first).upstream_task_ids & own


def test_a_rollback_is_where_it_is_looked_for() -> None:
    assert ROLLBACK_TASK in build_dag(pipeline_of(MISSION), MISSION).task_ids


@pytest.mark.parametrize(
    ("workflow", "part"), [(SITE, ""), (SITE, PUBLISH), (MISSION, ""), (FLOW, "")],
    ids=["site", "publish", "mission", "flow"],
)  # fmt: skip
def test_each_task_records_why_it_failed(workflow: Workflow, part: str) -> None:
    dag = build_dag(pipeline_of(workflow, part), workflow, part)
    for task in dag.tasks:
        if isinstance(task, MappedOperator):
            task = task.unmap({"batch": [1]})
        assert isinstance(task, RunOperator)
        assert list(task.on_failure_callback) == [record_failure], task.task_id
        assert list(task.on_retry_callback) == [record_retry], task.task_id
