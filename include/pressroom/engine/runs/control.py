"""A run's life: opened under the workflow's lock, paused, resumed, cancelled, closed.

The lock is the run's own row: a unique index allows one live run per workflow. It carries an owner, for
people, and a lease, which work renews; a run whose lease has run out is dead, and the next one takes its
place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from pressroom.domain.definitions import Rows
from pressroom.domain.errors import (
    ConfigurationError,
    InsufficientCredits,
    RunConflict,
    TransientError,
    words_of,
)
from pressroom.domain.schedules import GAP, CronSchedule
from pressroom.domain.text import storable
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.pipelines.stage import ESTIMATE_BUFFER
from pressroom.store.database import Tx
from pressroom.store.quotas import must_have_room

log = logging.getLogger(__name__)

Level = Literal["info", "warning", "error"]
LEVELS: dict[Level, int] = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
LEASE = timedelta(minutes=15)
RENEW_EVERY = timedelta(minutes=1)
TASK_FAILED = "task_failed"
"""The kind of the event that says why a task failed for good."""
LIVE = ("running", "paused")
"""The statuses of a run that has not ended."""


Alive = Callable[[str, str], bool]
"""Whether Airflow has a DAG run (the ids of its DAG and its own) that has not ended."""


class TooSoon(RunConflict):
    """A scheduled run whose slot is too close behind the last one that a run began for."""


@dataclass(frozen=True)
class RunState:
    """Where a run stands. ``status`` as in the table runs; times in UTC."""

    id: int
    account_id: int
    workflow_id: int
    dag_id: str
    dag_run_id: str
    status: str
    cancel_requested: bool
    cancel_now: bool
    owner: str
    started_at: datetime
    lease_until: datetime
    current_stage: str | None
    params: Mapping[str, Any]

    @property
    def live(self) -> bool:
        """Whether the run holds the workflow's lock."""
        return self.status in LIVE

    def over(self) -> RunConflict:
        """The error of work for a run that has ended."""
        return RunConflict(f"run {self.id} is {self.status}: it no longer holds its workflow's lock")

    def must_be_live(self) -> None:
        """Raises RunConflict when the run has ended."""
        if not self.live:
            raise self.over()

    @property
    def paused(self) -> bool:
        """Whether work should wait. A cancelled run does not wait: it has to end."""
        return self.status == "paused" and not self.cancel_requested


@dataclass(frozen=True)
class RunEnd:
    """How a run ended. ``reason``: why it failed, or what it left undone. ``marked``: as what somebody marked
    its DAG run in Airflow while it was live.
    """

    status: str
    reason: str | None
    marked: str | None

    def __str__(self) -> str:
        return f"Run {self.status}" + (f": {self.reason}" if self.reason else "")


MADE_BY_RUNS: tuple[Rows, ...] = ("ideas", "articles")
"""What runs add rows of. A run that began with room may end beyond the quota."""


