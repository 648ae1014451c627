"""Starting and steering runs for callers: a run is recorded first, then handed to Airflow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

from pressroom.api.kit.access import Scope
from pressroom.api.kit.problems import Problem
from pressroom.api.resources.jobs.models import CancelBody
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, RunConflict
from pressroom.domain.public_ids import JOB, public_id
from pressroom.domain.run import PAUSED_DAG
from pressroom.domain.text import to_json
from pressroom.engine import audit, gates
from pressroom.engine.runs import control, starting
from pressroom.engine.runs.control import RunState
from pressroom.pipelines.registry import dag_id_of
from pressroom.store.database import Tx
from pressroom.store.quotas import quotas_of
from pressroom.store.workflows import WorkflowRow

log = logging.getLogger(__name__)

V = TypeVar("V")

Action = Literal["pause", "resume", "cancel", "cancel_now"]


async def start(
    scope: Scope, row: WorkflowRow, params: Mapping[str, Any], dag_run_id: str, *, part: str = ""
) -> RunState:
    """Start a run of a workflow, or find the one of that DAG run id. ``part``: as in ``pipeline_of``.

    Raises RunConflict, WorkflowOver or InsufficientCredits; Problem 409 when Airflow does not take it.
    """

    def record(tx: Tx) -> RunState:
        if "item" in params:
            quotas_of(tx).must_fit("item_bytes", len(to_json(params["item"]).encode()))
        state = starting.begin(
            tx,
            row,
            dag_run_id=dag_run_id,
            owner=scope.caller.signature,
            params=params,
            part=part,
            alive=scope.plane.alive,
        )
        job = public_id(JOB, state.id)
        started = {"before": None, "after": audit.state(tx, job)}
        scope.note(tx, "job.start", job, workflow=row.name, params=dict(params), **started)
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


def notice_of(scope: Scope, dag_id: str) -> str | None:
    """Why a live run of the DAG waits although nobody stopped it; None when it does not. Blocks."""
    return PAUSED_DAG.format(dag_id) if scope.plane.paused(dag_id) else None


async def start_again(scope: Scope, row: WorkflowRow, run: RunState, from_stage: str | None) -> list[str]:
    """Let a run's stages run again in the same DAG run, from one on. Returns their names.

    Raises RunConflict, NoSuchStage, InsufficientCredits.
    """

    def record(tx: Tx) -> list[str]:
        job = public_id(JOB, run.id)
        before = audit.state(tx, job)
        stages = starting.begin_again(tx, row, run, from_stage, scope.caller.signature, scope.plane.alive)
        after = audit.state(tx, job)
        scope.note(tx, "job.retry", job, from_stage=stages[0], before=before, after=after)
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


def cancelling(body: CancelBody | None) -> Action:
    """The action that the body of a cancellation asks for."""
    return "cancel_now" if body is not None and body.now else "cancel"


async def end_waits(scope: Scope) -> None:
    """Wake the tasks that wait for a person in runs that are being cancelled: they see that, and end.

    What Airflow refuses is logged: the run is cancelled all the same.
    """
    for task in await scope.run(gates.cancelled_waits, scope.workflow_id or 0):
        try:
            await scope.plane.answer(task, gates.REJECT.capitalize(), {gates.EDIT: ""})
        except RunConflict:
            continue  # somebody has just answered it
        except PressroomError as error:
            log.warning("a wait for a person was not ended: %s", error)


def steered(scope: Scope, action: Action, show: Callable[[Tx, WorkflowRow], V]) -> V:
    """Pause, resume or cancel the run that a request is about, and show it as it is then."""
    actions: dict[Action, Callable[[Tx, int, int], RunState]] = {
        "pause": control.pause, "resume": control.resume, "cancel": control.cancel,
        "cancel_now": partial(control.cancel, now=True),
    }  # fmt: skip
    with scope.changing(f"job.{action}", public_id(JOB, scope.id)) as tx:
        row = scope.workflow(tx)
        actions[action](tx, row.workflow_id, scope.id)
        return show(tx, row)
