"""The tasks of a stage: what is approved does not wait for what is not, and what a stage's failure is."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.domain.definitions import Site
from pressroom.domain.errors import PermanentError, TransientError
from pressroom.domain.run import Run
from pressroom.engine.runs import control, ending, reports
from pressroom.engine.runs.batch import Report
from pressroom.pipelines.mission.pipeline import MISSION
from pressroom.pipelines.site import SITE
from pressroom.store.database import Store
from pressroom.testing import FixedClock
from tests.support.airflow_library import airflow_as_library
from tests.support.mission_world import START, make_mission
from tests.support.posts import FlakyNetworks, Newsdesk, add_posts
from tests.support.world import World, make_world

with airflow_as_library():
    from airflow.sdk.exceptions import TaskDeferred

    from pressroom.orchestration.tasks import stage as stage_tasks
    from pressroom.orchestration.tasks import triggers
    from pressroom.orchestration.tasks.run_operator import RunOperator
    from pressroom.orchestration.tasks.stage import PlanStage, WorkBatch, in_batches
    from pressroom.orchestration.tasks.triggers import RunTrigger
    from pressroom.orchestration.tools import connections

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NINE = START + 9 * HOUR


def context(try_number: int = 1) -> Any:
    ti = SimpleNamespace(map_index=0, try_number=try_number, max_tries=5)
    return {"ti": ti, "dag_run": SimpleNamespace(run_id="manual__1", clear_number=0)}


# People decide on one post after the other ---------------------------------------------------------------


class Reviewed(Newsdesk):
    """A mission at its publishing, some of whose posts wait for review, and the stage's plan."""

    run: Run
    networks: FlakyNetworks
    clock: FixedClock

    def add(self, status: str, *times: datetime) -> list[int]:
        return add_posts(self.world, self.run, times, status=status)

    def plan(self, try_number: int = 1) -> list[list[Any]] | None:
        """The batches that are left when the plan has ended; None when it defers."""
        task = PlanStage(task_id="publish.plan", workflow="mission/launch", stage="publish")
        try:
            return task.execute(context(try_number))
        except TaskDeferred:
            return None

    def fires(self) -> bool:
        """Whether the trigger of the plan would wake it now."""
        trigger = RunTrigger(self.world.account_id, self.run.id, workflow="mission/launch", stage="publish")
        return not asyncio.run(trigger._stage_waits(self.world.store))

    def statuses(self) -> list[str]:
        return [status for (status,) in self.world.sql("SELECT status FROM posts ORDER BY id")]

    def stage(self) -> tuple[Any, ...]:
        statement = "SELECT planned, processed, failed, batches FROM stage_results WHERE stage = 'publish'"
        return self.world.sql(statement)[0]