def open_run(
    tx: Tx,
    *,
    workflow_id: int,
    dag_id: str,
    dag_run_id: str,
    trigger: str,
    owner: str,
    params: Mapping[str, Any],
    estimate: Decimal,
    definition: Mapping[str, Any],
    exclusive: bool = True,
    clears: int = 0,
    slot: datetime | None = None,
    guard: CronSchedule | None = None,
    alive: Alive | None = None,
) -> RunState:
    """Take the workflow's lock for this DAG run, or take it again after a clear.

    ``trigger`` is manual or scheduled; ``slot``: the time of the schedule that a scheduled run is for, which
    must not be too soon by ``guard``. ``estimate`` is in credits. Raises RunConflict, TooSoon, QuotaExceeded
    or InsufficientCredits; nothing is written then. ``definition``: what all tasks of the run go by from now
    on, see ``store.frozen``. ``exclusive``: no other run of the workflow may be live; one whose lease is over
    gives way, unless it is ``alive``. ``clears``: how often the DAG run was cleared so far.
    """
    tx.run("lock_workflow", workflow=workflow_id)
    own = tx.maybe("run_by_dag_run", RunState, dag_id=dag_id, dag_run_id=dag_run_id)
    holder = lock_holder(tx, workflow_id) if exclusive else None
    if holder and (own is None or holder.id != own.id):
        _take_over_or_refuse(tx, holder, alive)
    if guard is not None and slot is not None and own is None:
        _not_too_soon(tx, workflow_id, slot, guard)
    if own is None:
        for rows in MADE_BY_RUNS:
            must_have_room(tx, rows, 1)
    balance, reserved = ledger.balance(tx)
    need = (estimate * ESTIMATE_BUFFER).quantize(Decimal("0.01"))
    if balance - reserved < need:
        raise InsufficientCredits(
            f"this run needs {need} credits ({ESTIMATE_BUFFER} × the estimate of {estimate})"
            f" and {balance - reserved} are available: grant the account more, or start a smaller run"
        )
    values = {
        "owner": owner, "lease": LEASE, "estimate": estimate, "params": dict(params), "clears": clears,
        "definition": dict(definition),
    }  # fmt: skip
    if own is None:
        run_id = tx.value(
            "insert_run",
            workflow=workflow_id,
            dag_id=dag_id,
            dag_run_id=dag_run_id,
            trigger=trigger,
            slot=slot,
            exclusive=exclusive,
            **values,
        )
        event(tx, run_id, "run_started", f"Run started by {owner}: {estimate} credits estimated")
    else:
        run_id = own.id
        tx.run("reopen_run", run=run_id, **values)
        if not own.live:
            event(
                tx,
                run_id,
                "run_reopened",
                f"Run reopened: {estimate} credits estimated for what is left",
            )
    return get(tx, run_id)


def record_refusal(
    tx: Tx,
    *,
    workflow_id: int,
    dag_id: str,
    dag_run_id: str,
    trigger: str,
    owner: str,
    reason: str,
    slot: datetime | None = None,
    skipped: bool = False,
) -> None:
    """Keep a refused run in the history as failed, with the reason.

    So is one that was to be repeated: its DAG run is red, and what it did before is in its log.
    ``skipped``: its schedule passes it over, so that nothing failed; it counts as cancelled.
    """
    asked = find(tx, dag_id, dag_run_id)
    if asked is not None and asked.live:
        close_run(tx, asked.id, failed=reason)
        return
    run_id = tx.value(
        "insert_refused_run", workflow=workflow_id, dag_id=dag_id, dag_run_id=dag_run_id, trigger=trigger,
        owner=owner, slot=slot, reason=reason,
        status="cancelled" if skipped else "failed",
    )  # fmt: skip
    if run_id is not None:
        kind = "run_skipped" if skipped else "run_refused"
        event(tx, run_id, kind, reason, level="warning" if skipped else "error")


def get(tx: Tx, run_id: int) -> RunState:
    """The run's state. Raises RunConflict when the account has no such run."""
    state = tx.maybe("run_by_id", RunState, run=run_id)
    if state is None:
        raise RunConflict(f"run {run_id} does not exist")
    return state


def find(tx: Tx, dag_id: str, dag_run_id: str) -> RunState | None:
    """The run of a DAG run, if it was ever opened."""
    return tx.maybe("run_by_dag_run", RunState, dag_id=dag_id, dag_run_id=dag_run_id)


def begun(tx: Tx, run_id: int) -> bool:
    """Whether a stage of the run was ever planned."""
    return bool(tx.value("run_begun", run=run_id))


def lock_holder(tx: Tx, workflow_id: int) -> RunState | None:
    """The live run that keeps others of its workflow from being opened."""
    return tx.maybe("lock_holder", RunState, workflow=workflow_id)


def is_held(tx: Tx, run: RunState, alive: Alive | None) -> bool:
    """Whether a live run keeps what it has: its lease is not over, or Airflow still has its DAG run. It can
    wait for its next try, a pool or a paused DAG without being heard of.
    """
    lease_is_over = tx.value("lease_is_over", run=run.id)
    return not lease_is_over or (alive is not None and alive(run.dag_id, run.dag_run_id))


def live_run(tx: Tx, workflow_id: int) -> RunState | None:
    """The run that holds the workflow's lock now."""
    return tx.maybe("live_run_of_workflow", RunState, workflow=workflow_id)


