"""What a cancelled run waits for in Airflow: nothing. The sweep asks this for each run that is to end.

What has not begun, or waits for its next try, is skipped, so that the run ends by its last tasks, which are
the only ones to start. A DAG run that does not go on by itself is ended here, and its run after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskreschedule import TaskReschedule
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import with_row_locks
from airflow.utils.state import DagRunState, State, TaskInstanceState
from sqlalchemy import or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from pressroom.engine.runs.starting import CLOSE_TASK, OPEN_TASK, ROLLBACK_TASK

SLOT_PATIENCE = timedelta(seconds=8)
"""How long a task of a cancelled run may wait for a slot of its pool or of the executor."""
ENDS = frozenset({OPEN_TASK, ROLLBACK_TASK, CLOSE_TASK})
"""The tasks that begin and end a run: they run whatever is skipped between them."""
WAITS = frozenset({None, TaskInstanceState.UP_FOR_RETRY})
AT_WORK = frozenset({TaskInstanceState.RUNNING, TaskInstanceState.RESTARTING})
DUE = frozenset({TaskInstanceState.SCHEDULED, TaskInstanceState.QUEUED})


def end_waits(dag_id: str, dag_run_id: str) -> bool:
    """Let a cancelled run's DAG run wait for nothing. Returns whether it was ended now: as a success, because
    somebody asked for it.

    Rows that another process has locked are left for the next look: the scheduler is at work on them.
    """
    try:
        with create_session() as session:
            dag_run = session.scalar(
                with_row_locks(
                    select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == dag_run_id),
                    session, of=DagRun, nowait=True,
                )
            )  # fmt: skip
            if dag_run is None or dag_run.state not in State.unfinished_dr_states:
                return False
            tasks = _unfinished(session, dag_id, dag_run_id)
            begins = dag_run.state == DagRunState.RUNNING and _is_scheduled(session, dag_id)
            if not goes_on(tasks, datetime.now(UTC), begins=begins):
                for task in tasks:
                    task.set_state(TaskInstanceState.SKIPPED, session=session)
                dag_run.set_state(DagRunState.SUCCESS)
                return True
            for task in tasks:
                if task.state in WAITS and task.task_id not in ENDS:
                    task.set_state(TaskInstanceState.SKIPPED, session=session)
            _make_due(session, tasks)
            return False
    except OperationalError:
        return False


def goes_on(tasks: Iterable[TaskInstance], now: datetime, *, begins: bool) -> bool:
    """Whether the DAG run of these unfinished tasks comes to its end by itself. ``begins``: Airflow begins
    its tasks, for it is neither queued nor is its DAG paused or gone.
    """
    states = [task.state for task in tasks]
    if AT_WORK.intersection(states):
        return True
    since = [task.scheduled_dttm for task in tasks if task.state in DUE]
    without_slot = bool(since) and all(at is not None and now - at > SLOT_PATIENCE for at in since)
    return begins and not without_slot


def _unfinished(session: Session, dag_id: str, dag_run_id: str) -> Sequence[TaskInstance]:
    state = TaskInstance.state
    unfinished = or_(state.is_(None), state.in_([each for each in State.unfinished if each is not None]))
    return session.scalars(
        with_row_locks(
            select(TaskInstance).where(
                TaskInstance.dag_id == dag_id, TaskInstance.run_id == dag_run_id, unfinished
            ),
            session, of=TaskInstance, nowait=True,
        )
    ).all()  # fmt: skip


def _is_scheduled(session: Session, dag_id: str) -> bool:
    """Whether Airflow begins tasks of the DAG."""
    states = select(DagModel.is_paused, DagModel.is_stale).where(DagModel.dag_id == dag_id)
    dag = session.execute(states).one_or_none()
    return dag is not None and not dag.is_paused and not dag.is_stale


def _make_due(session: Session, tasks: Iterable[TaskInstance]) -> None:
    now = datetime.now(UTC)
    for task in tasks:
        if task.state == TaskInstanceState.UP_FOR_RETRY:
            task.retry_delay_override = 0.0  # seconds after its end
    rescheduled = [task.id for task in tasks if task.state == TaskInstanceState.UP_FOR_RESCHEDULE]
    if rescheduled:
        session.execute(
            update(TaskReschedule)
            .where(TaskReschedule.ti_id.in_(rescheduled), TaskReschedule.reschedule_date > now)
            .values(reschedule_date=now)
        )
