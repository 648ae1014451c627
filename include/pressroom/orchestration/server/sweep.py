"""The scheduler's sweep: it closes the runs that Airflow has ended or forgotten, lets cancelled ones wait for
nothing, shows how runs ended, has the provider's batches looked after that ended runs left, has DAG files
parsed whose definitions changed, and has notices sent.

A thread of the scheduler looks every few seconds, and at once when a DAG run ends. The scheduler is where it
belongs: without one no run goes on, and it may read and write Airflow's database. It does nothing that cannot
be done twice, so several schedulers may sweep at the same time. A look takes as many statements for a
thousand runs that go on as for one; only what is over or cancelled is seen to by itself.

The scheduler forks its workers. A lock that the sweep held at that moment would stay locked in the child for
ever, so a fork waits until the sweep has ended its look, which is a matter of milliseconds.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from sqlalchemy import delete, select

from pressroom.domain.errors import PressroomError
from pressroom.engine.runs import control, ending
from pressroom.engine.runs.control import RunEnd
from pressroom.engine.runs.ending import DagRunSeen, LiveRun
from pressroom.orchestration.server import answers, cancelling
from pressroom.orchestration.server.account_roles import AccountRoles
from pressroom.orchestration.server.connections import OF_SERVER
from pressroom.orchestration.server.notices import NoticeOutbox
from pressroom.orchestration.server.parsing import ChangedDefinitions
from pressroom.orchestration.server.respondents import Respondents
from pressroom.orchestration.server.stray_batches import StrayBatches
from pressroom.store.database import Store

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
PATIENCE_SECONDS = 3.0
"""How long the sweep waits for Pressroom's database."""
UNTIL_COMMITTED = 0.5
"""How long after the listener was called Airflow may take to commit what it was told."""
LONGEST_FORK_WAIT = 5.0
NOTE_CHARS = 1000
"""What Airflow keeps of a note."""
OURS = "Pressroom: "
"""How our line of a note begins."""


@dataclass(frozen=True)
class SweptRun(LiveRun):
    """A live run, or one whose end Airflow does not show yet. ``cancelled``: it is to end."""

    account_id: int
    workflow_id: int
    kind: str
    live: bool
    cancelled: bool


class Sweep:
    """One look at all runs after another. ``store``: a store of its own, which no fork uses."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._definitions = ChangedDefinitions(store)
        self._respondents = Respondents(store)
        self._roles = AccountRoles(store)
        self._batches = StrayBatches(store)
        self._notices = NoticeOutbox(store)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def look(self) -> None:
        """Close what is over, show what has ended, have what it left looked after, make the roles of new
        accounts, have changed definitions parsed, and have notices sent.
        """
        self._look_at_runs()
        self._batches.look()
        self._roles.look()
        self._definitions.look()
        self._notices.look()

    def _look_at_runs(self) -> None:
        with self._store.transaction() as tx:
            runs = tx.all("runs_to_reconcile", SweptRun)
        flows = [run for run in runs if run.live and run.kind == "flow"]
        accounts = {(run.dag_id, run.dag_run_id): run.account_id for run in flows}
        self._respondents.look(accounts)
        if not runs:
            return
        answers.keep(self._store, accounts)
        seen = dag_runs(runs)
        going_on = {
            run.id for run in runs
            if run.live and not run.cancelled and ending.verdict(run, seen[run.id]) is None
        }  # fmt: skip
        with self._store.transaction() as tx:
            control.renew_when_due(tx, sorted(going_on))
        for run in runs:
            if run.id in going_on:
                continue
            try:
                self._reconcile(run, seen[run.id])
            except PressroomError as error:
                log.warning("run %s is looked at again: %s", run.id, error)

    def _reconcile(self, run: SweptRun, seen: DagRunSeen) -> None:
        if run.live and run.cancelled and self._end_waits(run):
            seen = dag_runs([run])[run.id]
        if run.live and not ending.end_if_over(
            self._store, run.account_id, run.kind, run.workflow_id, run.id, seen
        ):
            return
        self._show(run, seen)

    def _end_waits(self, run: SweptRun) -> bool:
        """Whether the DAG run of a cancelled run was ended now. Airflow's end comes first: a run that has
        ended while its DAG run waits would be opened again by it.
        """
        with self._store.transaction(run.account_id) as tx:
            tx.run("lock_run", run=run.id)
            state = control.get(tx, run.id)  # it may have ended since, and been cleared
            if not state.live or not state.cancel_requested:
                return False
            return cancelling.end_waits(run.dag_id, run.dag_run_id)

    def _show(self, run: SweptRun, seen: DagRunSeen) -> None:
        """Let the DAG run say how the run ended, once it has ended itself."""
        if seen.state is not None and not seen.over and seen.has_dag:
            return  # its last task has just closed the run
        with self._store.transaction(run.account_id) as tx:
            end = control.end_of(tx, run.id)
            row = ending.row_of_run(tx, run.kind, run.workflow_id, run.id)
        if end.status in control.LIVE:  # opened again meanwhile
            return
        red = end.status == "failed" if row is None else row.workflow.is_failure(end.status)
        if show_end(run.dag_id, run.dag_run_id, run.id, end, red=red, has_dag=seen.has_dag):
            with self._store.transaction() as tx:
                tx.run("run_shown", run=run.id)


def dag_runs(runs: Sequence[SweptRun]) -> dict[int, DagRunSeen]:
    """What Airflow says of the DAG run of each of these runs, by the run's id."""
    with create_session() as session:
        rows = session.execute(
            select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.end_date, DagModel.is_stale)
            .outerjoin(DagModel, DagModel.dag_id == DagRun.dag_id)
            .where(
                DagRun.dag_id.in_({run.dag_id for run in runs}),
                DagRun.run_id.in_({run.dag_run_id for run in runs}),
            )
        )
        seen = {
            (dag_id, run_id): DagRunSeen(str(state), ended_at, has_dag=stale is False)
            for dag_id, run_id, state, ended_at, stale in rows
        }
    return {run.id: seen.get((run.dag_id, run.dag_run_id), DagRunSeen(None)) for run in runs}


