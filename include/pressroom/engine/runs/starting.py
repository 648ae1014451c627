"""Starting a run from the API or the command line: it is recorded and takes the lock before Airflow starts
it.

So the caller learns at once when another run holds the lock or credits are missing, and gets a run number.
Airflow's first task finds the run by its DAG run and goes on with it. When Airflow refuses, ``abandon``
undoes what ``begin``, ``begin_again`` or ``begin_rollback`` did.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pressroom.domain.errors import ConfigurationError, PermanentError, RunConflict
from pressroom.domain.run import check_params
from pressroom.domain.text import did_you_mean
from pressroom.engine.money import ledger
from pressroom.engine.runs import control, reports
from pressroom.engine.runs.control import Alive, RunState
from pressroom.engine.runs.reports import JobState
from pressroom.pipelines.registry import dag_id_of, pipeline_of, pipeline_of_dag, task_of
from pressroom.pipelines.stage import Pipeline, must_be_active, waiting
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow

OPEN_TASK, CLOSE_TASK = "open_run", "close_run"
"""The first and the last task of every DAG."""
ROLLBACK_TASK = "rollback"
"""The task of a mission's DAG that undoes the run."""


class NoSuchStage(PermanentError):
    """The pipeline has no stage of that name."""


def begin(
    tx: Tx,
    row: WorkflowRow,
    *,
    dag_run_id: str,
    owner: str,
    params: Mapping[str, Any],
    alive: Alive | None = None,
    part: str = "",
) -> RunState:
    """Open a run that Airflow is about to start. ``part``: as in ``pipeline_of``.

    Raises RunConflict naming the lock's owner and since when, WorkflowOver or InsufficientCredits. A second
    call for the same DAG run returns its live run.
    """
    pipeline = pipeline_of(row.workflow, part)
    dag_id = dag_id_of(row.workflow, part)
    recorded = control.find(tx, dag_id, dag_run_id)
    if recorded is not None and recorded.live:
        return recorded
    check_params(row.workflow, params, part)
    run = row.run(params=dict(params))
    must_be_active(run)
    # By this machine's clock. A mission's first task asks again, by the mission's own.
    pipeline.admit(tx, run, datetime.now(UTC))
    return control.open_run(
        tx, workflow_id=row.workflow_id, dag_id=dag_id, dag_run_id=dag_run_id, trigger="manual", owner=owner,
        params=params, estimate=pipeline.estimate(tx, run).total, definition=row.definition,
        exclusive=pipeline.exclusive, alive=alive,
    )  # fmt: skip


def begin_again(
    tx: Tx, row: WorkflowRow, run: RunState, from_stage: str | None, owner: str, alive: Alive | None = None
) -> list[str]:
    """Open an ended run again, from a stage on; None: from the first that has something to do. Returns the
    stages.

    Failed items of these stages wait again. Raises RunConflict when the run is live or another one holds the
    lock, and NoSuchStage.
    """
    pipeline = pipeline_of_dag(row.workflow, run.dag_id)
    stages = stages_from(tx, row, pipeline, run, from_stage)
    for stage in stages:
        reports.forget_failures(tx, row.workflow_id, stage)
    _open_again(tx, row, run, owner, alive)
    tx.run("flow_items_expect_clear", run=run.id)
    return stages


def begin_rollback(tx: Tx, row: WorkflowRow, run: RunState, owner: str, alive: Alive | None = None) -> None:
    """Open an ended run again, to be rolled back. Raises RunConflict when it, or another one, is live."""
    _open_again(tx, row, run, owner, alive, working=False)
    tx.run("request_rollback", run=run.id, by=owner)


