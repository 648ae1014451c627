"""Why a run failed: what its tasks met is on record with the run, and is what everybody is shown."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.domain.errors import (
    ConfigurationError,
    InvalidMission,
    PermanentError,
    PressroomError,
    RunConflict,
    RunFailed,
    TransientError,
)
from pressroom.domain.run import Run
from pressroom.engine.runs import control, reports
from pressroom.engine.runs.batch import Report
from pressroom.pipelines.site import SITE
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.world import World, make_world

with airflow_as_library():
    from airflow.sdk.exceptions import TaskDeferralError
    from airflow.sdk.log import _secrets_masker

    from pressroom.orchestration.tasks import stage as stage_tasks
    from pressroom.orchestration.tasks.flow import ItemStep
    from pressroom.orchestration.tasks.run import CloseRun, OpenRun, RollBack
    from pressroom.orchestration.tasks.run_operator import RunOperator
    from pressroom.orchestration.tasks.stage import PlanStage, PollStage, WorkBatch
    from pressroom.orchestration.tools import connections
    from pressroom.orchestration.tools.connections import Connections
    from pressroom.orchestration.tools.toolbox import Toolbox

SETUP = ConfigurationError("connection 'x' has the wrong key")
PERMANENT = PermanentError("no room")
TRANSIENT = TransientError("it is away")


class Tasks:
    """The tasks of one DAG run of a site, as Airflow calls them. ``failed``: the ids of those that failed."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.failed: list[str] = []
        patch.setattr(connections, "store", lambda: world.store)
        patch.setattr(RunOperator, "dag_id", "site__brew", raising=False)

    def make(self, kind: type[RunOperator], task_id: str, **facts: Any) -> RunOperator:
        return kind(task_id=task_id, workflow="site/brew", **facts)

    def context(self, **facts: Any) -> Any:
        states = {"manual__1": dict.fromkeys(self.failed, "failed")}
        ti = SimpleNamespace(
            get_task_states=lambda dag_id, run_ids: states, map_index=0, try_number=1, max_tries=5
        )
        dag_run = SimpleNamespace(run_id="manual__1", run_type="manual", conf={}, triggering_user_name="ann")
        return {"ti": ti, "dag_run": dag_run, "params": {}, **facts}

    def fail(self, task: RunOperator, error: BaseException | None) -> None:
        """What Airflow does when a task has failed for good."""
        self.failed.append(task.task_id)
        for callback in task.on_failure_callback:
            callback(self.context(task=task, exception=error))

    def retry(self, task: RunOperator, error: BaseException) -> None:
        """What Airflow does when a task has failed and is tried again."""
        for callback in task.on_retry_callback:
            callback(self.context(task=task, exception=error))

    def nothing_to_do(self) -> None:
        """Plan every stage, with nothing that waits."""
        with self.world.store.transaction(self.world.account_id) as tx:
            for stage in SITE.stages:
                tx.run("plan_stage", run=1, stage=stage.name, planned=0, skipped=None)

    def close(self) -> reports.Job:
        """Run close_run, and read what the command line and the API read."""
        with suppress(RunFailed):
            self.make(CloseRun, "close_run").execute(self.context())
        with self.world.store.transaction(self.world.account_id) as tx:
            [job] = reports.history(tx, self.world.site_id)
        return job


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store)


