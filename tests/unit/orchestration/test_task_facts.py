"""What Airflow gets of a task besides its work: what a kill does, its name in a list, its link."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import RetryDecision
from airflow.sdk.exceptions import AirflowTaskTimeout

from pressroom.domain.definitions import Account, Site
from pressroom.domain.errors import PermanentError, TransientError
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import Report, Stop
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.tasks.run import CloseRun, OpenRun
from pressroom.orchestration.tasks.run_operator import (
    ErrorClassPolicy,
    WhatItMade,
    record_failure,
    too_late,
)
from pressroom.orchestration.tasks.stage import WorkBatch
from pressroom.orchestration.tools import connections
from pressroom.pipelines.site import SITE, content
from pressroom.store.workflows import WorkflowRow

GARDEN = Site(account="acme", slug="garden", name="The Garden")
ROW = WorkflowRow(1, 2, Account(slug="acme", name="Acme"), GARDEN, None)


class NoStore:
    """Opens transactions of nothing, or none: the database is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away

    @contextmanager
    def transaction(self, account: int = -1) -> Iterator[None]:
        if self.away:
            raise TransientError("lost Pressroom's database")
        yield None


def batch(*keys: int) -> WorkBatch:
    return WorkBatch(task_id="work", workflow="site/garden", stage="content", batch=list(keys))


# Killed ---------------------------------------------------------------------------------------------------


def test_a_task_that_gets_a_kill_stops_its_calls() -> None:
    task = batch(1)
    assert not task.stopper.stopped
    task.on_kill()
    assert task.stopper.stopped


def test_a_killed_batch_is_tried_again_if_airflow_still_wants_it() -> None:
    with pytest.raises(TransientError, match="was stopped before its end; its items wait"):
        batch(1).must_go_on(Report(stop=Stop.KILLED))
    for stop in (None, Stop.CANCELLED, Stop.PAUSED, Stop.BUDGET):
        batch(1).must_go_on(Report(stop=stop))


def test_a_batch_whose_time_is_over_is_tried_again_only_if_it_got_something_done() -> None:
    task = batch(1)
    task.execution_timeout = timedelta(hours=12)
    task.watch_time()
    task.stopper.stop(too_late(task))
    why = r"the task took the 12 hours that it may take \(Airflow's \[core\] default_task_execution_timeout\)"
    with pytest.raises(PermanentError, match=why):
        task.must_go_on(Report(stop=Stop.KILLED))
    with pytest.raises(TransientError, match="its items wait"):
        task.must_go_on(Report(stop=Stop.KILLED, done=1))


def test_a_task_that_airflow_ends_for_its_time_fails_for_good_and_its_run_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = batch(1)
    task.execution_timeout = timedelta(hours=12)
    reasons: list[str] = []
    monkeypatch.setattr(
        WorkBatch, "record_reason", lambda self, context, error, reason: reasons.append(reason)
    )
    record_failure({"task": task, "exception": AirflowTaskTimeout("Timeout, PID: 1")})
    assert reasons == [too_late(task)]
    decision = ErrorClassPolicy().evaluate(AirflowTaskTimeout("Timeout, PID: 1"), 1, 5)
    assert decision.action == RetryDecision.fail("").action


# Named ----------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that still wait to be written."""
    tasks: list[Any] = []
    monkeypatch.setattr(connections, "store", NoStore)
    monkeypatch.setattr(WorkBatch, "_row", lambda *_: ROW)
    monkeypatch.setattr(WorkBatch, "dag_id", "site__garden", raising=False)
    monkeypatch.setattr(control, "find", lambda *_: SimpleNamespace(id=7, params={}))
    stage = SimpleNamespace(load=lambda tx, run, keys: tasks[:1], named=content.STAGE.named)
    pipeline = SimpleNamespace(stage=lambda name: stage)
    monkeypatch.setattr("pressroom.orchestration.tasks.stage.pipeline_of", lambda *_: pipeline)
    return tasks


def test_a_batch_is_named_after_its_first_item_and_says_how_many_more_there_are(waiting: list[Any]) -> None:
    waiting.append(SimpleNamespace(title="Prune roses"))
    assert batch(1).holds("manual__1") == "Prune roses"
    assert batch(1, 2, 3).holds("manual__1") == "Prune roses + 2 more"


def test_the_name_stays_when_the_work_is_done(waiting: list[Any]) -> None:
    waiting.append(SimpleNamespace(title="Prune roses"))
    task = batch(1, 2)
    assert task.holds("manual__1") == "Prune roses + 1 more"
    waiting.clear()
    assert task.holds("manual__1") == "Prune roses + 1 more"


def test_a_long_name_is_cut(waiting: list[Any]) -> None:
    waiting.append(SimpleNamespace(title="Roses " * 60))
    assert len(batch(1).holds("manual__1")) <= 120


def test_what_has_no_name_is_counted(waiting: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert batch(1, 2).holds("manual__1") == "2 items"
    monkeypatch.setattr(connections, "store", lambda: NoStore(away=True))
    assert batch(1).holds("manual__1") == "1 item"


def test_airflow_asks_for_the_name() -> None:
    work = build_dag(SITE, GARDEN).get_task("content.work")
    assert work.map_index_template == "{{ task.holds(dag_run.run_id) }}"


# Linked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [OpenRun, CloseRun])
def test_the_first_and_the_last_task_lead_to_what_the_run_made(kind: type[OpenRun | CloseRun]) -> None:
    task = kind(task_id="open_run", workflow="site/garden")
    [link] = task.operator_extra_links
    assert isinstance(link, WhatItMade)
    assert link.get_link(task, ti_key=None) == ""  # the run was never opened
    task.run_number = 7
    assert link.get_link(task, ti_key=None).endswith("/pressroom/api/v1/pipeline/jobs/job_7")