def take_up(
    tx: Tx, row: WorkflowRow, run: RunState, *, clears: int, alive: Alive | None = None, working: bool = True
) -> RunState:
    """The run of a task that Airflow begins. One that has ended is opened again if its DAG run was cleared
    since; else it stays ended, and the task has come too late.

    Whatever part of a DAG run was cleared, the first of its tasks to come takes the lock, and the others find
    the run live. ``clears``: how often the DAG run was cleared so far; ``working``: the task spends credits.
    Raises RunConflict when another run holds the lock, and InsufficientCredits.
    """
    if run.live:
        return run
    tx.run("lock_workflow", workflow=run.workflow_id)
    run = control.get(tx, run.id)
    if not run.live and clears > tx.value("run_clears", run=run.id):
        undone = tx.value("rollback_report", run=run.id) is not None
        if not control.begun(tx, run.id) and (working or not undone):
            what = "was rolled back" if undone else "never began"
            raise RunConflict(f"this DAG run {what}: clear it from open_run on")
        _reopen(tx, row, run, run.owner, alive, working=working, clears=clears)
        run = control.get(tx, run.id)
    return run


def _open_again(
    tx: Tx, row: WorkflowRow, run: RunState, owner: str, alive: Alive | None, *, working: bool = True
) -> None:
    if run.live and control.is_held(tx, run, alive):
        raise RunConflict(
            f"run {run.id} is {run.status}, started by {run.owner} at {run.started_at:%Y-%m-%d %H:%M:%S} UTC:"
            " cancel it first, or wait for its end"
        )
    _reopen(tx, row, run, owner, alive, working=working)


def _reopen(
    tx: Tx,
    row: WorkflowRow,
    run: RunState,
    owner: str,
    alive: Alive | None,
    *,
    working: bool,
    clears: int = 0,
) -> None:
    pipeline = pipeline_of_dag(row.workflow, run.dag_id)
    estimate = Decimal(0)
    if working:
        estimate = pipeline.estimate(tx, row.run(run.id, dict(run.params))).total
    control.open_run(
        tx, workflow_id=row.workflow_id, dag_id=run.dag_id, dag_run_id=run.dag_run_id, trigger="manual",
        owner=owner, params=run.params, estimate=estimate, definition=row.definition,
        exclusive=pipeline.exclusive, clears=clears, alive=alive,
    )  # fmt: skip


def stages_from(
    tx: Tx, row: WorkflowRow, pipeline: Pipeline, run: RunState, from_stage: str | None
) -> list[str]:
    """A stage and those after it; None: from the first that has something to do. Raises NoSuchStage.

    What a stage works on may have been undone by a rollback: then the stages that make it come first.
    """
    names = [stage.name for stage in pipeline.stages]
    if from_stage is not None and from_stage not in names:
        raise NoSuchStage(f"this pipeline has no stage {from_stage!r}{did_you_mean(from_stage, names)}")
    status = reports.status(tx, row.workflow_id, pipeline, run.id)
    stages = {stage.name: stage for stage in status.stages} if status is not None else {}
    if from_stage is None:
        view = row.run(run.id, dict(run.params))
        to_do = (
            stage.name for stage in pipeline.stages
            if stage.name not in stages or stages[stage.name].failed
            or stages[stage.name].state != JobState.COMPLETED or waiting(stage.pending(tx, view))
        )  # fmt: skip
        from_stage = next(to_do, names[-1])
    if tx.value("rollback_report", run=run.id) is not None:
        undone = (name for name in names if name in stages and not stages[name].planned)
        from_stage = min(from_stage, next(undone, from_stage), key=names.index)
    return names[names.index(from_stage) :]


def first_task(row: WorkflowRow, run: RunState, stage: str) -> str:
    """The task of the run's DAG that a stage begins with."""
    pipeline = pipeline_of_dag(row.workflow, run.dag_id)
    return task_of(pipeline, stage)


def abandon(tx: Tx, run: RunState, error: BaseException) -> None:
    """Undo a start that Airflow refused. ``run``: the state before; a run that had ended gets its old status
    back.
    """
    # A set-up error is for the server's log, not for the run's.
    public = isinstance(error, PermanentError) and not isinstance(error, ConfigurationError)
    why = f"Airflow refused the run: {error if public else type(error).__name__}"
    if run.live:
        control.close_run(tx, run.id, failed=why)
        return
    tx.run("set_current_stage", run=run.id, stage=run.current_stage)
    tx.run("finish_run", run=run.id, status=run.status, error=why)
    control.event(tx, run.id, "run_finished", f"Run {run.status}, as before: {why}", level="warning")
    ledger.release_run(tx, run.id)
