"""Runs that callers ask for: on record first, then handed to Airflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fastapi.concurrency import run_in_threadpool

from pressroom.api.kit.access import Scope
from pressroom.api.kit.problems import Problem
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    RunConflict,
)
from pressroom.domain.public_ids import JOB, public_id
from pressroom.engine.runs import starting
from pressroom.engine.runs.control import RunState
from pressroom.pipelines.registry import dag_id_of
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow

T = TypeVar("T")


async def start(
    scope: Scope, row: WorkflowRow, params: Mapping[str, Any], dag_run_id: str, *, part: str = ""
) -> RunState:
    """Start a run of a workflow, or find the one of that DAG run id. ``part``: as in ``pipeline_of``.

    Raises RunConflict, WorkflowOver or InsufficientCredits; Problem 409 when Airflow does not take it.
    """

    def record(tx: Tx) -> RunState:
        state = starting.begin(
            tx, row, dag_run_id=dag_run_id, owner=scope.caller.name, params=params, part=part
        )
        scope.note(tx, "job.start", public_id(JOB, state.id), workflow=row.name, params=dict(params))
        return state

    state = await run_in_threadpool(_in_account, scope, record)
    try:
        await scope.plane.trigger(
            dag_id_of(row.workflow, part),
            params,
            note=f"started by {scope.caller.label}",
            dag_run_id=dag_run_id,
        )
    except RunConflict:
        return state  # an earlier call with the same key came this far
    except PressroomError as error:
        await _abandon(scope, state, error)
        if isinstance(error, PermanentError) and not isinstance(error, ConfigurationError):
            raise Problem(
                409, f"Airflow does not take a run of {dag_id_of(row.workflow, part)}: {error}",
                remedy="the DAG of a new workflow appears within half a minute: try again then",
            ) from error  # fmt: skip
        raise
    return state


async def start_again(scope: Scope, row: WorkflowRow, run: RunState, from_stage: str | None) -> list[str]:
    """Let a run's stages run again in the same DAG run, from one on. Returns their names.

    Raises RunConflict, NoSuchStage, InsufficientCredits.
    """

    def record(tx: Tx) -> list[str]:
        stages = starting.begin_again(tx, row, run, from_stage, scope.caller.name)
        scope.note(tx, "job.retry", public_id(JOB, run.id), from_stage=stages[0])
        return stages

    stages = await run_in_threadpool(_in_account, scope, record)
    await clear(scope, run, starting.first_task(row, run, stages[0]))
    return stages


async def clear(scope: Scope, run: RunState, task: str) -> None:
    """Have Airflow run a task and what follows it again; when it does not, the run is over again."""
    try:
        await scope.plane.clear(run.dag_id, run.dag_run_id, [task])
    except PressroomError as error:
        await _abandon(scope, run, error)
        raise


async def _abandon(scope: Scope, run: RunState, error: PressroomError) -> None:
    why = _refused(error)
    await run_in_threadpool(_in_account, scope, lambda tx: starting.abandon(tx, run, why))


def _refused(error: PressroomError) -> str:
    # What is wrong with the set-up is for the server's log, not for the job's.
    known = isinstance(error, PermanentError) and not isinstance(error, ConfigurationError)
    return f"Airflow did not take it: {error if known else type(error).__name__}"


def _in_account(scope: Scope, work: Callable[[Tx], T]) -> T:
    with scope.transaction() as tx:
        return work(tx)
