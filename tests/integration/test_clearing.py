"""Clear means rerun: any task of an ended run that Airflow is told to repeat takes the run up again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.domain.errors import InsufficientCredits, RunConflict, RunFailed
from pressroom.domain.run import Run
from pressroom.engine.runs import control, ending
from pressroom.engine.runs.control import RunState
from pressroom.engine.runs.ending import DagRunSeen
from pressroom.pipelines.site import SITE
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.world import World, make_world

with airflow_as_library():
    from pressroom.orchestration.tasks.run import CloseRun
    from pressroom.orchestration.tasks.run_operator import RunOperator
    from pressroom.orchestration.tasks.stage import AnnounceApproved, PlanStage, SumUpStage, WorkBatch
    from pressroom.orchestration.tools import connections

ENDS = ("completed", "partial", "failed", "cancelled")
CLEARED: dict[str, tuple[type[RunOperator], dict[str, Any]]] = {
    "a plan": (PlanStage, {"stage": "tasks"}),
    "one batch": (WorkBatch, {"stage": "tasks", "batch": [1]}),
    "the review": (SumUpStage, {"stage": "review"}),
    "the announcement": (AnnounceApproved, {}),
}


class Cleared:
    """A run of a site that has ended, and its tasks as Airflow begins them again."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        patch.setattr(connections, "store", lambda: world.store)
        patch.setattr(RunOperator, "dag_id", "site__brew", raising=False)

    def ended(self, status: str, name: str = "manual__1") -> Run:
        """A run that planned a stage, and ended so."""
        run = self.world.run(name)
        with self.world.store.transaction(self.world.account_id) as tx:
            tx.run("set_current_stage", run=run.id, stage="tasks")
            tx.run("plan_stage", run=run.id, stage="tasks", planned=1, skipped=None)
            if status == "partial":
                tx.run("finish_batch", run=run.id, stage="tasks", batches=1, partial="the run cap of 3 cents")
            if status == "cancelled":
                control.cancel(tx, self.world.site_id)
            failed = "content: no room" if status == "failed" else None
            assert control.close_run(tx, run.id, failed=failed) == status
        return run

    def begin(self, cleared: str, clears: int = 1) -> Any:
        """The view of its run that a task has when it begins."""
        kind, facts = CLEARED[cleared]
        return self.opened(kind(task_id=cleared.replace(" ", "_"), workflow="site/brew", **facts), clears)

    def opened(self, task: RunOperator, clears: int) -> Any:
        dag_run = SimpleNamespace(run_id="manual__1", clear_number=clears)
        return task._opened({"dag_run": dag_run})

    def state(self, run: Run) -> RunState:
        with self.world.store.transaction(self.world.account_id) as tx:
            return control.get(tx, run.id)

    def events(self, kind: str) -> list[str]:
        return [text for (text,) in self.world.sql("SELECT message FROM run_events WHERE kind = %s", kind)]


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store)


@pytest.fixture
def cleared(world: World, monkeypatch: pytest.MonkeyPatch) -> Cleared:
    return Cleared(world, monkeypatch)


@pytest.mark.parametrize("status", ENDS)
@pytest.mark.parametrize("what", CLEARED)
def test_whatever_is_cleared_opens_the_ended_run_again(cleared: Cleared, what: str, status: str) -> None:
    run = cleared.ended(status)
    opened = cleared.begin(what)
    assert (opened.state.id, opened.state.status, opened.state.cancel_requested) == (run.id, "running", False)
    assert cleared.state(run).live
    assert len(cleared.events("run_reopened")) == 1


@pytest.mark.parametrize("status", ENDS)
@pytest.mark.parametrize("what", CLEARED)
def test_a_task_that_comes_after_the_end_without_a_clear_changes_nothing(
    cleared: Cleared, what: str, status: str
) -> None:
    run = cleared.ended(status)
    assert cleared.begin(what, clears=0).state.status == status
    assert cleared.state(run).status == status


def test_the_tasks_that_were_cleared_together_open_the_run_once(cleared: Cleared, world: World) -> None:
    cleared.ended("failed")
    cleared.begin("a plan")
    [(opened_at,)] = world.sql("SELECT opened_at FROM runs")
    for what in CLEARED:
        assert cleared.begin(what).state.live
    assert world.sql("SELECT opened_at FROM runs") == [(opened_at,)]
    assert len(cleared.events("run_reopened")) == 1


def test_one_clear_opens_the_run_once_and_the_next_clear_again(cleared: Cleared, world: World) -> None:
    run = cleared.ended("failed")
    cleared.begin("one batch")
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed="content: no room")
    assert cleared.begin("one batch").state.status == "failed"  # a late one of the same clear
    assert cleared.begin("one batch", clears=2).state.status == "running"