@pytest.fixture
def reviewed(database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    world = make_mission(database_url, store, constraints={"posting_times": ["09:00", "13:00", "18:00"]})
    clock = FixedClock(START - HOUR)
    desk = Reviewed(world, FlakyNetworks(clock), clock)
    desk.run = world.run()
    world.cycle(desk.run)
    monkeypatch.setattr(connections, "store", lambda: store)
    monkeypatch.setattr(RunOperator, "dag_id", world.mission.dag_id, raising=False)
    toolbox = _toolbox_of(desk)
    monkeypatch.setattr(stage_tasks, "Toolbox", toolbox)

    async def watching(*_: object) -> Any:
        return toolbox()

    monkeypatch.setattr(triggers, "_toolbox", watching)
    return desk


def _toolbox_of(desk: Reviewed) -> Any:
    class Toolbox:
        def __init__(self, *_: object) -> None:
            self.clock = desk.clock
            self.bound = desk.tools_for()

        async def __aenter__(self) -> Toolbox:
            return self

        async def __aexit__(self, *_: object) -> None: ...

    return Toolbox


def test_what_is_approved_goes_out_while_another_post_waits_for_review(reviewed: Reviewed) -> None:
    reviewed.add("approved", NINE, NINE + 4 * HOUR, NINE + DAY)
    [late] = reviewed.add("pending_review", NINE + 2 * DAY)
    assert reviewed.plan() is None
    assert reviewed.statuses() == ["scheduled", "scheduled", "scheduled", "pending_review"]
    assert reviewed.stage() == (3, 3, 0, 1)
    assert not reviewed.fires()

    reviewed.add("pending_review", NINE + 3 * DAY)
    reviewed.world.sql(
        "UPDATE posts SET status = 'approved', approved_hash = content_hash WHERE id = %s", late
    )
    assert reviewed.fires()
    assert reviewed.plan() is None
    assert reviewed.statuses()[3:] == ["scheduled", "pending_review"]
    assert reviewed.stage() == (4, 4, 0, 2)
    reviewed.world.sql("UPDATE posts SET status = 'rejected' WHERE status = 'pending_review'")
    assert reviewed.fires()
    assert reviewed.plan() == []
    assert reviewed.stage() == (4, 4, 0, 2)


def test_at_the_end_of_the_cycle_what_was_approved_is_out_and_what_waits_is_said(reviewed: Reviewed) -> None:
    reviewed.add("approved", NINE)
    reviewed.add("pending_review", NINE + DAY)
    assert reviewed.plan() is None
    reviewed.clock.at = START + 7 * DAY
    assert reviewed.fires()
    assert reviewed.plan() == []
    assert reviewed.statuses() == ["scheduled", "pending_review"]
    [(message, level)] = reviewed.world.sql(
        "SELECT message, level FROM run_events WHERE kind = 'stage_went_on'"
    )
    assert (message, level) == (
        "Content → scheduled posts: 1 post waits for review, and the time for it is over", "warning",
    )  # fmt: skip
    with reviewed.world.store.transaction(reviewed.world.account_id) as tx:
        left = ending.left_undone(tx, reviewed.run, MISSION)
    assert left is not None
    assert "publish: 1 post waits for review" in left


def test_a_post_that_is_refused_is_not_sent_again_and_again(reviewed: Reviewed) -> None:
    reviewed.add("approved", NINE, NINE + 4 * HOUR)
    reviewed.add("pending_review", NINE + DAY)
    reviewed.networks.script = [PermanentError("the text is a duplicate")]
    assert reviewed.plan() is None
    assert sorted(reviewed.statuses()) == ["failed", "pending_review", "scheduled"]
    assert not reviewed.fires()
    reviewed.world.sql("UPDATE posts SET status = 'rejected' WHERE status = 'pending_review'")
    assert reviewed.plan() == []
    assert reviewed.stage()[1:3] == (1, 1)  # the failure still counts when the stage is planned to its end


def test_a_service_that_is_away_is_tried_again_and_at_the_last_try_holds_nobody(reviewed: Reviewed) -> None:
    reviewed.add("approved", NINE)
    reviewed.add("pending_review", NINE + DAY)
    reviewed.networks.script = [TransientError("away", retry_after=7)] * 2
    with pytest.raises(TransientError, match="1 item waits for another try; the first: away") as raised:
        reviewed.plan()
    assert raised.value.retry_after == 7
    assert reviewed.plan(try_number=6) is None
    assert not reviewed.fires()
    reviewed.add("approved", NINE + 2 * DAY)
    assert reviewed.fires()
    assert reviewed.plan(try_number=6) is None
    assert reviewed.statuses()[-1] == "scheduled"


def test_what_a_trigger_waits_for_is_read_once(reviewed: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks every two seconds, maybe for days."""
    reads = []
    subject = triggers._subject

    async def counted(*which: Any) -> Any:
        reads.append(which)
        return await subject(*which)

    monkeypatch.setattr(triggers, "_subject", counted)
    reviewed.add("pending_review", NINE)
    trigger = RunTrigger(
        reviewed.world.account_id, reviewed.run.id, workflow="mission/launch", stage="publish"
    )
    for _ in range(3):
        assert asyncio.run(trigger._stage_waits(reviewed.world.store))
        assert not asyncio.run(trigger._look_meanwhile(reviewed.world.store))
    assert len(reads) == 1


def test_what_is_out_is_read_while_other_posts_wait_for_review(reviewed: Reviewed) -> None:
    def looked() -> bool:
        trigger = RunTrigger(
            reviewed.world.account_id, reviewed.run.id, workflow="mission/launch", stage="publish"
        )
        return asyncio.run(trigger._look_meanwhile(reviewed.world.store))

    def looks() -> list[tuple[Any, ...]]:
        return reviewed.world.sql("SELECT status FROM snapshots")

    reviewed.add("approved", NINE)
    reviewed.add("pending_review", NINE + 2 * DAY)
    assert not looked()  # nothing is out yet
    assert looks() == []
    assert reviewed.plan() is None
    reviewed.clock.at = NINE + 2 * HOUR
    assert looked()
    assert looks() == [("running",)]
    reviewed.clock.at = START + 7 * DAY  # the last look is the next stage's
    assert not looked()
    assert reviewed.world.sql("SELECT measured_at FROM cycles") == [(None,)]


# What failed is judged by what is done ------------------------------------------------------------------


class Batches:
    """The stage "tasks" of a site, whose batches report as they are told."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.run = world.run()
        patch.setattr(connections, "store", lambda: world.store)
        patch.setattr(RunOperator, "dag_id", "site__brew", raising=False)
        self.patch = patch
        with world.store.transaction(world.account_id) as tx:
            tx.run("plan_stage", run=self.run.id, stage="tasks", planned=5, skipped=None)

    def work(self, done: int, failed: int, try_number: int) -> Any:
        async def reported(*_: object, **__: object) -> Report:
            with self.world.store.transaction(self.world.account_id) as tx:
                tx.run("add_to_stage", run=self.run.id, stage="tasks", processed=done, created=done, words=0,
                       credits=0)  # fmt: skip
            return Report(done=done, failed=failed, waiting=[TransientError("away")] * failed)

        self.patch.setattr(stage_tasks, "run_batch", reported)
        task = WorkBatch(task_id="tasks.work", workflow="site/brew", stage="tasks", batch=[1, 2, 3, 4, 5])
        return task.execute(context(try_number))


@pytest.fixture
def batches(database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Batches:
    return Batches(make_world(database_url, store), monkeypatch)


def test_what_an_earlier_try_has_done_keeps_the_last_one_from_failing_the_run(batches: Batches) -> None:
    with pytest.raises(TransientError, match="3 items wait for another try"):
        batches.work(done=2, failed=3, try_number=1)
    for number in range(2, 6):
        with pytest.raises(TransientError):
            batches.work(done=0, failed=3, try_number=number)
    assert batches.work(done=0, failed=3, try_number=6)["failed"] == 3


def test_a_stage_of_which_nothing_is_done_fails_at_the_last_try(batches: Batches) -> None:
    with pytest.raises(TransientError, match="5 items failed at the last try; the first: away"):
        batches.work(done=0, failed=5, try_number=6)


def test_why_a_batch_stopped_counts_no_more_when_nothing_is_left(batches: Batches) -> None:
    def finish(processed: int, partial: str | None) -> str | None:
        with batches.world.store.transaction(batches.world.account_id) as tx:
            tx.run("add_to_stage", run=batches.run.id, stage="tasks", processed=processed, created=0, words=0,
                   credits=0)  # fmt: skip
            tx.run("finish_batch", run=batches.run.id, stage="tasks", batches=1, partial=partial)
        [(reason,)] = batches.world.sql("SELECT partial FROM stage_results")
        return reason  # type: ignore[no-any-return]

    assert finish(2, "the run cap of 3 cents") == "the run cap of 3 cents"
    assert finish(1, None) == "the run cap of 3 cents"
    assert finish(2, None) is None


@pytest.mark.parametrize(
    ("processed", "failed", "partial", "end", "state"),
    [
        (4, 0, None, "completed", "completed"),
        (3, 1, None, "partial", "completed"),
        (0, 4, None, "partial", "failed"),
        (2, 0, "the run cap of 3 cents is reached", "partial", "failed"),
        (2, 0, "cancelled", "cancelled", "cancelled"),
        (2, 1, None, "failed", "failed"),
        (4, 0, None, "failed", "completed"),
    ],
)
def test_a_stage_is_completed_when_it_did_its_work(
    batches: Batches, processed: int, failed: int, partial: str | None, end: str, state: str
) -> None:
    world, run = batches.world, batches.run
    with world.store.transaction(world.account_id) as tx:
        tx.run("plan_stage", run=run.id, stage="tasks", planned=4, skipped=None)
        tx.run("set_current_stage", run=run.id, stage="tasks")
        tx.run("add_to_stage", run=run.id, stage="tasks", processed=processed, created=0, words=0, credits=0)
        for item in range(failed):
            tx.run("record_item_failure", workflow=world.site_id, stage="tasks", item=str(item), run=run.id,
                   error_class="E", error="broken")  # fmt: skip
        tx.run("finish_batch", run=run.id, stage="tasks", batches=1, partial=partial)
        control.close_run(tx, run.id, failed="tasks: no room" if end == "failed" else None)
        tx.run("finish_run", run=run.id, status=end, error=None)
        seen = reports.status(tx, world.site_id, SITE, run.id)
    assert seen
    stage = next(stage for stage in seen.stages if stage.name == "tasks")
    assert (str(stage.state), stage.reason) == (state, partial)


# Pauses between batches, and how many there were ----------------------------------------------------------


def test_a_batch_starts_so_long_after_the_last_one_ended(batches: Batches) -> None:
    world = batches.world
    world.sql("UPDATE automation_configs SET within_stage_delay = 60")
    world.sql("UPDATE runs SET definition = NULL")
    world.sql("UPDATE stage_results SET started_at = now() - interval '1 hour'")
    task = WorkBatch(task_id="tasks.work", workflow="site/brew", stage="tasks", batch=[1])
    opened = task._opened(context())
    assert task._due(opened, 0) is None
    first = task._due(opened, 1)
    assert first is not None
    assert first < datetime.now(first.tzinfo)
    with world.store.transaction(world.account_id) as tx:
        control.event(tx, batches.run.id, "batch_done", "batch 1 done", stage="tasks")
        control.event(tx, batches.run.id, "batch_done", "batch 1 done", stage="content")
    [(ended,)] = world.sql("SELECT at FROM run_events WHERE kind = 'batch_done' AND stage = 'tasks'")
    assert task._due(opened, 1) == task._due(opened, 2) == ended + timedelta(seconds=60)
    assert task._due(opened, 70) == first + timedelta(minutes=69)


@pytest.mark.parametrize(("stage", "counted"), [("clusters", 3), ("tasks", 1)])
def test_batches_run_are_the_groups_of_keywords_and_else_the_tasks(
    batches: Batches, stage: str, counted: int
) -> None:
    task = WorkBatch(task_id=f"{stage}.work", workflow="site/brew", stage=stage, batch=[[1], [2], [3]])
    opened = task._opened(context())
    with batches.world.store.transaction(batches.world.account_id) as tx:
        tx.run("plan_stage", run=batches.run.id, stage=stage, planned=3, skipped=None)
    task._record(opened, opened.stage(stage), Report(done=3), 0, last_try=False)
    [(found,)] = batches.world.sql("SELECT batches FROM stage_results WHERE stage = %s", stage)
    assert found == counted


def test_a_pause_between_calls_makes_a_task_of_each_group_of_keywords() -> None:
    site = Site(account="a", slug="brew", name="Brew")
    slow = site.model_copy(
        update={"automation": site.automation.model_copy(update={"within_stage_delay": 5})}
    )
    clusters = SITE.stage("clusters")
    assert (clusters.batch_items(site), clusters.batch_items(slow)) == (25, 1)


# Batches and what Airflow maps a task to -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "size", "batches", "largest"),
    [
        (0, 1, 0, 0),
        (5, 2, 3, 2),
        (1024, 1, 1024, 1),
        (1025, 1, 513, 2),
        (1044, 1, 522, 2),
        (9000, 4, 1000, 9),
    ],
)
def test_there_are_never_more_batches_than_airflow_maps(
    keys: int, size: int, batches: int, largest: int
) -> None:
    dealt = in_batches(range(keys), size)
    assert (len(dealt), max(map(len, dealt), default=0)) == (batches, largest)
    assert [key for batch in dealt for key in batch] == list(range(keys))


def test_the_bound_is_the_one_of_airflows_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "10")
    assert [len(batch) for batch in in_batches(range(25), 1)] == [3] * 8 + [1]
