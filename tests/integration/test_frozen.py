"""What a run goes by: the definitions that it was opened with, and what of today's counts for it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pressroom.domain.definitions import AccountCaps, BrandContext
from pressroom.domain.errors import DefinitionError
from pressroom.domain.kinds import Workflow
from pressroom.domain.run import Run
from pressroom.engine.runs import control, starting
from pressroom.engine.runs.batch import caps_of
from pressroom.store import frozen
from pressroom.store.database import SYSTEM, Store
from pressroom.store.workflows import WorkflowRow, workflow
from tests.support.flow_world import FETCH, LAST, PING, make_flow
from tests.support.mission_world import make_mission
from tests.support.world import World, make_world


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store, subject="tea", caps={"run_cents": 50, "month_cents": 900})


def changed(row: WorkflowRow, **changes: Any) -> WorkflowRow:
    """The row after somebody applied changes of the workflow."""
    data = row.workflow.model_dump(mode="json") | changes
    return replace(row, workflow=type(row.workflow).model_validate(data))


def goes_by(store: Store, today: WorkflowRow, run: Run) -> WorkflowRow:
    with store.transaction(today.account_id) as tx:
        return frozen.row_of(tx, today, run.id)


def test_what_is_applied_in_mid_run_is_for_the_next_one(world: World) -> None:
    first = world.run("first")
    today = changed(world.row, subject="coffee", text={"model": "another"})
    kept = goes_by(world.store, today, first)
    assert kept.workflow == world.site
    assert (kept.account_id, kept.workflow_id) == (world.account_id, world.site_id)
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, first.id, failed=None)
    second = world.run("second", definition=today.definition)
    assert goes_by(world.store, today, second).workflow == today.workflow
    assert goes_by(world.store, today, first).workflow == world.site


def test_a_missions_brand_context_is_kept(database_url: str, store: Store) -> None:
    made = make_mission(database_url, store)
    run = made.run()
    brand = BrandContext(account="demo", slug="voice", name="Voice", voice="Be loud.")
    today = replace(made.row, brand=brand)
    assert goes_by(store, today, run).brand == made.brand


@pytest.mark.parametrize(
    ("then", "today", "counts"),
    [(50, 20, 20), (50, 80, 50), (50, None, 50), (None, 20, 20), (None, None, None)],
)
def test_of_caps_the_stricter_counts(
    database_url: str, store: Store, then: int | None, today: int | None, counts: int | None
) -> None:
    world = make_world(database_url, store, caps={"run_cents": then, "month_cents": then})
    run = world.run()
    row = changed(world.row, caps={"run_cents": today, "month_cents": today})
    account = row.account.model_copy(update={"caps": AccountCaps(month_cents=Decimal(7))})
    found = caps_of(goes_by(store, replace(row, account=account), run).run(run.id))
    expected = None if counts is None else Decimal(counts)
    assert (found.run, found.workflow_month, found.account_month) == (expected, expected, Decimal(7))


@pytest.mark.parametrize(("then", "today", "counts"), [(100, 60, 60), (100, 200, 100), (100, None, 100)])
def test_of_a_missions_budgets_the_stricter_counts(
    database_url: str, store: Store, then: int, today: int | None, counts: int
) -> None:
    made = make_mission(database_url, store, constraints={"posts_per_day": 1, "budget_cents": then})
    run = made.run()
    row = changed(made.row, constraints={"posts_per_day": 9, "budget_cents": today})
    kept = goes_by(store, row, run).run(run.id).mission
    assert kept.total_cents == Decimal(counts)
    assert kept.constraints.posts_per_day == 1


def test_who_disables_a_workflow_is_heard_by_its_runs(world: World) -> None:
    run = world.run()
    assert goes_by(world.store, changed(world.row, status="disabled"), run).workflow.status == "disabled"


def test_a_run_that_is_opened_again_takes_what_is_defined_then(world: World) -> None:
    run = world.run()
    mended = changed(world.row, subject="coffee")
    world.run(definition=mended.definition)
    assert goes_by(world.store, mended, run).workflow == mended.workflow


def test_a_run_of_the_api_has_its_definition_before_airflow_opens_it(world: World) -> None:
    with world.store.transaction(world.account_id) as tx:
        state = starting.begin(tx, world.row, dag_run_id="api__1", owner="ann", params={})
        kept = frozen.row_of(tx, changed(world.row, subject="coffee"), state.id)
    assert kept.workflow == world.site


def test_a_retry_takes_what_is_defined_then(world: World) -> None:
    run = world.run()
    mended = changed(world.row, subject="coffee")
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed="it broke")
        starting.begin_again(tx, mended, control.get(tx, run.id), None, "ann")
    assert goes_by(world.store, world.row, run).workflow == mended.workflow


def test_what_is_stored_is_what_a_worker_reads(world: World) -> None:
    """The row as a task reads it, with account and automation, comes back whole."""
    with world.store.transaction(SYSTEM) as tx:
        row = workflow(tx, "site/brew")
    run = world.run(definition=json.loads(json.dumps(row.definition)))
    assert goes_by(world.store, changed(row, subject="coffee"), run) == row


def test_a_run_of_an_older_version_says_what_to_do(world: World) -> None:
    run = world.run()
    world.sql("UPDATE runs SET definition = jsonb_set(definition, '{workflow,gone}', '1')")
    with pytest.raises(DefinitionError, match=f"run {run.id} was opened by another version .* clear it from"):
        goes_by(world.store, world.row, run)
    with world.store.transaction(world.account_id) as tx:
        assert frozen.shown_row(tx, world.row, run.id) == world.row


def test_a_run_without_a_kept_definition_goes_by_todays(world: World) -> None:
    run = world.run()
    world.sql("UPDATE runs SET definition = NULL WHERE id = %s", run.id)
    today = changed(world.row, subject="coffee")
    assert goes_by(world.store, today, run) == today


def test_a_flow_keeps_its_steps(database_url: str, store: Store) -> None:
    world = make_flow(database_url, store, FETCH, PING, LAST)
    run = world.run()
    kept: Workflow = goes_by(store, changed(world.row, steps=[FETCH, LAST]), run).workflow
    assert kept == world.flow
