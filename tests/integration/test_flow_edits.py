"""A flow is edited, cancelled or cleared while items wait: its tasks go by the steps of the run."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.domain.flows import Flow
from pressroom.domain.run import Run
from pressroom.engine import gates
from pressroom.engine.runs import control, reports, starting
from pressroom.engine.runs.reports import JobState
from pressroom.pipelines.flow.pipeline import flow_pipeline
from pressroom.store.database import Store
from pressroom.testing_flows import FakeTarget
from tests.support.airflow_library import airflow_as_library
from tests.support.flow_world import FETCH, PING, FlowWorld, entries, make_flow

with airflow_as_library():
    from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

    from pressroom.orchestration.tasks.flow import ItemStep, OfItem
    from pressroom.orchestration.tasks.gates import ApproveAtGate, WaitAtGate
    from pressroom.orchestration.tasks.run_operator import RunOperator
    from pressroom.orchestration.tasks.stage import PlanStage
    from pressroom.orchestration.tools import connections

LOOK = {"name": "look", "type": "gate", "by": "approval"}
HOOK = LOOK | {"by": "webhook"}
SITE = {"name": "site", "type": "publish", "to": "blogs", "mode": "auto"}
EXTRA = {"name": "extra", "type": "ping", "connection": "hook"}
WORKED = {"done": 1, "failed": 0}


class Edited:
    """One item of a flow's live run, and the tasks of its DAG as Airflow begins them."""

    def __init__(self, world: FlowWorld, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        world.sources = entries("one")
        self.run = world.run()
        [self.item] = world.take(self.run)
        with world.store.transaction(world.account_id) as tx:
            tx.run("set_current_stage", run=self.run.id, stage="read")
            tx.run("finish_batch", run=self.run.id, stage="read", batches=1, partial=None)
        self.clears = 0
        self.over: set[str] = set()
        """Tasks of the item that are over, and were not cleared."""
        patch.setattr(connections, "store", lambda: world.store)
        patch.setattr(RunOperator, "dag_id", "flow__news", raising=False)
        patch.setattr(
            "pressroom.orchestration.tasks.flow.run_batch",
            lambda *args, tools_for, **options: self._run_batch(*args, **options),
        )

    async def _run_batch(self, stage: Any, run: Run, keys: Any, **options: Any) -> Any:
        from pressroom.engine.runs.batch import run_batch

        return await run_batch(stage, run, keys, tools_for=self.world.tools_for, **options)

    def apply(self, *steps: dict[str, Any]) -> None:
        """Somebody edits the flow."""
        flow = self.world.flow.model_dump(mode="json") | {"steps": list(steps)}
        edited = Flow.model_validate(flow)
        self.world.sql("UPDATE flows SET definition = %s::jsonb", edited.model_dump_json())

    def task(self, name: str, kind: type[OfItem] = ItemStep) -> Any:
        facts = {"timeout": None, "on_timeout": "reject"} if kind is ApproveAtGate else {}
        made = kind(
            task_id=f"item.{name}", workflow="flow/news", stage=name, item=self.item, retries=5, **facts
        )
        made.downstream_task_ids = {"item.next"}
        return made

    def context(self, *, cleared: bool = False) -> Any:
        over = {"item.next_0": "success" if "next" in self.over else None}
        ti = SimpleNamespace(
            try_number=2 if cleared else 1, max_tries=6 if cleared else 5, map_index=0, id="ti",
            task_id="item.x", get_task_states=lambda **_: {"manual__1": over},
        )  # fmt: skip
        dag_run = SimpleNamespace(run_id="manual__1", clear_number=self.clears)
        return {"dag_run": dag_run, "ti": ti, "task_instance": ti}

    def work(self, name: str, *, cleared: bool = False) -> Any:
        """A step's task. Returns its counts, or why it did nothing."""
        try:
            return self.task(name).execute(self.context(cleared=cleared))
        except AirflowSkipException as skip:
            return str(skip)

    def open(self, step: str = "look", kind: type[OfItem] = ApproveAtGate, *, cleared: bool = False) -> None:
        """The gate's task, up to where the item waits."""
        task = self.task(step, kind)
        opened = task._opened(self.context(cleared=cleared))
        item = task._arrived(self.context(cleared=cleared), opened)
        task._open(self.context(cleared=cleared), opened, item)

    def answered(self, option: str, step: str = "look", kind: type[OfItem] = ApproveAtGate) -> Any:
        """Somebody answers on Airflow's page, and the task of today's DAG resumes."""
        user = {"id": "ann", "name": "Ann"}
        event = {"chosen_options": [option], "params_input": {"text": ""}, "responded_by_user": user,
                 "responded_at": datetime.now(UTC)}  # fmt: skip
        try:
            return self.task(step, kind).execute_complete(self.context(), event)
        except AirflowSkipException as skip:
            return str(skip)

    def published(self) -> int:
        return int(self.world.sql("SELECT count(*) FROM publications")[0][0])

    def state(self) -> tuple[str, str, str]:
        """(status, step, reason) of the item."""
        [row] = self.world.sql("SELECT status, step, reason FROM flow_items")
        return row[0], row[1], row[2]

    def rest(self, *tasks: str) -> None:
        """The tasks that follow come, and the run closes."""
        for name in tasks:
            self.work(name)
        self.world.close(self.run)


def edited(url: str, store: Store, patch: pytest.MonkeyPatch, *steps: dict[str, Any]) -> Edited:
    world = make_flow(url, store, *steps)
    world.member("Ann", "approver")
    return Edited(world, patch)


@pytest.fixture
def waiting(database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Edited:
    """An item that waits at ``look``, of read → extra → look → site."""
    made = edited(database_url, store, monkeypatch, FETCH, EXTRA, LOOK, SITE)
    assert made.work("extra") == WORKED
    made.open()
    return made


EDITS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "a step before is removed": ([FETCH, LOOK, SITE], ["site"]),
    "a step is inserted before": ([FETCH, PING, EXTRA, LOOK, SITE], ["site"]),
    "a step is inserted behind": ([FETCH, EXTRA, LOOK, PING, SITE], ["tell", "site"]),
    "the target is renamed": ([FETCH, EXTRA, LOOK, SITE | {"name": "page"}], ["page"]),
    "the target comes first": ([FETCH, SITE, EXTRA, LOOK], ["site"]),
    "all is new": ([FETCH, PING, SITE | {"name": "page"}], ["tell", "page"]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_rejected_item_is_never_published(waiting: Edited, edit: str) -> None:
    steps, tasks = EDITS[edit]
    waiting.apply(*steps)
    for name in tasks:  # the new tasks may come before the answer
        waiting.work(name)
    assert waiting.answered("Reject") == {"outcome": "reject"}
    waiting.rest(*tasks)
    assert waiting.published() == 0
    assert waiting.state() == ("rejected", "look", "look: reject by Ann")


@pytest.mark.parametrize(
    ("edit", "ending", "published"),
    [
        ("a step before is removed", ("done", "site", ""), 1),
        ("a step is inserted before", ("done", "site", ""), 1),
        ("a step is inserted behind", ("done", "site", ""), 1),
        ("the target is renamed",
         ("failed", "site", "the step site was taken out of the flow while the item was at it"), 0),
    ],
)  # fmt: skip
def test_an_approved_item_goes_on_by_the_steps_that_the_run_began_with(
    waiting: Edited, edit: str, ending: tuple[str, str, str], published: int
) -> None:
    steps, tasks = EDITS[edit]
    waiting.apply(*steps)
    assert waiting.answered("Approve") == {"outcome": "approve"}
    waiting.rest(*tasks)
    assert waiting.state() == ending
    assert waiting.published() == published


def test_an_item_whose_next_task_was_moved_before_it_is_stopped(waiting: Edited) -> None:
    waiting.apply(*EDITS["the target comes first"][0])
    assert waiting.work("site") == "One is not at site"
    waiting.answered("Approve")
    assert waiting.world.close(waiting.run) == "partial"
    assert waiting.state() == ("failed", "site", "the run ended before the step site was done")


def test_a_gate_that_is_taken_out_stops_its_items(waiting: Edited) -> None:
    waiting.apply(FETCH, EXTRA, SITE)
    assert waiting.work("site") == "One is not at site"
    assert waiting.world.close(waiting.run) == "partial"
    reason = "the step look was taken out of the flow while the item was at it"
    assert waiting.state() == ("failed", "look", reason)
    assert waiting.published() == 0


def test_a_step_that_came_later_is_for_the_next_run(waiting: Edited) -> None:
    waiting.apply(FETCH, EXTRA, PING, LOOK, SITE)
    assert waiting.work("tell") == "the run began without the step tell: it was added later, for the next run"
    assert waiting.state()[:2] == ("active", "look")


def test_an_opening_step_that_came_later_says_what_to_do(waiting: Edited) -> None:
    plan = PlanStage(task_id="other.plan", workflow="flow/news", stage="other")
    with pytest.raises(RunConflict, match=r"run 1 began without the stage other, .*: start another run"):
        plan.execute(waiting.context())


@pytest.mark.parametrize(
    ("kind", "now"),
    [(ItemStep, SITE | {"name": "look"}), (WaitAtGate, HOOK)],
)
def test_a_gate_that_became_something_else_stops_its_item(
    waiting: Edited, kind: type[OfItem], now: dict[str, Any]
) -> None:
    waiting.apply(FETCH, EXTRA, now, SITE)
    why = "the step look was changed to another type while the run was on"
    assert waiting.answered("Approve", kind=kind) == why
    waiting.rest("site")
    assert waiting.state() == ("failed", "look", why)
    assert waiting.published() == 0
    [(error, item)] = waiting.world.sql("SELECT error, item FROM item_failures WHERE stage = 'look'")
    assert (error, item) == (why, str(waiting.item))


def test_an_answer_that_finds_its_item_elsewhere_stops_it(waiting: Edited) -> None:
    waiting.world.sql("UPDATE flow_items SET step = 'site'")
    assert waiting.answered("Reject") == "an answer came for look while the item was at site"
    waiting.rest("site")
    assert waiting.state()[0] == "failed"
    assert waiting.published() == 0


# The end of the wait ------------------------------------------------------------------------------------


def test_cancel_ends_the_wait_for_a_person(waiting: Edited) -> None:
    with waiting.world.store.transaction(waiting.world.account_id) as tx:
        control.cancel(tx, waiting.world.flow_id)
        [task] = gates.cancelled_waits(tx, waiting.world.flow_id)
    assert task["map_index"] == 0
    assert waiting.answered("Reject") == "the run was cancelled"
    waiting.rest("site")
    assert waiting.state() == ("failed", "look", "the run was cancelled before the step look was done")
    assert waiting.world.sql("SELECT outcome FROM gates") == [(None,)]


@pytest.mark.parametrize(
    ("how", "why"), [("cancel", r"run 1 was cancelled"), ("close", r"run 1 has ended \(partial\)")]
)
def test_a_gate_of_an_ended_run_is_closed_and_says_why(waiting: Edited, how: str, why: str) -> None:
    world = waiting.world
    with world.store.transaction(world.account_id) as tx:
        if how == "cancel":
            control.cancel(tx, world.flow_id)
        else:
            control.close_run(tx, waiting.run.id, failed=None)
        assert gates.gates(tx, world.flow_id) == []
        [gate] = gates.gates(tx, world.flow_id, open_only=False)
        with pytest.raises(RunConflict, match=why):
            gates.must_be_open(tx, gate.id)
        with pytest.raises(RunConflict, match=why):
            gates.answer(tx, gate.id, "approve", "ann", actor="user:ann")


def test_an_answer_to_a_paused_run_is_kept(waiting: Edited) -> None:
    with waiting.world.store.transaction(waiting.world.account_id) as tx:
        control.pause(tx, waiting.world.flow_id)
    with pytest.raises(TaskDeferred):
        waiting.answered("Reject")
    assert waiting.world.sql("SELECT outcome, answered_by FROM gates") == [("reject", "Ann")]


# Cleared ------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(waiting: Edited) -> Edited:
    """The same, approved, published and done; the run is still on, for another item."""
    waiting.answered("Approve")
    assert waiting.work("site") == WORKED
    assert waiting.state()[0] == "done"
    waiting.clears = 1
    return waiting


def test_a_cleared_step_and_what_follows_are_done_again_and_nothing_is_published_twice(
    finished: Edited,
) -> None:
    assert finished.work("extra", cleared=True) == WORKED
    assert finished.state()[:2] == ("active", "look")
    assert finished.work("site", cleared=True) == "One is not at site"
    finished.open(cleared=True)  # it asks again
    assert finished.world.sql("SELECT outcome FROM gates") == [(None,)]
    assert finished.answered("Approve") == {"outcome": "approve"}
    assert finished.work("site", cleared=True) == WORKED
    assert finished.state()[0] == "done"
    [target] = finished.world.targets.values()
    assert (finished.published(), target.calls) == (1, 1)


def test_who_clears_a_step_may_still_reject(finished: Edited) -> None:
    finished.work("extra", cleared=True)
    finished.open(cleared=True)
    assert finished.answered("Reject") == {"outcome": "reject"}
    assert finished.work("site", cleared=True) == "One is not at site"
    assert finished.state()[0] == "rejected"


def test_a_clear_is_heard_once(finished: Edited) -> None:
    assert finished.work("extra", cleared=True) == WORKED
    assert finished.work("extra", cleared=True) == "One is not at extra"  # its worker died after the commit
    assert len(finished.world.packets(finished.item)) == 5
    finished.clears = 2
    assert finished.work("extra", cleared=True) == WORKED


def test_a_retry_without_a_clear_repeats_nothing(finished: Edited) -> None:
    assert finished.work("extra") == "One is not at extra"


def test_a_step_cleared_without_what_follows_is_refused(finished: Edited) -> None:
    finished.over = {"next"}
    why = "One went through extra before: clear the task with all that is downstream, so that what follows is"
    assert finished.work("extra", cleared=True).startswith(why)
    assert finished.world.events("step_not_repeated")[0].startswith(why)
    assert finished.state()[0] == "done"


def test_who_clears_the_whole_run_has_nothing_done_again(finished: Edited) -> None:
    from pressroom.orchestration.tasks.flow import ItemsOfRun

    items = ItemsOfRun(task_id="items", workflow="flow/news")
    assert items.execute(finished.context(cleared=True)) == [finished.item]
    assert finished.work("extra", cleared=True) == "One is not at extra"


def test_a_retry_over_the_api_does_what_is_left(finished: Edited) -> None:
    world = finished.world
    world.close(finished.run)
    with world.store.transaction(world.account_id) as tx:
        starting.begin_again(tx, world.row, control.get(tx, finished.run.id), "extra", "ann")
    assert finished.work("extra", cleared=True) == "One is not at extra"
    assert finished.work("site", cleared=True) == "One is not at site"
    finished.clears = 2  # and then a person clears it
    assert finished.work("extra", cleared=True) == WORKED


def test_a_step_that_a_route_passed_by_is_not_made_up_for(
    database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = {"name": "way", "type": "route", "rules": [{"when": "true", "to": "end"}]}
    made = edited(database_url, store, monkeypatch, FETCH, EXTRA, way, SITE)
    assert made.work("extra") == WORKED
    assert made.work("way") == WORKED
    made.clears = 1
    assert made.work("site", cleared=True) == "One is not at site"
    assert (made.state()[0], made.published()) == ("done", 0)


def test_an_item_that_failed_is_tried_again_where_it_failed(
    database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = edited(database_url, store, monkeypatch, FETCH, EXTRA, LOOK, SITE)
    made.work("extra")
    made.world.close(made.run)
    made.clears = 1
    made.world.run()
    made.open(cleared=True)
    assert made.state()[:2] == ("active", "look")
    assert made.answered("Approve") == {"outcome": "approve"}


# A live run whose first task is cleared -----------------------------------------------------------------


def test_a_failed_item_of_a_live_run_is_tried_again_before_its_first_task_comes(
    database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow clears open_run too, and may begin the step first."""
    made = edited(database_url, store, monkeypatch, FETCH, SITE, EXTRA)
    target = made.world.targets.setdefault(
        ("blogs", "pressroom_blogs"), FakeTarget("blogs", "pressroom_blogs", errors=[PermanentError("no")])
    )
    assert made.work("site") == {"done": 0, "failed": 1}
    assert made.state()[:2] == ("failed", "site")
    made.clears = 1
    assert made.work("site", cleared=True) == WORKED
    assert made.work("extra", cleared=True) == WORKED
    assert (made.state()[0], target.calls, len(target.pieces)) == ("done", 2, 1)
    assert made.world.sql("SELECT count(*) FROM item_failures") == [(0,)]


def test_a_live_run_keeps_its_steps_when_its_first_task_is_cleared(waiting: Edited) -> None:
    world = waiting.world
    edited_flow = Flow.model_validate(world.flow.model_dump(mode="json") | {"steps": [FETCH, SITE, LOOK]})
    world.flow, kept = edited_flow, world.flow
    world.run()
    [(steps,)] = world.sql("SELECT definition -> 'workflow' -> 'steps' FROM runs")
    assert [step["name"] for step in steps] == [step.name for step in kept.steps]


# What is seen -------------------------------------------------------------------------------------------


def seen(made: Edited) -> reports.RunStatus:
    world = made.world
    with world.store.transaction(world.account_id) as tx:
        found = reports.status(tx, world.flow_id, flow_pipeline(world.flow))
    assert found is not None
    return found


def test_a_gate_shows_how_many_wait_and_how_many_were_answered(waiting: Edited) -> None:
    shown = seen(waiting)
    read, extra, look, site = shown.stages
    assert shown.run.current_stage == "look"
    assert (read.state, extra.state, look.state) == (JobState.COMPLETED, JobState.COMPLETED, JobState.RUNNING)
    assert (site.state, site.planned) == (JobState.PENDING, 0)
    assert (look.result, look.planned, look.processed) == ({"open": 1, "answered": 0}, 1, 0)
    waiting.answered("Approve")
    waiting.rest("site")
    shown = seen(waiting)
    assert {stage.state for stage in shown.stages} == {JobState.COMPLETED}
    assert shown.run.current_stage == "site"
    assert shown.stages[2].result == {"open": 0, "answered": 1}


def test_where_a_run_was_cancelled_stays_known(waiting: Edited) -> None:
    with waiting.world.store.transaction(waiting.world.account_id) as tx:
        control.cancel(tx, waiting.world.flow_id)
    waiting.rest()
    assert (seen(waiting).run.status, seen(waiting).run.current_stage) == ("cancelled", "look")


def test_a_retry_begins_where_items_were_left(
    database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = edited(database_url, store, monkeypatch, FETCH, EXTRA, HOOK, SITE)
    made.work("extra")
    made.open(kind=WaitAtGate)
    with store.transaction(made.world.account_id) as tx:
        control.cancel(tx, made.world.flow_id)
    made.rest()
    look = seen(made).stages[2]
    assert (look.state, look.failed, look.planned, look.result["open"]) == (JobState.CANCELLED, 1, 1, 0)
    with store.transaction(made.world.account_id) as tx:
        stages = starting.begin_again(tx, made.world.row, control.get(tx, made.run.id), None, "ann")
    assert stages == ["look", "site"]


def test_a_finished_flow_is_wholly_done_also_where_no_item_came(waiting: Edited) -> None:
    waiting.answered("Reject")
    waiting.rest("site")
    assert {stage.state for stage in seen(waiting).stages} == {JobState.COMPLETED}


# A wrong set-up -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_failure", "ending", "told"),
    [("continue", "done", True), ("skip_item", "skipped", False), ("go to tell", "done", True)],
)
def test_on_failure_is_for_a_wrong_set_up_too(
    database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch, on_failure: str, ending: str, told: bool
) -> None:
    steps = [FETCH, SITE | {"to": "nowhere", "on_failure": on_failure}, PING]
    made = edited(database_url, store, monkeypatch, *steps)
    assert made.work("site") == {"done": 0, "failed": 1}
    made.work("tell")
    assert made.state()[0] == ending
    assert ("tell" in [step for _, step, _ in made.world.packets(made.item)]) is told
    [(kind,)] = made.world.sql("SELECT error_class FROM item_failures")
    assert kind == "ConfigurationError"
    assert made.world.close(made.run) == "partial"


def test_what_may_be_missing_refuses_no_run(database_url: str, store: Store) -> None:
    world = make_flow(database_url, store, FETCH, SITE | {"on_failure": "continue"}, SITE | {"name": "page"})
    needs = {
        stage.name: [need.optional for need in stage.needs(world.run())] for stage in world.pipeline.stages
    }
    assert needs["site"] == [True]
    assert needs["page"] == [False]