@pytest.fixture
def tasks(world: World, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    return Tasks(world, monkeypatch)


def work(tasks: Tasks, stage: str) -> RunOperator:
    return tasks.make(WorkBatch, f"{stage}.work", stage=stage, batch=[1])


def reason(world: World, run: Run) -> str | None:
    with world.store.transaction(world.account_id) as tx:
        return control.reason_of(tx, run.id)


def lines(world: World) -> list[tuple[Any, ...]]:
    """(stage, level, message) of what tasks said of themselves."""
    return world.sql(
        "SELECT stage, level, message FROM run_events WHERE kind IN ('task_failed', 'task_waits') ORDER BY id"
    )


@pytest.mark.parametrize(
    ("errors", "shown"),
    [
        ([TRANSIENT, PERMANENT, SETUP], SETUP),
        ([SETUP, PERMANENT, TRANSIENT], SETUP),
        ([TRANSIENT, PERMANENT], PERMANENT),
        ([PERMANENT, TRANSIENT], PERMANENT),
        ([TRANSIENT], TRANSIENT),
        ([PERMANENT, ValueError("x"), RunConflict("y")], PERMANENT),
        ([TRANSIENT, InvalidMission("ends_at: it is over"), SETUP], InvalidMission("ends_at: it is over")),
    ],
)
def test_the_first_error_of_the_gravest_class_counts(
    world: World, errors: list[Exception], shown: Exception
) -> None:
    run = world.run()
    for error in errors:
        with world.store.transaction(world.account_id) as tx:
            control.record_reason(tx, run.id, "content", error, str(error))
    said = reason(world, run) or ""
    assert said.startswith(f"content: {shown}")
    assert said.endswith(f" ({len(errors)} tasks failed)") == (len(errors) > 1)


@pytest.mark.parametrize("error", [SETUP, PERMANENT, TRANSIENT])
def test_a_stage_that_failed_says_why_while_the_run_is_on_and_when_it_has_ended(
    tasks: Tasks, world: World, error: PressroomError
) -> None:
    run = world.run()
    tasks.fail(work(tasks, "content"), error)
    assert reason(world, run) == f"content: {error}"
    ended = tasks.close()
    assert (ended.status, ended.error_message) == ("failed", f"content: {error}")
    [(message,)] = world.sql("SELECT message FROM run_events WHERE kind = 'run_finished'")
    assert message == f"Run failed: content: {error}"


def test_a_failed_task_is_a_line_of_the_log_as_soon_as_it_has_failed(tasks: Tasks, world: World) -> None:
    world.run()
    tasks.fail(work(tasks, "content"), SETUP)
    assert lines(world) == [("content", "error", f"Failed: {SETUP}")]


def test_a_try_that_is_not_the_last_is_a_warning_with_its_reason(tasks: Tasks, world: World) -> None:
    run = world.run()
    tasks.retry(work(tasks, "content"), TransientError("429 Bearer abc.def"))
    assert lines(world) == [("content", "warning", "Will be tried again: 429 [hidden]")]
    assert reason(world, run) is None


def test_a_retry_before_the_run_is_on_record_has_no_log_to_be_in(tasks: Tasks, world: World) -> None:
    tasks.retry(tasks.make(OpenRun, "open_run"), TRANSIENT)
    assert lines(world) == []


def test_fifty_items_that_fail_alike_are_one_sentence_and_a_number(tasks: Tasks, world: World) -> None:
    world.run()
    for index in range(50):
        step = tasks.make(ItemStep, "item.site", stage="site", item=index)
        tasks.fail(step, SETUP)
    assert tasks.close().error_message == f"site: {SETUP} (50 tasks failed)"
    assert len(lines(world)) == 50


def test_tasks_that_failed_before_the_run_was_opened_again_are_not_counted(
    tasks: Tasks, world: World
) -> None:
    world.run()
    tasks.fail(work(tasks, "content"), PERMANENT)
    tasks.fail(work(tasks, "images"), PERMANENT)
    assert tasks.close().error_message == "content: no room (2 tasks failed)"
    world.run()
    tasks.fail(work(tasks, "images"), SETUP)
    assert tasks.close().error_message == f"images: {SETUP}"


def test_a_planning_step_says_why(tasks: Tasks, world: World) -> None:
    world.run()
    tasks.fail(tasks.make(PlanStage, "ideas.plan", stage="ideas"), PERMANENT)
    assert tasks.close().error_message == "ideas: no room"


@pytest.mark.parametrize(
    ("setup", "kind"), [(True, ConfigurationError), (False, PermanentError)], ids=["setup", "permanent"]
)
def test_what_a_trigger_met_is_the_tasks_own_error(
    tasks: Tasks, world: World, setup: bool, kind: type[PermanentError]
) -> None:
    world.run()
    poll = tasks.make(PollStage, "analytics", stage="analytics")
    with pytest.raises(kind) as caught:
        poll.finish(tasks.context(), {"error": "the key is refused", "setup": setup})  # type: ignore[attr-defined]
    tasks.fail(poll, caught.value)
    assert tasks.close().error_message == "analytics: the key is refused"


def test_a_rollback_that_failed_says_why(tasks: Tasks, world: World) -> None:
    world.run()
    tasks.fail(tasks.make(RollBack, "rollback"), SETUP)
    assert tasks.close().error_message == f"rollback: {SETUP}"


@pytest.mark.parametrize("number", [1, 5])
def test_only_a_task_that_was_killed_sends_people_to_the_log(tasks: Tasks, world: World, number: int) -> None:
    world.run()
    tasks.fail(work(tasks, "content"), None)
    tasks.failed = [f"content.work_{index}" for index in range(number)]
    reasons = {
        1: "content.work_0 was killed, or marked as failed in Airflow: see its log",
        5: "content.work_0, content.work_1, content.work_2 and 2 more were killed, or marked as failed in"
        " Airflow: see their logs",
    }
    assert tasks.close().error_message == reasons[number]


def test_a_killed_task_does_not_hide_what_another_one_said(tasks: Tasks, world: World) -> None:
    world.run()
    tasks.fail(work(tasks, "content"), None)
    tasks.fail(work(tasks, "images"), TRANSIENT)
    assert tasks.close().error_message == "images: it is away"


@pytest.mark.parametrize("error", [KeyError("token"), TaskDeferralError("Trigger failure")])
def test_a_defect_shows_its_class_and_none_of_its_words(tasks: Tasks, world: World, error: Exception) -> None:
    world.run()
    tasks.fail(work(tasks, "content"), error)
    shown = f"content: unexpected {type(error).__name__}: see the log of content.work"
    assert tasks.close().error_message == shown


def test_secrets_stay_out_of_it_and_it_has_a_bound(
    tasks: Tasks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    masker = _secrets_masker()
    monkeypatch.setattr(masker, "patterns", set())
    monkeypatch.setattr(masker, "replacer", None)
    masker.add_mask("correct-horse-battery")
    text = "refused correct-horse-battery and Bearer abc.def and sk-12345678\n" + "x" * 5000
    tasks.fail(work(tasks, "content"), PermanentError(text))
    shown = tasks.close().error_message or ""
    assert shown.startswith("content: refused *** and [hidden] and [hidden] xxx")
    assert len(shown) < 600


def test_a_run_that_went_well_in_the_end_has_no_reason(tasks: Tasks, world: World) -> None:
    run = world.run()
    tasks.fail(work(tasks, "content"), PERMANENT)
    world.run()  # what a clear does
    assert reason(world, run) is None
    tasks.failed = []
    tasks.nothing_to_do()
    ended = tasks.close()
    assert (ended.status, ended.error_message) == ("completed", None)


def test_a_run_that_has_ended_keeps_its_reason(tasks: Tasks, world: World) -> None:
    world.run()
    tasks.fail(work(tasks, "content"), PERMANENT)
    tasks.close()
    tasks.fail(work(tasks, "images"), SETUP)
    assert tasks.close().error_message == "content: no room"


# Opening ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SETUP, PERMANENT, TRANSIENT], ids=["setup", "permanent", "transient"])
@pytest.mark.parametrize("on_record", [False, True])
def test_a_run_that_cannot_be_opened_is_in_the_history_with_the_reason(
    tasks: Tasks, world: World, error: PressroomError, on_record: bool
) -> None:
    if on_record:  # as when it was asked for through the API
        world.run()
    tasks.fail(tasks.make(OpenRun, "open_run"), error)
    with world.store.transaction(world.account_id) as tx:
        [job] = reports.history(tx, world.site_id)
    assert (job.status, job.error_message, job.dag_run_id) == ("failed", str(error), "manual__1")
    assert not job.live


def test_the_missing_connection_of_a_clock_is_said_at_the_opening(
    tasks: Tasks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toolbox, "clock", property(lambda box: box.connections.model("pressroom_clock")))
    monkeypatch.setattr(OpenRun, "_verify", lambda *_: [])  # all that it checks is well
    monkeypatch.setattr(Connections, "model", missing)
    opening = tasks.make(OpenRun, "open_run")
    with pytest.raises(ConfigurationError) as caught:
        opening.execute(tasks.context())
    tasks.fail(opening, caught.value)
    with world.store.transaction(world.account_id) as tx:
        [job] = reports.history(tx, world.site_id)
    assert job.error_message == "the Airflow connection 'pressroom_clock' does not exist"


def test_a_missing_connection_in_a_stage_is_its_reason_and_no_items_attempt(
    tasks: Tasks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sql(
        "INSERT INTO keywords (account_id, site_id, text, normalized)"
        " SELECT %s, %s, 'k' || n, 'k' || n FROM generate_series(1, 7) AS n",
        world.account_id, world.site_id,
    )  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(OpenRun, "_verify", lambda *_: [])  # the connection is taken away later
        tasks.make(OpenRun, "open_run").execute(tasks.context())
    [batch] = tasks.make(PlanStage, "clusters.plan", stage="clusters").execute(tasks.context())
    monkeypatch.setattr(Connections, "model", missing)
    clusters = tasks.make(WorkBatch, "clusters.work", stage="clusters", batch=batch)
    with pytest.raises(ConfigurationError) as caught:
        clusters.execute(tasks.context())
    tasks.fail(clusters, caught.value)
    assert tasks.close().error_message == "clusters: the Airflow connection 'pressroom_text' does not exist"
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    assert world.sql("SELECT count(*) FROM reservations") == [(0,)]


def test_a_run_that_waits_for_its_own_retry_keeps_its_lock_until_then(tasks: Tasks, world: World) -> None:
    run = world.run()
    tasks.retry(work(tasks, "content"), TransientError("429: the day's quota", retry_after=1080))
    [(seconds,)] = world.sql("SELECT extract(epoch FROM lease_until - now())::int FROM runs")
    assert seconds == pytest.approx(1080 + control.LEASE.total_seconds(), abs=10)
    world.sql("UPDATE runs SET lease_until = lease_until - interval '19 minutes'")  # the other side's wait
    with pytest.raises(RunConflict, match=f"run {run.id} "):
        world.run("manual__2")


def missing(_: object, name: str) -> Any:
    raise ConfigurationError(f"the Airflow connection {name!r} does not exist")


def test_what_fails_at_the_last_try_is_the_reason_of_a_run_that_did_nothing(
    tasks: Tasks, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    report = Report(failed=2, waiting=[TransientError("429 at once"), TransientError("503")])

    async def nothing_done(*_: object, **__: object) -> Report:
        return report

    monkeypatch.setattr(stage_tasks, "work_through", nothing_done)
    context = tasks.context()
    context["ti"].try_number = 6
    content = work(tasks, "content")
    with pytest.raises(TransientError) as caught:
        content.execute(context)
    tasks.fail(content, caught.value)
    shown = "content: 2 items failed at the last try; the first: 429 at once"
    assert tasks.close().error_message == shown