def show_end(
    dag_id: str, dag_run_id: str, run_id: int, end: RunEnd, *, red: bool, has_dag: bool = True
) -> bool:
    """Write the note, take open requests for an answer back, and correct the state of a DAG run that would
    say something else. Returns whether the DAG run had ended, or is gone.
    """
    with create_session() as session:
        dag_run = session.scalar(
            select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == dag_run_id).with_for_update()
        )
        if dag_run is None:
            return True
        unfinished = dag_run.state in (DagRunState.QUEUED, DagRunState.RUNNING)
        if unfinished and has_dag:  # it was cleared meanwhile
            return False
        # Airflow ends no DAG run of a DAG that is gone. And when a DAG run is marked before its first task,
        # it skips all of them and calls that a success.
        if unfinished or (red and dag_run.state == DagRunState.SUCCESS):
            dag_run.set_state(DagRunState.FAILED)
        note = with_our_line(dag_run.note, run_id, end)
        if note != (dag_run.note or ""):
            dag_run.note = note
        tasks = select(TaskInstance.id).where(
            TaskInstance.dag_id == dag_id, TaskInstance.run_id == dag_run_id
        )
        session.execute(
            delete(HITLDetail).where(HITLDetail.responded_at.is_(None), HITLDetail.ti_id.in_(tasks))
        )
        return True


def with_our_line(note: str | None, run_id: int, end: RunEnd) -> str:
    """The note with our line at its end, in place of an earlier one. A completed run needs none."""
    others = [line for line in (note or "").splitlines() if not line.startswith(OURS)]
    why = f": {end.reason}" if end.reason else ""
    ours = "" if end.status == "completed" else " ".join(f"{OURS}run {run_id} {end.status}{why}".split())
    ours = ours[:NOTE_CHARS]
    before = "\n".join(others)[: max(0, NOTE_CHARS - len(ours) - 1)]
    return "\n".join(part for part in (before, ours) if part)


class _Sweeper(threading.Thread):
    """Looks until the process ends."""

    def __init__(self) -> None:
        super().__init__(name="pressroom-sweep", daemon=True)
        self.awake = threading.Event()
        self._idle = threading.Lock()
        self._forking = False
        self._pid = os.getpid()
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork)

    def run(self) -> None:
        sweep: Sweep | None = None
        while True:
            if self.awake.wait(EVERY_SECONDS):
                self.awake.clear()
                time.sleep(UNTIL_COMMITTED)
            broken = None
            with self._idle:
                try:
                    sweep = sweep or Sweep(_own_store())
                    sweep.look()
                except PressroomError as error:
                    log.warning("runs are looked at again in %g s: %s", EVERY_SECONDS, error)
                    # The connection is read again: it may have been corrected, or its password renewed.
                    broken, sweep = sweep, None
                except Exception:  # a defect of a look must not end all looks
                    log.exception("a look at the runs broke")
            if broken is not None:
                broken.close()

    def _before_fork(self) -> None:
        # A worker forks for each task. It has no sweep to wait for, and its copy of the lock stays taken.
        if os.getpid() == self._pid:
            self._forking = self._idle.acquire(timeout=LONGEST_FORK_WAIT)

    def _after_fork(self) -> None:
        if self._forking and os.getpid() == self._pid:
            self._forking = False
            self._idle.release()


def _own_store() -> Store:
    """Pressroom's database, by a connection that no fork uses."""
    return Store(OF_SERVER.database_url(), max_size=1, patience=PATIENCE_SECONDS)


_sweeper: dict[int, _Sweeper] = {}
"""The sweep of this process, by the process's id: a fork has none."""


def begin() -> None:
    """Sweep from now on, in this process."""
    if os.getpid() not in _sweeper:
        _sweeper[os.getpid()] = _Sweeper()
        _sweeper[os.getpid()].start()


def wake() -> None:
    """Look at once, if this process sweeps."""
    if sweeper := _sweeper.get(os.getpid()):
        sweeper.awake.set()