def renew(tx: Tx, run_id: int, *, until: datetime | None = None) -> None:
    """Extend the lease: to now + LEASE, or to LEASE after ``until`` when the work sleeps until then."""
    tx.run("renew_lease", run=run_id, lease=LEASE, until=until)


def renew_when_due(tx: Tx, run_ids: Sequence[int]) -> None:
    """Extend the leases of live runs of any account, each at most once in RENEW_EVERY."""
    tx.run("renew_due_leases", runs=list(run_ids), lease=LEASE, every=RENEW_EVERY)


def pause(tx: Tx, workflow_id: int, run_id: int | None = None) -> RunState:
    """Stop the live runs, or that one, after their current items. Raises RunConflict when none is running."""
    return _steer(tx, "pause_run", workflow_id, run_id, "paused", "Paused: current items are finished first")


def resume(tx: Tx, workflow_id: int, run_id: int | None = None) -> RunState:
    """Let the paused runs, or that one, go on. Raises RunConflict when none is paused."""
    return _steer(tx, "resume_run", workflow_id, run_id, "resumed", "Resumed")


def cancel(tx: Tx, workflow_id: int, run_id: int | None = None, *, now: bool = False) -> RunState:
    """End the live runs, or that one, after their current items. Raises RunConflict when there is none.

    ``now``: calls in flight are stopped within seconds, and their items wait. A run that is being cancelled
    already can still be stopped.
    """
    statement = "cancel_run_now" if now else "cancel_run"
    how = "calls in flight are stopped, and their items wait" if now else "current items are finished first"
    return _steer(tx, statement, workflow_id, run_id, "cancel_requested", f"Cancelled: {how}")


def rollback_requested_by(tx: Tx, run_id: int) -> str | None:
    """Who asked for the run to be rolled back; None when there is no request, or it is done."""
    name: str | None = tx.value("rollback_requested_by", run=run_id)
    return name


def record_reason(tx: Tx, run_id: int, stage: str, error: Exception, reason: str) -> None:
    """Record why a live run fails, and add the line of the failed task to its log.

    A set-up error replaces a permanent one, a permanent one a transient one; the first of a class stays.
    ``reason``: the text shown for ``error``.
    """
    rank = 3 if isinstance(error, ConfigurationError) else 1 if isinstance(error, TransientError) else 2
    tx.run("record_reason", run=run_id, rank=rank, reason=storable(f"{stage}: {reason}"))
    event(tx, run_id, TASK_FAILED, f"Failed: {reason}", stage=stage, level="error",
          data={"error_class": type(error).__name__})  # fmt: skip


def reason_of(tx: Tx, run_id: int) -> str | None:
    """Why the run fails, with the number of failed tasks when there are several; None when no task of it
    recorded a reason.
    """
    rows = tx.rows("run_reason", run=run_id, kind=TASK_FAILED)
    if not rows:
        return None
    reason, failed = rows[0]["error_message"], rows[0]["failed"]
    return f"{reason} ({failed} tasks failed)" if failed > 1 else str(reason)


def close_run(tx: Tx, run_id: int, *, failed: str | None, left: str | None = None) -> str:
    """Record the run's end, release its reservations and the lock. Returns the final status. The only writer
    of an end; ``starting.abandon`` gives an earlier one back.

    ``failed``: why it failed, None when it did not. ``left``: what it leaves undone, None for nothing; such a
    run ends partial. Items of a flow that are still at a step end with the run: the next run takes them up,
    and so does this one when it is opened again.
    """
    tx.run("lock_run", run=run_id)
    state = get(tx, run_id)
    if not state.live:  # taken over, or closed before: its end is on record
        ledger.release_run(tx, run_id)
        return state.status
    if state.cancel_requested:
        status = "cancelled"
    elif failed is not None:
        status = "failed"
    else:
        status = "completed"
    why = {"cancelled": "the run was cancelled", "failed": "the run failed"}.get(status, "the run ended")
    stage = tx.value("flow_stage_at_end", run=run_id)
    if stage is not None:
        tx.run("set_current_stage", run=run_id, stage=stage)
    items: list[int] = tx.values("flow_items_left", run=run_id, why=why)
    if status == "completed" and (left or items or tx.value("run_left_undone", run=run_id)):
        status = "partial"
    reason = storable(failed or left or "") or None
    tx.run("finish_run", run=run_id, status=status, error=reason)
    event(tx, run_id, "run_finished", f"Run {status}" + (f": {reason}" if reason else ""),
          level="error" if status == "failed" else "info")  # fmt: skip
    ledger.release_run(tx, run_id)  # after the event: all transactions lock the run, then the account
    return status


