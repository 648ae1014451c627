"""How a run ends that its own last task does not close, and what an ended run leaves undone.

A run is a row here and a DAG run in Airflow. ``close_run``, the DAG's last task, closes the row. What Airflow
ends, forgets or never runs without it is closed by ``end_if_over``, which compares the two. It may be called
by anybody, at any time, and by several at once: the row is locked, and a run that has ended is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pressroom.domain.errors import PermanentError
from pressroom.domain.missions import Mission
from pressroom.domain.publishing import PublicationStatus
from pressroom.domain.run import Run
from pressroom.domain.text import counted
from pressroom.engine.runs import control
from pressroom.pipelines.registry import pipeline_of_dag
from pressroom.pipelines.stage import Pipeline, Stage, waiting
from pressroom.store import frozen
from pressroom.store.database import SYSTEM, Store, Tx
from pressroom.store.workflows import WorkflowRow, workflow_by_id

SETTLING_SECONDS = 30.0
"""How long after its opening a run may be ahead of Airflow. The API records a run, or opens it again, before
Airflow begins or clears its DAG run.
"""
MARKED_FAILED = "marked as failed in Airflow"
"""The reason of a run whose DAG run somebody marked, when no task gave one."""


@dataclass(frozen=True)
class DagRunSeen:
    """What Airflow says of a run's DAG run. ``state``: None when there is no such DAG run. ``ended_at``: when
    it ended, if it has. ``has_dag``: whether Airflow still has the DAG, and so goes on with its runs.
    """

    state: str | None
    ended_at: datetime | None = None
    has_dag: bool = True

    @property
    def over(self) -> bool:
        """Whether the DAG run has ended."""
        return self.state in ("success", "failed")


@dataclass(frozen=True)
class LiveRun:
    """A live run, as the decision needs it. ``age``: seconds since it was opened, or opened again."""

    id: int
    dag_id: str
    dag_run_id: str
    opened_at: datetime
    age: float
    marked: str | None


@dataclass(frozen=True)
class Verdict:
    """How a run ends. ``failed``: it has failed, whatever is done; else it is judged by what is left."""

    reason: str
    failed: bool


def verdict(run: LiveRun, seen: DagRunSeen) -> Verdict | None:
    """Whether a live run is over because of what Airflow says, and how; None to leave it.

    ========================  =========================================================================
    Airflow says              the run
    ========================  =========================================================================
    no such DAG run           fails, once it is older than SETTLING_SECONDS
    queued, running           goes on; fails, after as long, when Airflow no longer has the DAG
    failed                    fails
    success                   ends by what is left undone: its last task was skipped or marked
    ended before the opening  goes on for SETTLING_SECONDS: the DAG run is about to be cleared
    ========================  =========================================================================
    """
    settling = run.age < SETTLING_SECONDS
    if seen.state is None:
        gone = f"Airflow no longer has its DAG run {run.dag_run_id}: it or its DAG was deleted"
        return None if settling else Verdict(gone, failed=True)
    if not seen.over:
        if seen.has_dag or settling:
            return None
        return Verdict(f"Airflow no longer has the DAG {run.dag_id}: see its import errors", failed=True)
    if settling and (seen.ended_at is None or seen.ended_at < run.opened_at):
        return None
    if run.marked == "failed":
        return Verdict(MARKED_FAILED, failed=True)
    if seen.state == "failed":
        return Verdict("its DAG run failed in Airflow before the run was closed", failed=True)
    return Verdict("its DAG run ended in Airflow before the run was closed", failed=False)


def end_if_over(
    store: Store, account_id: int, kind: str, workflow_id: int, run_id: int, seen: DagRunSeen
) -> bool:
    """Close a run if Airflow says that it is over. Returns whether it was closed now.

    One that Airflow still has keeps its lock, whatever it waits for: its lease is renewed.
    """
    with store.transaction(account_id) as tx:
        tx.run("lock_run", run=run_id)
        run = tx.maybe("live_run", LiveRun, run=run_id)
        over = verdict(run, seen) if run is not None else None
        if run is None or over is None:
            if run is not None and seen.state is not None and not seen.over:
                control.renew_when_due(tx, [run_id])
            return False
        if over.failed:
            # A part of the run may have been cleared and done, and what follows it not.
            left = _left(tx, kind, workflow_id, run_id) if seen.over and run.marked is None else None
            reason = control.reason_of(tx, run_id) or left or over.reason
            stays = None if seen.over else _not_rolled_back(tx, kind, workflow_id, run_id)
            control.close_run(tx, run_id, failed=f"{reason}; {stays}" if stays else reason)
        else:
            control.close_run(tx, run_id, failed=None, left=_left(tx, kind, workflow_id, run_id))
        return True


def row_of_run(tx: Tx, kind: str, workflow_id: int, run_id: int) -> WorkflowRow | None:
    """The definitions that a run goes by; None when they cannot be read, which must not keep it alive."""
    try:
        today = workflow_by_id(tx.for_account(SYSTEM), kind, workflow_id)
        return frozen.row_of(tx, today, run_id)
    except PermanentError:
        return None


def _not_rolled_back(tx: Tx, kind: str, workflow_id: int, run_id: int) -> str | None:
    """What a run with a rollback leaves at its targets, now that Airflow has no task that could undo it."""
    row = row_of_run(tx, kind, workflow_id, run_id)
    if row is None or not isinstance(row.workflow, Mission) or not row.workflow.rollback:
        return None
    posts = len(tx.rows("publications_of_run", run=run_id, status=PublicationStatus.ACCEPTED))
    if not posts:
        return None
    return (
        "it is not rolled back, because nothing is left in Airflow that could do it:"
        f" {counted(posts, 'post')} will appear as scheduled unless deleted at the target;"
        f" `pressroom publications {row.workflow.slug}` lists them"
    )


def _left(tx: Tx, kind: str, workflow_id: int, run_id: int) -> str | None:
    row = row_of_run(tx, kind, workflow_id, run_id)
    if row is None:
        return "its definition cannot be read"
    state = control.get(tx, run_id)
    return left_undone(tx, row.run(run_id, dict(state.params)), pipeline_of_dag(row.workflow, state.dag_id))


def left_undone(tx: Tx, run: Run, pipeline: Pipeline) -> str | None:
    """What the run leaves undone, stage by stage; None when it has done all that it planned.

    Judged by what is there, not by what its tasks say: a task can be marked as success without any work.
    """
    rows = {row["stage"]: row for row in tx.rows("run_stage_results", run=run.id)}
    left: list[str] = []
    made_at: datetime | None = None
    # Where each item goes its own way, the stages after the first are never planned.
    for stage in pipeline.stages if pipeline.places is None else pipeline.stages[:1]:
        row = rows.get(stage.name)
        if row is None:
            left.append(f"{stage.name} was not run")
            continue
        left += (f"{stage.name}: {what}" for what in _left_of(tx, run, stage, row, made_at))
        made_at = max(filter(None, (made_at, row["completed_at"])), default=None)
    if pipeline.places is not None and (items := sum(pipeline.places(tx, run.id).values())):
        left.append(f"{counted(items, 'item')} not done")
    return "; ".join(left) or None


def _left_of(
    tx: Tx, run: Run, stage: Stage[Any, Any], row: Mapping[str, Any], made_at: datetime | None
) -> Iterator[str]:
    """What one stage leaves undone. ``made_at``: when the stages before it last made something."""
    if row["partial"]:
        yield row["partial"]
    if row["failed"]:
        yield f"{row['failed']} failed"
    if stage.waits_for is not None and (wait := stage.waits_for(tx, run)):
        yield wait.reason
    missing = row["planned"] - row["processed"]
    unsaid = missing > 0 and not row["partial"] and not row["failed"]
    # A stage before it may have been cleared alone.
    outdated = made_at is not None and row["completed_at"] is not None and row["completed_at"] < made_at
    # An item that was planned may be gone meanwhile; then nothing waits for it.
    keys = waiting(stage.pending(tx, run)) if unsaid or outdated else ()
    if keys and unsaid:
        yield f"{missing} of {row['planned']} not done"
    elif keys:
        yield f"{sum(map(stage.rows, keys))} made since, and not done"
