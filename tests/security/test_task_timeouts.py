"""A task has an end: whatever its items do to it, its calls are booked, and its items wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from pressroom.domain.definitions import Site
from pressroom.domain.errors import PermanentError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.engine.runs.batch import Stop
from tests.integration.test_cancel_now import write
from tests.support.airflow_library import airflow_as_library
from tests.support.control_world import Control
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.waiting import until

with airflow_as_library():
    from pressroom.orchestration.dags.build import LONGEST_TASK, build_dag
    from pressroom.orchestration.tasks.stage import WorkBatch
    from pressroom.pipelines.registry import parts_of, pipeline_of

pytestmark = pytest.mark.integration

FETCH = {"name": "read", "type": "fetch", "source": {"type": "rss", "url": "https://example.org/feed"}}
GATE = {"name": "ask", "type": "gate", "by": "approval"}
HOOK = {"name": "hook", "type": "gate", "by": "webhook"}
WRITE = {"name": "write", "type": "ai", "prompt": "Write"}
WORKFLOWS: list[Workflow] = [
    Site.model_validate(
        {"account": "a", "slug": "s", "name": "S", "publish": {"targets": [{"to": "static_site"}]}}
    ),
    Mission.model_validate(
        {"account": "a", "slug": "m", "name": "M", "objectives": ["x"], "platforms": ["twitter"]}
    ),
    Flow.model_validate({"account": "a", "slug": "f", "name": "F", "steps": [FETCH, WRITE, GATE, HOOK]}),
]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.kind)
def test_every_task_has_a_time_out(workflow: Workflow) -> None:
    for part in parts_of(workflow):
        dag = build_dag(pipeline_of(workflow, part), workflow, part)
        assert {task.execution_timeout for task in dag.tasks} == {LONGEST_TASK}


@pytest.fixture
def server() -> Iterator[ScriptedOpenAI]:
    with ScriptedOpenAI() as running:
        running.script.update({"rules": [{"action": "hang", "match": "Write about"}]})
        yield running


async def test_calls_without_an_end_are_stopped_booked_and_their_items_wait(
    control: Control, server: ScriptedOpenAI
) -> None:
    clusters, run = control.world.clusters(3), control.world.run()
    with control.world.store.transaction(run.account_id) as tx:
        tx.run("plan_stage", run=run.id, stage="ideas", planned=3, skipped=None)
    task = WorkBatch(
        task_id="work", workflow="site/a", stage="ideas", batch=[*clusters],
        execution_timeout=timedelta(seconds=5),
    )  # fmt: skip
    writing = asyncio.create_task(write(control, server, run, clusters, stopper=task.stopper))
    async with asyncio.timeout(60):
        await until(lambda: server.script.in_flight >= 3 or writing.done())
        task.watch_time()
        report = await writing
    assert (report.stop, report.done, report.failed, report.waiting) == (Stop.KILLED, 0, 0, [])
    with pytest.raises(PermanentError, match=r"that it may take .*; its items wait"):
        task.must_go_on(report)
    rows: Any = control.world.sql
    assert rows("SELECT count(*) FROM ai_calls WHERE outcome = 'CancelledError' AND cents > 50") == [(3,)]
    assert rows("SELECT sum(cents) > 150 FROM ledger WHERE kind = 'cost'") == [(True,)]
    assert rows("SELECT count(*) FROM ledger WHERE kind = 'charge'") == [(0,)]
    assert rows("SELECT count(*) FROM reservations WHERE item <> '0'") == [(0,)]
    assert rows("SELECT count(*) FROM item_failures") == [(0,)]
