"""What ``open_run`` refuses, and which ends ``close_run`` fails for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.domain.errors import PermanentError, RunConflict, RunFailed, WorkflowOver
from pressroom.domain.missions import Mission
from pressroom.domain.run import check_params
from pressroom.engine.runs import control, ending, reports
from pressroom.engine.runs.ending import DagRunSeen
from pressroom.pipelines.site import SITE
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.flow_world import FETCH, entries, make_flow
from tests.support.world import World, make_world

with airflow_as_library():
    from pressroom.orchestration.tasks.run import CloseRun, OpenRun, _not_missed
    from pressroom.orchestration.tasks.run_operator import RunOperator
    from pressroom.orchestration.tools import connections

LOOK = {"name": "look", "type": "gate", "by": "approval"}


@pytest.fixture
def world(database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> World:
    return with_tasks(make_world(database_url, store), monkeypatch)


def with_tasks(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world, as the store that tasks find behind their connection."""
    monkeypatch.setattr(connections, "store", lambda: world.store)
    monkeypatch.setattr(RunOperator, "dag_id", "site__brew", raising=False)
    return world


def context(states: dict[str, str] | None = None, **conf: Any) -> Any:
    ti = SimpleNamespace(
        get_task_states=lambda **_: {"manual__1": states or {}}, get_dr_count=lambda *_, **__: 0, map_index=-1
    )
    dag_run = SimpleNamespace(run_id="manual__1", run_type="manual", conf=conf, triggering_user_name="ann")
    return {"ti": ti, "dag_run": dag_run, "params": {}}


def opening(**conf: Any) -> Any:
    return OpenRun(task_id="open_run", workflow="site/brew").execute(context(**conf))


def closing(workflow: str = "site/brew", **states: str) -> Any:
    return CloseRun(task_id="close_run", workflow=workflow).execute(context(states))


def fail_on_partial(world: World) -> None:
    """Both as it is stored, and as a run keeps it."""
    world.site = world.site.model_copy(update={"fail_on": "partial"})
    world.sql("""UPDATE sites SET definition = jsonb_set(definition, '{fail_on}', '"partial"')""")


# Opening ------------------------------------------------------------------------------------------------


def test_a_misspelt_key_of_conf_is_refused_with_the_nearest_and_no_run_begins(world: World) -> None:
    with pytest.raises(PermanentError) as refused:
        opening(artciles=2)
    assert str(refused.value) == ("a run of brew has no parameter 'artciles'. Did you mean 'articles'?")
    assert world.sql("SELECT * FROM runs") == []


def test_a_run_of_a_part_takes_no_parameters(world: World) -> None:
    check_params(world.site, {"articles": 2})
    with pytest.raises(PermanentError, match=r"no parameter 'articles'\. It takes none: leave it out"):
        check_params(world.site, {"articles": 2}, "publish")


def test_a_run_of_a_disabled_site_is_refused_and_in_the_history_with_the_reason(world: World) -> None:
    world.sql("UPDATE sites SET status = 'disabled'")
    task = OpenRun(task_id="open_run", workflow="site/brew")
    with pytest.raises(WorkflowOver, match="the site brew is disabled: set status: active") as refused:
        task.execute(context())
    for callback in task.on_failure_callback:
        callback(context() | {"task": task, "exception": refused.value})
    with world.store.transaction(world.account_id) as tx:
        [job] = reports.history(tx, world.site_id)
    assert (job.status, job.error_message) == ("failed", str(refused.value))
    assert not job.live


@pytest.fixture
def weekly() -> Mission:
    """A mission of weekly cycles, in the middle of its second."""
    return Mission.model_validate({
        "account": "demo", "slug": "launch", "name": "Launch", "status": "active", "objectives": ["x"],
        "platforms": ["twitter"], "duration_days": 28, "cycle_days": 7,
        "starts_at": datetime.now(UTC) - timedelta(days=10),
    })  # fmt: skip


