"""Starting and steering runs for callers: a run is recorded first, then handed to Airflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from pressroom.api.kit.access import Scope
from pressroom.api.kit.problems import Problem
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, RunConflict
from pressroom.domain.public_ids import JOB, public_id
from pressroom.engine.runs import control, starting
from pressroom.engine.runs.control import RunState
from pressroom.pipelines.registry import dag_id_of
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow

V = TypeVar("V")

Action = Literal["pause", "resume", "cancel"]


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

    state, dag_id = await scope.run(record), dag_id_of(row.workflow, part)
    note = f"started by {scope.caller.label}"
    try:
        await scope.plane.trigger(dag_id, params, note=note, dag_run_id=dag_run_id)
    except RunConflict:
        return state  # an earlier call with the same key came this far
    except PressroomError as error:
        await scope.run(starting.abandon, state, error)
        if isinstance(error, PermanentError) and not isinstance(error, ConfigurationError):
            raise Problem(
                409, f"Airflow refuses a run of {dag_id}: {error}",
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

    stages = await scope.run(record)
    await clear(scope, run, starting.first_task(row, run, stages[0]))
    return stages


async def clear(scope: Scope, run: RunState, task: str) -> None:
    """Have Airflow run a task and what follows it again. When Airflow refuses, the run ends as before."""
    try:
        await scope.plane.clear(run.dag_id, run.dag_run_id, [task])
    except PressroomError as error:
        await scope.run(starting.abandon, run, error)
        raise


def steered(scope: Scope, action: Action, show: Callable[[Tx, WorkflowRow], V]) -> V:
    """Pause, resume or cancel the run that a request is about, and show it as it is then."""
    steer = {"pause": control.pause, "resume": control.resume, "cancel": control.cancel}[action]
    with scope.changing(f"job.{action}", public_id(JOB, scope.id)) as tx:
        row = scope.workflow(tx)
        steer(tx, row.workflow_id, scope.id)
        return show(tx, row)
