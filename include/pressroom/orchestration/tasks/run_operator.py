"""The base of all tasks of a generated DAG: it reads the run, and skips, defers or fails with it. Retries are
decided by the class of the error, with the other side's Retry-After honoured.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from airflow.configuration import conf
from airflow.sdk import BaseOperator, BaseOperatorLink, Context, RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTimeout
from airflow.sdk.log import redact

from pressroom.adapters.http.errors import scrub
from pressroom.domain.errors import (
    ConfigurationError,
    InsufficientCredits,
    PermanentError,
    PressroomError,
    RunConflict,
    TransientError,
)
from pressroom.domain.public_ids import JOB, public_id
from pressroom.domain.run import Run
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import Report, Stop
from pressroom.engine.runs.starting import take_up
from pressroom.engine.runs.stopping import Stopper
from pressroom.orchestration.tasks.triggers import RunTrigger, raise_failure
from pressroom.orchestration.tools import connections
from pressroom.pipelines.registry import pipeline_of
from pressroom.pipelines.stage import Pipeline, Stage
from pressroom.store import frozen
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow, workflow

FIRST_DELAY = 4.0
LONGEST_DELAY = 300.0
TIMEOUT_KEY = "default_task_execution_timeout"
"""Of Airflow's section ``core``: the seconds that a task may take."""
STOPPED_BEFORE = timedelta(minutes=5)
"""How long before Airflow ends a task its calls are stopped, to be booked: a tenth of a short time."""


class ErrorClassPolicy(RetryPolicy):
    """PermanentError fails at once; TransientError waits for its retry_after, else backs off; other errors
    follow Airflow's own rule.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        if isinstance(exception, AirflowTaskTimeout):
            return RetryDecision.fail("the task took longer than it may: another try would, too")
        if isinstance(exception, PermanentError):
            return RetryDecision.fail(f"{type(exception).__name__}: another try cannot help")
        if not isinstance(exception, TransientError):
            return RetryDecision.default()
        if exception.retry_after is not None:
            return RetryDecision.retry(
                delay=timedelta(seconds=exception.retry_after),
                reason=f"Retry-After {exception.retry_after:g} s",
            )
        # Full back-off in lockstep would send every waiting batch at the same moment again.
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** max(0, try_number - 1)) * random.uniform(0.75, 1.25)  # noqa: S311
        return RetryDecision.retry(delay=timedelta(seconds=delay), reason="transient error")


@dataclass(frozen=True)
class Opened:
    """A task's view of its run: the run itself, its state as read a moment ago, and the store.

    ``run`` has the definitions that it was opened with, ``today`` those of now.
    """

    store: Store
    run: Run
    state: control.RunState
    today: WorkflowRow
    part: str = ""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline that the run goes through."""
        return pipeline_of(self.run.workflow, self.part)

    def stage(self, name: str) -> Stage[Any, Any]:
        """A stage of it. Raises RunConflict when the run began without it."""
        try:
            return self.pipeline.stage(name)
        except KeyError:
            raise RunConflict(
                f"run {self.run.id} began without the stage {name}, which was added later: start another run"
            ) from None


class WhatItMade(BaseOperatorLink):
    """The way from Airflow to what a run made: articles, posts and items, stage by stage."""

    name = "What the run made"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """The job in the control API; '' while there is none. Airflow asks when the task has ended."""
        number = getattr(operator, "run_number", None)
        base = conf.get("api", "base_url", fallback="").rstrip("/")
        return f"{base}/pressroom/api/v1/pipeline/jobs/{public_id(JOB, number)}" if number else ""