@pytest.mark.parametrize("what", CLEARED)
def test_while_another_run_is_live_the_cleared_one_is_refused_and_says_why(
    cleared: Cleared, world: World, what: str
) -> None:
    run = cleared.ended("failed")
    other = world.run("manual__2")
    refusal = rf"run {other.id} \(manual__2\) of this workflow is running, started by tester"
    with pytest.raises(RunConflict, match=refusal):
        cleared.begin(what)
    state = cleared.state(run)
    assert (state.status, cleared.state(other).status) == ("failed", "running")
    [(reason,)] = world.sql("SELECT error_message FROM runs WHERE id = %s", run.id)
    assert reason.startswith(f"{what.replace(' ', '_')}: run {other.id}")
    assert len(cleared.events("run_refused")) == 1
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, other.id, failed=None)
    assert cleared.begin(what).state.live  # the way is free, and the same clear counts


def test_what_is_left_must_be_paid_for(cleared: Cleared, world: World) -> None:
    run = cleared.ended("failed")
    world.sql(
        "INSERT INTO keywords (account_id, site_id, text, normalized) SELECT %s, %s, 'k' || n, 'k' || n"
        " FROM generate_series(1, 10000) AS n", world.account_id, world.site_id,
    )  # fmt: skip
    with pytest.raises(InsufficientCredits, match=r"1000\.00 are available"):
        cleared.begin("a plan")
    assert cleared.state(run).status == "failed"
    assert world.sql("SELECT reserved FROM accounts") == [(Decimal(0),)]


def test_a_run_that_never_began_is_opened_by_open_run_alone(cleared: Cleared, world: World) -> None:
    with world.store.transaction(world.account_id) as tx:
        control.record_refusal(
            tx, workflow_id=world.site_id, dag_id="site__brew", dag_run_id="manual__1", trigger="manual",
            owner="ann", reason="the site brew is disabled",
        )  # fmt: skip
    with pytest.raises(RunConflict, match="never began: clear it from open_run on"):
        cleared.begin("a plan")


def test_close_run_opens_nothing(cleared: Cleared) -> None:
    run = cleared.ended("failed")
    cleared.opened(CloseRun(task_id="close_run", workflow="site/brew"), clears=1)
    assert cleared.state(run).status == "failed"


# How it ends then ---------------------------------------------------------------------------------------


def test_what_was_not_cleared_and_is_missing_is_why_the_run_fails(cleared: Cleared) -> None:
    run = cleared.ended("failed")
    cleared.begin("one batch")
    states = {"manual__1": {"tasks.work_0": "success", "content.plan": "upstream_failed"}}
    ti = SimpleNamespace(get_task_states=lambda dag_id, run_ids: states)
    context: Any = {"ti": ti, "dag_run": SimpleNamespace(run_id="manual__1", clear_number=1)}
    with pytest.raises(RunFailed, match=r"clusters was not run; .*content was not run"):
        CloseRun(task_id="close_run", workflow="site/brew").execute(context)
    assert cleared.state(run).status == "failed"


def all_stages_run(world: World, run: Run) -> None:
    with world.store.transaction(world.account_id) as tx:
        for stage in SITE.stages:
            tx.run("plan_stage", run=run.id, stage=stage.name, planned=0, skipped=None)
    order = [stage.name for stage in SITE.stages]
    world.sql(
        "UPDATE stage_results SET completed_at = now() + array_position(%s, stage) * interval '1 second'",
        order,
    )


def left(world: World, run: Run) -> str | None:
    with world.store.transaction(world.account_id) as tx:
        return ending.left_undone(tx, run, SITE)


def test_what_a_stage_that_was_cleared_alone_has_made_is_left_undone(world: World) -> None:
    run = world.run()
    all_stages_run(world, run)
    world.clusters(2)
    assert left(world, run) is None  # they came from elsewhere, after the run had looked for them
    world.sql("UPDATE stage_results SET completed_at = now() + interval '1 hour' WHERE stage = 'clusters'")
    assert left(world, run) == "ideas: 2 made since, and not done"


@pytest.mark.parametrize(
    ("state", "marked", "status", "reason"),
    [
        ("failed", None, "failed", "clusters was not run; ideas was not run"),
        ("failed", "failed", "failed", "marked as failed in Airflow"),
        ("success", None, "partial", "clusters was not run; ideas was not run"),
    ],
)
def test_a_run_whose_end_was_not_cleared_is_closed_when_its_dag_run_ends(
    cleared: Cleared, world: World, state: str, marked: str | None, status: str, reason: str
) -> None:
    run = cleared.ended("failed")
    cleared.begin("one batch")
    world.sql("UPDATE runs SET marked = %s", marked)
    seen = DagRunSeen(state, datetime.now(UTC) + timedelta(seconds=1))
    assert ending.end_if_over(world.store, world.account_id, "site", world.site_id, run.id, seen)
    [(ended_as, why)] = world.sql("SELECT status, error_message FROM runs")
    assert ended_as == status
    assert why.startswith(reason)


def test_where_a_run_ended_stays_known_until_it_goes_on(cleared: Cleared) -> None:
    run = cleared.ended("failed")
    assert cleared.state(run).current_stage == "tasks"
    assert cleared.begin("one batch").state.current_stage is None
