"""When a mission may run, when it is completed, and what a rollback leaves of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pressroom.domain.errors import InvalidMission, RunConflict, WorkflowOver
from pressroom.domain.run import Run
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control, reports, rollback, starting
from pressroom.pipelines.mission import analytics, content, cycle, intake, publish, strategy
from pressroom.pipelines.mission.pipeline import MISSION
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store
from pressroom.testing import FakeText, FixedClock
from pressroom.testing_flows import FakeNetworks
from tests.support.ledger_outside import LedgerOutside
from tests.support.mission_world import START, MissionWorld, make_mission

STAGES = ["intake", "strategy", "content", "publish", "analytics", "optimize"]
BEFORE = START - timedelta(hours=1)


@pytest.fixture
def world(database_url: str, store: Store) -> MissionWorld:
    return make_mission(
        database_url, store, constraints={"posts_per_day": 2}, duration_days=14, rollback=True,
        pillars=["Brewing", "Beans"], learning={"minimum_posts": 8},
    )  # fmt: skip


def admit(world: MissionWorld, run: Run, now: datetime) -> None:
    with world.store.transaction(world.account_id) as tx:
        cycle.admit(tx, run, now)


def settle(world: MissionWorld, run: Run, now: datetime) -> tuple[Any, ...]:
    with world.store.transaction(world.account_id) as tx:
        cycle.settle(tx, run, now)
    return world.sql("SELECT completed_at, completed_why FROM missions WHERE id = %s", world.mission_id)[0]


# May it run? -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["draft", "paused", "completed"])
def test_a_mission_that_is_not_active_takes_no_runs(database_url: str, store: Store, status: str) -> None:
    world = make_mission(database_url, store, slug="idle", status=status)
    with pytest.raises(WorkflowOver, match=f"the mission idle is {status}: set status: active"):
        admit(world, world.run(), START)


def test_before_its_start_and_after_its_end_it_takes_none(database_url: str, store: Store) -> None:
    world = make_mission(database_url, store, slug="march", starts_at=START.isoformat(), duration_days=7)
    run = world.run()
    with pytest.raises(WorkflowOver, match=r"starts at 2026-03-02 00:00 UTC, and it is only 2026-03-01"):
        admit(world, run, START - timedelta(days=1))
    admit(world, run, START)
    with pytest.raises(WorkflowOver, match=r"is completed: it ended at 2026-03-09 00:00 UTC"):
        admit(world, run, START + timedelta(days=7))


def test_a_mission_whose_last_cycle_was_planned_is_completed_when_that_ends(world: MissionWorld) -> None:
    run = world.run()
    world.cycle(run, START, 7)
    assert settle(world, run, START + timedelta(days=7)) == (None, None)
    world.close(run)
    second = world.run("manual__2")
    world.cycle(second, START + timedelta(days=7), 7)
    end = START + timedelta(days=14)
    assert settle(world, second, end + timedelta(hours=24)) == (
        end + timedelta(hours=24),
        "it ended at 2026-03-16 00:00 UTC",
    )


def test_a_mission_over_its_budget_is_completed(database_url: str, store: Store) -> None:
    world = make_mission(database_url, store, slug="dear", constraints={"budget_cents": 5})
    run = world.run()
    world.cycle(run)
    scope = CostScope(world.account_id, world.mission_id, run.id, "content", "1")
    with store.transaction(world.account_id) as tx:
        ledger.book_cost(tx, scope, Decimal("5.5"), held=Decimal(0), entry_key="call:1", note="m")
    _, why = settle(world, run, START)
    assert why == "its budget of 5 cents is used up (5.5000 spent)"
    with pytest.raises(WorkflowOver, match="its budget of 5 cents is used up"):
        admit(world, run, START)


def test_applying_a_longer_mission_lets_it_go_on(world: MissionWorld) -> None:
    run = world.run()
    world.cycle(run, START, 14)
    assert settle(world, run, START + timedelta(days=14))[0] is not None
    from pressroom.definitions.applying import apply
    from pressroom.definitions.loading import Located

    longer = world.mission.model_copy(update={"duration_days": 28})
    apply(world.store, [Located(world.account, "a.yaml", 1, {}), Located(longer, "a.yaml", 2, {})])
    assert world.sql("SELECT completed_at FROM missions WHERE id = %s", world.mission_id) == [(None,)]


# Stage outputs, as they are read by run and stage --------------------------------------------------------


def script(world: MissionWorld, run: Run, networks: FakeNetworks | None = None) -> Tools:
    """Fakes, but for the publication ledger."""
    made = world.tools(FakeText(), now=BEFORE)
    scope = CostScope(world.account_id, world.mission_id, run.id, "publish", "any")
    target = networks or FakeNetworks(made.social.clock)
    return replace(made, outside=LedgerOutside(world.store, scope, lambda _: target))


def plan_and_write(world: MissionWorld, run: Run, tools: Tools) -> None:
    for stage in (intake.STAGE, strategy.STAGE, content.STAGE, publish.STAGE):
        report = world.work(stage, run, tools)
        assert report.failed == 0, world.sql("SELECT stage, error FROM item_failures")


FIELDS: Mapping[str, set[str]] = {
    "intake": {"mission_id", "brand_context_id", "validated_platforms", "execution_context"},
    "strategy": {"content_pillars", "content_calendar", "tone_guidelines"},
    "content": {"content_items", "total_items", "total_cost_cents"},
    "publish": {"scheduled", "total_scheduled", "first_publish_at", "last_publish_at"},
}


def test_every_stage_says_what_it_made_in_the_documented_fields(world: MissionWorld) -> None:
    run = world.run()
    tools = script(world, run)
    plan_and_write(world, run, tools)
    with world.store.transaction(world.account_id) as tx:
        found = reports.status(tx, world.mission_id, MISSION, run.id)
        assert found
        made = reports.outputs(tx, run, MISSION, found)
    assert [each["stage"] for each in made] == STAGES
    outputs = {each["stage"]: each["output"] for each in made}
    for stage, fields in FIELDS.items():
        assert fields <= set(outputs[stage]), stage
    assert outputs["analytics"] is None
    assert outputs["optimize"] is None
    planned = outputs["intake"]["cycle_context"]["posts_planned"]
    slots = [slot for day in outputs["strategy"]["content_calendar"] for slot in day["slots"]]
    assert planned == len(slots) == outputs["content"]["total_items"] == outputs["publish"]["total_scheduled"]


# Rollback ------------------------------------------------------------------------------------------------


def undo_run(world: MissionWorld, run: Run, tools: Tools, **facts: bool) -> dict[str, Any]:
    return asyncio.run(rollback.roll_back(MISSION, run, world.store, tools, **facts))


def left(world: MissionWorld) -> dict[str, Any]:
    """What is there of the mission besides its record."""
    one = world.sql
    return {
        "slots": one("SELECT count(*) FROM slots WHERE status <> 'withdrawn'")[0][0],
        "posts": one("SELECT count(*) FROM posts WHERE status <> 'archived'")[0][0],
        "publications": one("SELECT count(*) FROM publications WHERE status <> 'withdrawn'")[0][0],
        "cycles": one("SELECT count(*) FROM cycles WHERE withdrawn_at IS NULL")[0][0],
        "started": one("SELECT started_at FROM missions")[0][0],
        "credits": one("SELECT balance, reserved FROM accounts")[0],
    }


def test_rollback_leaves_the_store_and_the_networks_as_they_were(world: MissionWorld) -> None:
    before = left(world)
    run = world.run()
    networks = FakeNetworks(FixedClock(BEFORE))
    tools = script(world, run, networks)
    plan_and_write(world, run, tools)
    assert len(networks.posts) == left(world)["publications"] > 0
    report = undo_run(world, run, tools)
    assert networks.posts == {}
    assert left(world) == before
    assert [entry["stage"] for entry in report["stages"]] == [
        "optimize", "analytics", "publish", "content", "strategy", "intake",
    ]  # fmt: skip
    assert report["credits_refunded"] == 2 + before_posts(world)


def before_posts(world: MissionWorld) -> int:
    return int(world.sql("SELECT count(*) FROM ledger WHERE kind = 'charge' AND stage = 'content'")[0][0])


def test_rolled_back_twice_is_rolled_back_once(world: MissionWorld) -> None:
    run = world.run()
    tools = script(world, run)
    plan_and_write(world, run, tools)
    first = undo_run(world, run, tools)
    after = left(world)
    again = undo_run(world, run, tools)
    assert left(world) == after
    assert again == first
    kinds = world.sql("SELECT kind FROM run_events WHERE kind = 'rolled_back'")
    assert len(kinds) == len(first["stages"])


def test_after_a_rollback_the_next_run_begins_anew(world: MissionWorld) -> None:
    run = world.run()
    tools = script(world, run)
    plan_and_write(world, run, tools)
    undo_run(world, run, tools)
    world.close(run, failed="content.work failed")
    second = world.run("manual__2")
    world.work(intake.STAGE, second, tools)
    assert world.sql("SELECT number FROM cycles WHERE withdrawn_at IS NULL") == [(1,)]
    assert world.sql("SELECT balance, reserved FROM accounts") == [(Decimal(1000), Decimal(0))]


def stages(world: MissionWorld, run: Run) -> dict[str, str]:
    with world.store.transaction(world.account_id) as tx:
        seen = reports.status(tx, world.mission_id, MISSION, run.id)
    assert seen
    return {stage.name: str(stage.state) for stage in seen.stages}


def report_of(world: MissionWorld, run: Run) -> Any:
    with world.store.transaction(world.account_id) as tx:
        return tx.value("rollback_report", run=run.id)


def failed_at_content(world: MissionWorld) -> tuple[Run, Tools]:
    """A run that planned its cycle, failed at its content, and was rolled back."""
    run = world.run()
    tools = script(world, run)
    with world.store.transaction(world.account_id) as tx:
        for name in ("intake", "strategy", "content"):
            tx.run("set_current_stage", run=run.id, stage=name)
            tx.run("plan_stage", run=run.id, stage=name, planned=1, skipped=None)
    for stage in (intake.STAGE, strategy.STAGE):
        world.work(stage, run, tools)
    undo_run(world, run, tools)
    world.close(run, failed="content: the key is wrong")
    return run, tools


def test_what_was_rolled_back_is_pending_again_but_for_the_stage_that_failed(world: MissionWorld) -> None:
    run, _ = failed_at_content(world)
    assert stages(world, run) == {**dict.fromkeys(STAGES, "pending"), "content": "failed"}


@pytest.mark.parametrize("from_stage", [None, *STAGES])
def test_a_retry_after_a_rollback_begins_with_what_was_undone(
    world: MissionWorld, from_stage: str | None
) -> None:
    run, tools = failed_at_content(world)
    with world.store.transaction(world.account_id) as tx:
        state = control.get(tx, run.id)
        assert starting.begin_again(tx, world.row, state, from_stage, "ann") == STAGES
    plan_and_write(world, run, tools)
    assert world.sql("SELECT count(*) > 0 FROM posts WHERE status = 'scheduled'") == [(True,)]


def test_a_run_that_goes_on_leaves_its_rollback_behind(world: MissionWorld) -> None:
    run, _ = failed_at_content(world)
    assert report_of(world, run) is not None
    with world.store.transaction(world.account_id) as tx:
        starting.begin_again(tx, world.row, control.get(tx, run.id), "content", "ann")
    assert report_of(world, run) is not None  # Airflow may still refuse
    with world.store.transaction(world.account_id) as tx:
        tx.run("plan_stage", run=run.id, stage="intake", planned=1, skipped=None)
        tx.run("rollback_is_past", run=run.id)
    assert report_of(world, run) is None


def test_a_part_of_a_run_that_was_rolled_back_cannot_go_on_alone(world: MissionWorld) -> None:
    run, _ = failed_at_content(world)
    with (
        world.store.transaction(world.account_id) as tx,
        pytest.raises(RunConflict, match="was rolled back: clear it from open_run on"),
    ):
        starting.take_up(tx, world.row, control.get(tx, run.id), clears=1)


def test_the_default_of_a_retry_is_the_first_stage_with_something_to_do(world: MissionWorld) -> None:
    run = world.run()
    tools = script(world, run)
    with world.store.transaction(world.account_id) as tx:
        for name in STAGES:
            tx.run("plan_stage", run=run.id, stage=name, planned=1, skipped=None)
            tx.run("add_to_stage", run=run.id, stage=name, processed=1, created=1, words=0, credits=0)
            tx.run("finish_batch", run=run.id, stage=name, batches=1, partial=None)
    plan_and_write(world, run, tools)
    world.sql("UPDATE cycles SET measured_at = ends_at, optimized_at = ends_at")
    world.close(run)

    def first() -> str:
        with world.store.transaction(world.account_id) as tx:
            return starting.stages_from(tx, world.row, MISSION, control.get(tx, run.id), None)[0]

    assert first() == "optimize"  # nothing is left, so the last one
    world.sql("UPDATE posts SET status = 'approved' WHERE id = (SELECT min(id) FROM posts)")
    assert first() == "publish"
    world.sql("UPDATE slots SET status = 'planned' WHERE id = (SELECT max(id) FROM slots)")
    assert first() == "content"


def test_a_measured_cycle_that_gets_another_post_is_measured_and_learned_from_again(
    world: MissionWorld,
) -> None:
    run = world.run()
    tools = script(world, run)
    for stage in (intake.STAGE, strategy.STAGE):
        world.work(stage, run, tools)
    world.sql("UPDATE cycles SET measured_at = starts_at, optimized_at = now()")
    assert world.pending(analytics.STAGE, run) == []
    world.work(content.STAGE, run, tools)
    world.work(publish.STAGE, run, tools)
    assert world.sql("SELECT measured_at, optimized_at FROM cycles") == [(None, None)]
    assert len(world.pending(analytics.STAGE, run)) == 1


def ask(world: MissionWorld, run: Run) -> None:
    world.sql("UPDATE runs SET rollback_requested_by = 'ann' WHERE id = %s", run.id)


def asked(world: MissionWorld, run: Run) -> str | None:
    with world.store.transaction(world.account_id) as tx:
        return control.rollback_requested_by(tx, run.id)


def test_a_run_that_is_undone_on_request_counts_as_cancelled_and_the_request_is_used_up(
    world: MissionWorld,
) -> None:
    run = world.run()
    tools = script(world, run)
    plan_and_write(world, run, tools)
    assert world.close(run) == "completed"
    assert asked(world, run) is None
    world.run()  # opened again
    ask(world, run)
    assert asked(world, run) == "ann"
    undo_run(world, run, tools, on_request=True)
    assert asked(world, run) is None
    assert world.close(run) == "cancelled"
    assert world.sql("SELECT cancelled_at IS NOT NULL FROM runs") == [(True,)]


def test_a_run_that_had_failed_is_still_a_failed_one_when_it_is_undone_on_request(
    world: MissionWorld,
) -> None:
    run = world.run()
    tools = script(world, run)
    plan_and_write(world, run, tools)
    ask(world, run)
    undo_run(world, run, tools)
    assert asked(world, run) is None
    assert world.close(run, failed="content.work failed") == "failed"
    assert world.sql("SELECT cancelled_at FROM runs") == [(None,)]


def test_a_request_that_nothing_came_of_does_not_outlive_the_run(world: MissionWorld) -> None:
    run = world.run()
    ask(world, run)
    world.close(run, failed="Airflow did not take it")
    assert asked(world, run) is None


# The error table of the seed: what is tried again, and what fails at once --------------------------------


async def test_an_invalid_mission_fails_the_run_at_intake(world: MissionWorld) -> None:
    run = world.run()
    late = world.tools(now=START)
    broke = world.sql("UPDATE missions SET started_at = %s", START - timedelta(days=400))
    assert broke == []
    with pytest.raises(InvalidMission, match=r"^ends_at: the mission ended at"):
        await asyncio.to_thread(world.work, intake.STAGE, run, late)
    with world.store.transaction(world.account_id) as tx:
        assert control.get(tx, run.id).live  # the task fails; closing the run is the teardown's


async def test_analytics_waits_for_nothing_when_nothing_was_published(world: MissionWorld) -> None:
    run = world.run()
    await asyncio.to_thread(world.work, intake.STAGE, run)
    await asyncio.to_thread(world.work, strategy.STAGE, run, world.tools(FakeText()))
    assert analytics.STAGE.poll is not None
    assert await analytics.STAGE.poll(world.store, run, world.tools(now=START.astimezone(UTC))) is None