def mark(tx: Tx, dag_id: str, dag_run_id: str, marked: str) -> None:
    """Somebody marked the DAG run in Airflow as ``failed`` or ``success``. Its live run ends accordingly; the
    end of one that is over stays.
    """
    run_id = tx.value("mark_run", dag_id=dag_id, dag_run_id=dag_run_id, marked=marked)
    if run_id is not None:
        event(tx, run_id, "run_marked", f"Marked as {marked} in Airflow", level="warning")


def end_of(tx: Tx, run_id: int) -> RunEnd:
    """How the run ended, or how it stands."""
    return tx.all("run_end", RunEnd, run=run_id)[0]


def event(
    tx: Tx,
    run_id: int,
    kind: str,
    message: str,
    *,
    stage: str | None = None,
    level: Level = "info",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Add a line to the run's activity log, and to the task's."""
    log.log(LEVELS[level], "%s: %s", stage or "run", message)
    tx.run(
        "insert_event",
        run=run_id,
        kind=kind,
        message=storable(message[:2000]),
        stage=stage,
        level=level,
        data=dict(data or {}),
    )


def record_item_failure(tx: Tx, scope: CostScope, error: Exception) -> None:
    """List an item's failure, for the operator and for the next plan, and tell the run's log."""
    name, words = type(error).__name__, words_of(error)
    tx.run(
        "record_item_failure", workflow=scope.workflow_id, stage=scope.stage, item=scope.item,
        run=scope.run_id, error_class=name, error=storable(words[:2000]),
    )  # fmt: skip
    event(
        tx, scope.run_id, "item_failed", f"{scope.item} failed ({name}): {words}", stage=scope.stage,
        level="error", data={"item": scope.item, "error_class": name},
    )  # fmt: skip


def _steer(tx: Tx, statement: str, workflow_id: int, run_id: int | None, kind: str, message: str) -> RunState:
    ids: list[int] = tx.values(statement, workflow=workflow_id, run=run_id)
    if not ids:
        now = live_run(tx, workflow_id) if run_id is None else get(tx, run_id)
        reason = "no run is live"
        if now is not None:
            stopping = now.live and now.cancel_requested
            reason = f"run {now.id} is {'being cancelled' if stopping else now.status}"
        raise RunConflict(f"cannot {statement.partition('_')[0]}: {reason}")
    for each in ids:
        event(tx, each, kind, message)
    return get(tx, ids[0])


def _not_too_soon(tx: Tx, workflow_id: int, slot: datetime, guard: CronSchedule) -> None:
    last: datetime | None = tx.rows("last_runs", workflow=workflow_id)[0]["last_slot"]
    if last is not None and guard.too_soon(slot, last):
        raise TooSoon(
            f"the last scheduled run was the one of {last:%Y-%m-%d %H:%M} UTC, and a schedule of once a day"
            f" starts none within {GAP.total_seconds() / 3600:.0f} hours of it: start this one by hand if you"
            " want it"
        )


def _take_over_or_refuse(tx: Tx, holder: RunState, alive: Alive | None) -> None:
    if is_held(tx, holder, alive):
        raise RunConflict(
            f"run {holder.id} ({holder.dag_run_id}) of this workflow is {holder.status},"
            f" started by {holder.owner} at {holder.started_at:%Y-%m-%d %H:%M:%S} UTC:"
            " wait for its end, or cancel it"
        )
    ran_out = f"its lease ran out at {holder.lease_until:%Y-%m-%d %H:%M:%S} UTC"
    close_run(tx, holder.id, failed=f"{ran_out}, and another run took the workflow's lock")