class RunOperator(BaseOperator):
    """What all tasks of a run share. ``workflow``: its kind and slug, as in ``site/acme-blog``; ``part``: the
    part of it that this is a run of, as in ``pipeline_of``.

    ``takes_up``: when the task was cleared and finds its run ended, it opens the run again. ``spends``: the
    run then needs the credits for what is left.
    """

    takes_up = True
    spends = True

    def __init__(self, *, workflow: str, part: str = "", **kwargs: Any) -> None:
        # Airflow reports the failure when the task's process has ended, so the reason is on record before
        # close_run begins. A mapped task comes with an empty list of callbacks.
        super().__init__(
            **kwargs
            | {
                "on_failure_callback": kwargs.get("on_failure_callback") or record_failure,
                "on_retry_callback": kwargs.get("on_retry_callback") or record_retry,
            }
        )
        self.workflow = workflow
        self.part = part
        self.stopper = Stopper()
        self.run_number: int | None = None
        self._late: str | None = None
        self._timed = False

    def on_kill(self) -> None:
        """Stop the calls in flight, and start no other: the task was marked, cleared or deleted in Airflow,
        or its host goes down.

        Airflow calls this when the process gets SIGTERM, lets ``execute`` go on, and sends SIGKILL some
        seconds later.
        """
        self.stopper.stop()

    def must_go_on(self, report: Report) -> None:
        """Raises TransientError when the task was killed: if Airflow still wants it, it is tried again; and
        when its time was over, PermanentError if it got nothing done.
        """
        if report.stop is Stop.KILLED and self._late is not None and self.stopper.why == self._late:
            raise (TransientError if report.done else PermanentError)(f"{self._late}; its items wait")
        if report.stop is Stop.KILLED:
            raise TransientError("the task was stopped before its end; its items wait")

    def watch_time(self) -> None:
        """From now on, stop the work shortly before Airflow would end the task.

        Airflow raises its time-out wherever the event loop is at that moment, so that calls might not be
        booked. It stays for what does not heed the stopper.
        """
        if self._timed or not self.execution_timeout:
            return
        self._timed, self._late = True, too_late(self)
        left = self.execution_timeout - min(STOPPED_BEFORE, self.execution_timeout / 10)
        timer = threading.Timer(left.total_seconds(), self.stopper.stop, [self._late])
        timer.daemon = True
        timer.start()

    def _row(self, store: Store) -> WorkflowRow:
        with store.transaction() as tx:
            return workflow(tx, self.workflow)

    def record_reason(self, context: Context, error: Exception, reason: str) -> None:
        """Record with the run why this task failed for good. ``reason``: the text shown for ``error``."""
        store = connections.store()
        with store.transaction(self._row(store).account_id) as tx:
            state = control.find(tx, self.dag_id, dag_run_id(context))
            if state is not None and state.live:
                control.record_reason(tx, state.id, self._place, error, reason)

    def record_retry(self, context: Context, reason: str, seconds: float = 0.0) -> None:
        """Log why this task is tried again, in how many seconds. The run keeps its lock until then."""
        store = connections.store()
        with store.transaction(self._row(store).account_id) as tx:
            state = control.find(tx, self.dag_id, dag_run_id(context))
            if state is not None and state.live:
                message = f"Will be tried again: {reason}"
                control.event(tx, state.id, "task_waits", message, stage=self._place, level="warning")
                control.renew(tx, state.id, until=datetime.now(UTC) + timedelta(seconds=seconds))

    @property
    def _place(self) -> str:
        """The stage or step that the task works on; the task's own name when it works on none."""
        return str(getattr(self, "stage", self.task_id))

    def _opened(self, context: Context) -> Opened:
        """The run of this DAG run, live again if it had ended and this task was cleared. Raises RunConflict
        when the run was never opened or another one is live, InsufficientCredits when it cannot go on.
        """
        self.watch_time()
        store = connections.store()
        row = self._row(store)
        with store.transaction(row.account_id) as tx:
            state = control.find(tx, self.dag_id, dag_run_id(context))
        if state is None:
            raise RunConflict("this DAG run was never opened: clear it from open_run on")
        if self.takes_up and not state.live:
            state = self._taken_up(context, store, row, state)
        self.run_number = state.id
        with store.transaction(row.account_id) as tx:
            opened_with = frozen.row_of(tx, row, state.id)
        return Opened(store, opened_with.run(state.id, dict(state.params)), state, row, self.part)

    def _taken_up(
        self, context: Context, store: Store, row: WorkflowRow, state: control.RunState
    ) -> control.RunState:
        try:
            with store.transaction(row.account_id) as tx:
                return take_up(
                    tx, row, state, clears=clears(context), working=self.spends, alive=alive(context)
                )
        except (RunConflict, InsufficientCredits) as refusal:
            facts = {name: getattr(state, name) for name in ("workflow_id", "dag_id", "dag_run_id", "owner")}
            with store.transaction(row.account_id) as tx:
                control.record_refusal(tx, **facts, trigger="manual", reason=f"{self.task_id}: {refusal}")
            raise

    def _until_it_may(self, opened: Opened, due: datetime | None = None) -> None:
        """Skip when cancelled, fail when the lock is lost, defer while paused or until ``due``."""
        state = opened.state
        if state.cancel_requested:
            raise AirflowSkipException("the run was cancelled")
        state.must_be_live()
        if state.paused or (due is not None and due > datetime.now(due.tzinfo)):
            self._wait(opened, due)

    def _wait(self, opened: Opened, due: datetime | None = None) -> NoReturn:
        if due is not None:
            with opened.store.transaction(opened.run.account_id) as tx:
                control.renew(tx, opened.run.id, until=due)
        until = due.isoformat() if due else None
        self.defer(trigger=RunTrigger(opened.run.account_id, opened.run.id, until), method_name="resume")
        raise AssertionError("defer does not return")

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Resume after RunTrigger: unless the trigger failed, execute again, with all its checks."""
        raise_failure(event)
        return self.execute(context)


REASON_LINES = 30


def too_late(task: RunOperator) -> str:
    """What is said of a task whose time is over."""
    hours = (task.execution_timeout or timedelta()).total_seconds() / 3600
    return f"the task took the {hours:g} hours that it may take (Airflow's [core] {TIMEOUT_KEY})"


def alive(context: Context) -> Callable[[str, str], bool]:
    """How a task asks whether a DAG run has not ended: as a function of its DAG and its id."""

    def of(dag_id: str, run_id: str) -> bool:
        return bool(context["ti"].get_dr_count(dag_id, run_ids=[run_id], states=["queued", "running"]))

    return of


def dag_run_id(context: Context) -> str:
    """The id of the DAG run that a task is part of."""
    return context["dag_run"].run_id


def clears(context: Context) -> int:
    """How often the DAG run was cleared so far."""
    return getattr(context["dag_run"], "clear_number", None) or 0


def record_failure(context: Context) -> None:
    """Airflow's callback for a task that failed for good.

    Airflow passes no exception for a task that was killed, so there is no reason to record.
    """
    task, error = context["task"], context.get("exception")
    if isinstance(task, RunOperator) and isinstance(error, AirflowTaskTimeout):
        error = PermanentError(too_late(task))
    if isinstance(task, RunOperator) and isinstance(error, Exception):
        task.record_reason(context, error, _shown(task, error))


def record_retry(context: Context) -> None:
    """Airflow's callback for a task that failed and is tried again."""
    task, error = context["task"], context.get("exception")
    if isinstance(task, RunOperator) and isinstance(error, Exception):
        asked = error.retry_after if isinstance(error, TransientError) else None
        task.record_retry(context, _shown(task, error), asked or 0.0)


def _shown(task: RunOperator, error: Exception) -> str:
    """What people may read of an error: masked, bounded, and on one line but for the problems of a set-up."""
    if isinstance(error, ConfigurationError):
        # A set-up can be wrong in several ways, a line each.
        lines = str(redact(str(error))).splitlines()
        return "\n".join(map(scrub, lines[:REASON_LINES]))
    if isinstance(error, PressroomError):
        return scrub(str(redact(str(error))))
    return f"unexpected {type(error).__name__}: see the log of {task.task_id}"