def test_a_cycle_that_is_over_before_its_run_began_is_skipped(weekly: Mission) -> None:
    first, second, *_ = weekly.cycle_starts()
    with pytest.raises(RunConflict) as missed:
        _not_missed(weekly, first)
    assert str(missed.value) == (
        f"the cycle of {first:%Y-%m-%d %H:%M} UTC is over: the run of {second:%Y-%m-%d %H:%M} UTC plans the"
        " present one"
    )


def test_the_present_cycle_a_run_by_hand_and_a_site_are_never_missed(weekly: Mission, world: World) -> None:
    _not_missed(weekly, weekly.cycle_starts()[1])
    _not_missed(weekly, None)
    _not_missed(world.site, datetime(2020, 1, 1, tzinfo=UTC))


# Closing ------------------------------------------------------------------------------------------------


def planned(world: World, *, partial: str | None) -> None:
    """A run whose stages are planned and done, but for what ``partial`` says of the last."""
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        for stage in SITE.stages:
            tx.run("plan_stage", run=run.id, stage=stage.name, planned=0, skipped=None)
        tx.run("finish_batch", run=run.id, stage=SITE.stages[-1].name, batches=1, partial=partial)


def status_of(world: World) -> str:
    [(status,)] = world.sql("SELECT status FROM runs")
    return str(status)


def test_a_partial_run_fails_its_dag_run_only_where_the_definition_says_so(world: World) -> None:
    planned(world, partial="the run cap of 3 cents is reached")
    assert closing() == "partial"


def test_with_fail_on_partial_it_is_recorded_first_and_then_red(world: World) -> None:
    fail_on_partial(world)
    planned(world, partial="the run cap of 3 cents is reached")
    with pytest.raises(RunFailed, match="partial: review: the run cap of 3 cents is reached"):
        closing()
    assert status_of(world) == "partial"


def test_with_fail_on_partial_a_run_that_has_done_all_is_green(world: World) -> None:
    fail_on_partial(world)
    planned(world, partial=None)
    assert closing() == "completed"


@pytest.mark.parametrize(
    ("setting", "red"),
    [("failed", {"failed"}), ("partial", {"failed", "partial"})],
)
def test_which_ends_are_failures(world: World, setting: str, red: set[str]) -> None:
    site = world.site.model_copy(update={"fail_on": setting})
    ends = ("completed", "partial", "failed", "cancelled")
    assert {end for end in ends if site.is_failure(end)} == red


def test_a_gate_that_was_marked_as_success_leaves_its_item_there_and_the_run_partial(
    database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_flow(database_url, store, FETCH, LOOK)
    monkeypatch.setattr(connections, "store", lambda: store)
    monkeypatch.setattr(RunOperator, "dag_id", "flow__news", raising=False)
    world.sources = entries("one")
    run = world.run()
    [item] = world.take(run)
    with store.transaction(world.account_id) as tx:
        tx.run("plan_stage", run=run.id, stage="read", planned=1, skipped=None)
        tx.run("finish_batch", run=run.id, stage="read", batches=1, partial=None)
    assert closing("flow/news", **{"item.look": "success"}) == "partial"
    with store.transaction(world.account_id) as tx:
        end = control.end_of(tx, run.id)
    assert end.reason == "1 item not done"
    assert world.sql("SELECT status, step, reason FROM flow_items WHERE id = %s", item) == [
        ("failed", "look", "the run ended before the step look was done")
    ]


def test_the_same_run_ended_by_airflow_before_its_last_task_is_partial_too(
    database_url: str, store: Store
) -> None:
    world = make_flow(database_url, store, FETCH, LOOK)
    world.sources = entries("one")
    run = world.run()
    world.take(run)
    with store.transaction(world.account_id) as tx:
        tx.run("plan_stage", run=run.id, stage="read", planned=1, skipped=None)
        tx.run("finish_batch", run=run.id, stage="read", batches=1, partial=None)
    world.sql("UPDATE runs SET opened_at = now() - interval '1 minute'")
    seen = DagRunSeen("success", datetime.now(UTC))
    assert ending.end_if_over(store, world.account_id, "flow", world.flow_id, run.id, seen)
    with store.transaction(world.account_id) as tx:
        end = control.end_of(tx, run.id)
    assert (end.status, end.reason) == ("partial", "1 item not done")
