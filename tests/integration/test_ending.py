"""Runs that are closed from outside, what they leave undone, and what else their end does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pressroom.domain.errors import RunConflict
from pressroom.domain.run import Run
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control, ending
from pressroom.engine.runs.control import RunEnd
from pressroom.engine.runs.ending import DagRunSeen
from pressroom.pipelines.site import SITE
from pressroom.store.database import Store
from tests.support.mission_world import make_mission
from tests.support.world import World, make_world

GONE = DagRunSeen(None)


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store)


def end(world: World, run: Run, seen: DagRunSeen, *, age: int = 60) -> bool:
    world.sql("UPDATE runs SET opened_at = now() - make_interval(secs => %s)", age)
    return ending.end_if_over(world.store, world.account_id, "site", world.site_id, run.id, seen)


def end_of(world: World, run: Run) -> RunEnd:
    with world.store.transaction(world.account_id) as tx:
        return control.end_of(tx, run.id)


def plan(world: World, run: Run, *stages: str, planned: int = 0) -> None:
    with world.store.transaction(world.account_id) as tx:
        for stage in stages:
            tx.run("plan_stage", run=run.id, stage=stage, planned=planned, skipped=None)


def left(world: World, run: Run) -> str | None:
    with world.store.transaction(world.account_id) as tx:
        return ending.left_undone(tx, run, SITE)


STAGES = [stage.name for stage in SITE.stages]


def test_a_run_whose_dag_run_is_gone_ends_with_its_reason_and_frees_lock_and_credits(world: World) -> None:
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        ledger.reserve(tx, CostScope(world.account_id, world.site_id, run.id, "content", "1"), Decimal(5))
    assert end(world, run, GONE)
    assert end_of(world, run) == RunEnd(
        "failed", "Airflow no longer has its DAG run manual__1: it or its DAG was deleted", None
    )
    with world.store.transaction(world.account_id) as tx:
        assert ledger.balance(tx) == (Decimal(1000), Decimal(0))
    world.run("manual__2")  # the lock is free


@pytest.mark.parametrize("seen", [GONE, DagRunSeen("running", has_dag=False)])
@pytest.mark.parametrize(
    ("rollback", "statuses", "stays"),
    [
        (True, ["accepted", "accepted", "confirmed"], "2 posts will appear as scheduled"),
        (True, ["confirmed", "withdrawn"], None),
        (False, ["accepted"], None),
    ],
)
def test_a_mission_that_airflow_forgot_says_that_nothing_undid_it(
    database_url: str, store: Store, seen: DagRunSeen, rollback: bool, statuses: list[str], stays: str | None
) -> None:
    mission = make_mission(database_url, store, rollback=rollback)
    run = mission.run()
    for post, status in enumerate(statuses):
        mission.publication(run, post, status)
    mission.sql("UPDATE runs SET opened_at = now() - interval '1 minute'")
    assert ending.end_if_over(store, mission.account_id, "mission", mission.mission_id, run.id, seen)
    reason = str(mission.tx(lambda tx: control.end_of(tx, run.id)).reason)
    assert reason.startswith("Airflow no longer has")
    assert ("it is not rolled back" in reason) is (stays is not None)
    assert (stays or "") in reason


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_that_airflow_has_keeps_its_lock_whatever_it_waits_for(world: World, state: str) -> None:
    """A pool, a queue, a DAG that is paused in Airflow: nothing of the run is at work and could renew it."""
    run = world.run()
    world.sql("UPDATE runs SET lease_until = now() - interval '1 hour'")
    assert not end(world, run, DagRunSeen(state))
    with pytest.raises(RunConflict, match=f"run {run.id} "):
        world.run("manual__2")
    before = world.sql("SELECT lease_until FROM runs")
    assert not end(world, run, DagRunSeen(state))
    assert world.sql("SELECT lease_until FROM runs") == before  # not at each look


def test_a_run_that_airflow_has_not_begun_yet_is_left(world: World) -> None:
    run = world.run()
    assert not end(world, run, GONE, age=5)
    assert end_of(world, run).status == "running"


def test_an_ended_run_is_left_as_it_is(world: World) -> None:
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed="no room")
    assert not end(world, run, GONE)
    assert end_of(world, run).reason == "no room"


def test_what_a_task_said_is_the_reason_of_a_run_that_airflow_failed(world: World) -> None:
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        control.record_reason(tx, run.id, "content", RunConflict("x"), "no room")
    assert end(world, run, DagRunSeen("failed", datetime.now(UTC)))
    assert end_of(world, run) == RunEnd("failed", "content: no room", None)


def test_a_run_that_was_being_cancelled_is_cancelled(world: World) -> None:
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        control.cancel(tx, world.site_id)
    assert end(world, run, GONE)
    assert end_of(world, run).status == "cancelled"


def test_of_several_who_find_it_over_one_closes_it(world: World) -> None:
    run = world.run()
    world.sql("UPDATE runs SET opened_at = now() - interval '1 minute'")

    def attempt(_: int) -> bool:
        return ending.end_if_over(world.store, world.account_id, "site", world.site_id, run.id, GONE)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1
    assert world.sql("SELECT count(*) FROM run_events WHERE kind = 'run_finished'") == [(1,)]


def test_a_definition_that_cannot_be_read_keeps_no_run_alive(world: World) -> None:
    run = world.run()
    world.sql("UPDATE sites SET definition = '{\"what\": 1}'")
    assert end(world, run, DagRunSeen("success", datetime.now(UTC)))
    assert end_of(world, run) == RunEnd("partial", "its definition cannot be read", None)


def test_a_dag_run_marked_as_failed_is_a_run_that_failed(world: World) -> None:
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        control.mark(tx, "site__brew", "manual__1", "failed")
    assert end(world, run, DagRunSeen("success", datetime.now(UTC)))  # none of its tasks had begun
    assert end_of(world, run) == RunEnd("failed", "marked as failed in Airflow", "failed")
    assert world.run().id == run.id
    assert end_of(world, run).marked is None  # the mark was for the time before it was opened again


def test_a_mark_on_a_run_that_has_ended_changes_nothing(world: World) -> None:
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed=None)
        control.mark(tx, "site__brew", "manual__1", "failed")
    assert end_of(world, run) == RunEnd("completed", None, None)


# What is left ---------------------------------------------------------------------------------------------


def test_a_stage_that_never_began_is_left(world: World) -> None:
    run = world.run()
    plan(world, run, *STAGES[:-1])
    assert left(world, run) == "review was not run"
    plan(world, run, "review")
    assert left(world, run) is None


def test_what_was_planned_and_still_waits_is_left(world: World) -> None:
    run = world.run()
    plan(world, run, *STAGES)
    world.clusters(3)
    plan(world, run, "ideas", planned=3)
    assert left(world, run) == "ideas: 3 of 3 not done"
    world.sql("UPDATE stage_results SET processed = 2 WHERE stage = 'ideas'")
    assert left(world, run) == "ideas: 1 of 3 not done"
    world.sql("UPDATE clusters SET status = 'planned'")  # by a person, or another run
    assert left(world, run) is None


def test_what_failed_and_what_stopped_early_is_left(world: World) -> None:
    run = world.run()
    plan(world, run, *STAGES)
    world.sql("UPDATE stage_results SET planned = 3, failed = 2 WHERE stage = 'ideas'")
    world.sql("UPDATE stage_results SET planned = 3, partial = 'the cap is reached' WHERE stage = 'content'")
    assert left(world, run) == "ideas: 2 failed; content: the cap is reached"
    with world.store.transaction(world.account_id) as tx:
        assert control.close_run(tx, run.id, failed=None, left=left(world, run)) == "partial"
    assert end_of(world, run).reason == "ideas: 2 failed; content: the cap is reached"


# Whose end Airflow has to show ----------------------------------------------------------------------------


def test_an_end_is_to_be_shown_until_it_is(world: World) -> None:
    run = world.run()

    def waiting() -> list[tuple[int, bool]]:
        with world.store.transaction() as tx:
            return [(row["id"], row["live"]) for row in tx.rows("runs_to_reconcile")]

    assert waiting() == [(run.id, True)]
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed=None)
    assert waiting() == [(run.id, False)]
    with world.store.transaction() as tx:
        tx.run("run_shown", run=run.id)
    assert waiting() == []


def test_a_run_that_was_refused_a_repetition_has_failed_and_says_why(world: World) -> None:
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed=None)
        control.record_refusal(
            tx, workflow_id=world.site_id, dag_id="site__brew", dag_run_id="manual__1", trigger="manual",
            owner="ann", reason="run 2 of this workflow is running",
        )  # fmt: skip
    assert end_of(world, run) == RunEnd("failed", "run 2 of this workflow is running", None)
