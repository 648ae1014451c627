"""What a cancelled run waits for in Airflow's own tables, on a real Postgres: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, Table, create_engine, delete, insert, select, update
from sqlalchemy.orm import sessionmaker

from pressroom.domain.run import Run
from pressroom.engine.runs import control
from pressroom.engine.runs.control import RunEnd
from pressroom.store.database import Store, Tx
from tests.support.airflow_library import airflow_as_library
from tests.support.world import World, make_world

with airflow_as_library():
    from airflow import settings
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskreschedule import TaskReschedule
    from airflow.utils.session import create_session

    from pressroom.orchestration.server import cancelling
    from pressroom.orchestration.server.sweep import Sweep

pytestmark = pytest.mark.integration

DAG, RUN = "site__brew", "manual__1"
HOUR = 3600.0
NOTICES = ("notices_of_caps", "notices_forget", "notices_waiting", "notice_messages_due")
"""The statements of the sweep's look at notices, while none waits."""


@pytest.fixture(scope="module")
def engine(postgres_url: str) -> Iterator[Engine]:
    """Airflow's tables, in a database of their own."""
    import_all_models()  # type: ignore[no-untyped-call]
    name = f"airflow_test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = psycopg.conninfo.conninfo_to_dict(postgres_url) | {"dbname": name}
    engine = create_engine("postgresql+psycopg2://", connect_args=url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class AirflowTables:
    """A DAG run of the site ``brew`` and its tasks."""

    def __init__(self, state: str = "running", *, paused: bool = False, stale: bool = False) -> None:
        self.put(table("dag_bundle"), name="dags-folder")
        self.put(
            table("dag"), dag_id=DAG, is_paused=paused, is_stale=stale, bundle_name="dags-folder",
            max_active_tasks=16, max_consecutive_failed_dag_runs=0, has_task_concurrency_limits=False,
        )  # fmt: skip
        self.dag_run(RUN, state)

    def dag_run(self, name: str, state: str = "running") -> None:
        """A DAG run of that id."""
        self.put(
            table("dag_run"), dag_id=DAG, run_id=name, run_type="manual", state=state,
            run_after=datetime.now(UTC),
        )  # fmt: skip

    def task(self, name: str, state: str | None, **values: Any) -> Any:
        """One of the run's tasks. Returns its id."""
        number = uuid4()
        self.put(
            table("task_instance"), id=number, task_id=name, dag_id=DAG, run_id=RUN, map_index=-1,
            state=state, pool="default_pool", pool_slots=1, try_number=1, max_tries=9, **values,
        )  # fmt: skip
        return number

    def waits(self, name: str = "content.work") -> None:
        """A task that is tried again in an hour."""
        self.task(name, "up_for_retry", end_date=datetime.now(UTC), retry_delay_override=HOUR)

    def seen(self) -> tuple[str, dict[str, str | None]]:
        """The state of the DAG run, and those of its tasks."""
        with create_session() as session:
            tasks = session.execute(select(TaskInstance.task_id, TaskInstance.state)).all()
            return str(session.scalar(select(DagRun.state))), {task.task_id: task.state for task in tasks}

    def due(self, name: str = "content.work") -> bool:
        """Whether Airflow would try the task now."""
        with create_session() as session:
            task = session.scalars(select(TaskInstance).where(TaskInstance.task_id == name)).one()
            return not task.is_premature

    def note(self) -> str | None:
        """The note on the DAG run."""
        with create_session() as session:
            return cast(str | None, session.scalars(select(DagRun)).one().note)

    @staticmethod
    def put(into: Table, **values: Any) -> None:
        """Insert a row."""
        with create_session() as session:
            session.execute(insert(into).values(**values))


def table(name: str) -> Table:
    return cast(Table, Base.metadata.tables[name])


@pytest.fixture(autouse=True)
def sessions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's sessions are those of the tables here, which are empty."""
    monkeypatch.setattr(settings, "Session", sessionmaker(engine, expire_on_commit=False))
    with create_session() as session:
        for name in ("task_reschedule", "task_instance", "dag_run_note", "dag_run", "dag", "dag_bundle"):
            session.execute(delete(table(name)))


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store)


def end_waits() -> bool:
    return cancelling.end_waits(DAG, RUN)


def cancelled(world: World, *, now: bool = False) -> Run:
    run = world.run(RUN)
    with world.store.transaction(world.account_id) as tx:
        control.cancel(tx, world.site_id, now=now)
    return run


def end_of(world: World, run: Run) -> RunEnd:
    with world.store.transaction(world.account_id) as tx:
        return control.end_of(tx, run.id)


# In Airflow -----------------------------------------------------------------------------------------------


def test_the_last_tasks_are_the_next_to_begin() -> None:
    airflow = AirflowTables()
    airflow.task("open_run", "success")
    airflow.waits()
    airflow.task("images.plan", None)
    airflow.task("review", "deferred")  # its trigger sees the cancellation
    airflow.task("rollback", None)
    airflow.task("close_run", None)
    states = {
        "open_run": "success", "content.work": "skipped", "images.plan": "skipped", "review": "deferred",
        "rollback": None, "close_run": None,
    }  # fmt: skip
    for _ in range(2):  # again: it changes nothing
        assert not end_waits()
        assert airflow.seen() == ("running", states)


def test_an_opening_that_waits_for_its_next_try_is_due() -> None:
    airflow = AirflowTables()
    airflow.waits("open_run")
    airflow.task("close_run", None)
    assert not airflow.due("open_run")
    assert not end_waits()
    assert airflow.due("open_run")
    assert airflow.seen() == ("running", {"open_run": "up_for_retry", "close_run": None})


def test_a_task_that_was_put_off_is_due() -> None:
    airflow, now = AirflowTables(), datetime.now(UTC)
    later = {"duration": 0, "reschedule_date": now + timedelta(hours=1)}
    number = airflow.task("open_run", "up_for_reschedule")
    AirflowTables.put(table("task_reschedule"), ti_id=number, start_date=now, end_date=now, **later)
    assert not end_waits()
    with create_session() as session:
        assert cast(Any, session.scalar(select(TaskReschedule.reschedule_date))) <= datetime.now(UTC)


ENDED = {"open_run": "skipped", "content.work": "skipped", "review": "skipped", "done": "success"}


@pytest.mark.parametrize(
    ("state", "dag"),
    [
        pytest.param("queued", {}, id="queued"),
        pytest.param("queued", {"paused": True}, id="queued, and its DAG paused"),
        pytest.param("running", {"paused": True}, id="its DAG paused in the middle"),
        pytest.param("running", {"stale": True}, id="its DAG gone"),
    ],
)
def test_a_dag_run_that_does_not_go_on_is_ended_as_a_success(state: str, dag: dict[str, bool]) -> None:
    airflow = AirflowTables(state, **dag)
    airflow.task("done", "success")
    airflow.task("open_run", None)
    airflow.waits()
    airflow.task("review", "deferred")
    assert end_waits()
    assert airflow.seen() == ("success", ENDED)
    assert not end_waits()


@pytest.mark.parametrize("state", ["running", "restarting"])
@pytest.mark.parametrize("paused", [False, True])
def test_what_is_at_work_is_finished_first(state: str, paused: bool) -> None:
    airflow = AirflowTables(paused=paused)
    airflow.task("content.work", state)
    airflow.task("images.plan", None)
    airflow.task("close_run", None)
    assert not end_waits()
    states = {"content.work": state, "images.plan": "skipped", "close_run": None}
    assert airflow.seen() == ("running", states)


@pytest.mark.parametrize(("seconds", "over"), [(1, False), (60, True)])
@pytest.mark.parametrize("state", ["scheduled", "queued"])
def test_a_slot_is_not_waited_for_long(state: str, seconds: int, over: bool) -> None:
    airflow = AirflowTables()
    airflow.task("open_run", state, scheduled_dttm=datetime.now(UTC) - timedelta(seconds=seconds))
    airflow.task("close_run", None)
    assert end_waits() is over
    assert airflow.seen()[0] == ("success" if over else "running")


def test_rows_that_the_scheduler_has_locked_are_left_for_the_next_look() -> None:
    airflow = AirflowTables("queued")
    airflow.task("open_run", None)
    for model in (DagRun, TaskInstance):
        with create_session() as session:
            session.execute(select(model).with_for_update(of=model))
            assert not end_waits()
    assert end_waits()


def test_of_several_schedulers_one_ends_it() -> None:
    AirflowTables("queued").task("open_run", None)
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda _: end_waits(), range(4)))
    assert sum(ended) == 1 or (not any(ended) and end_waits())


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_dag_run_that_has_ended_is_left(state: str) -> None:
    airflow = AirflowTables(state)
    airflow.waits()
    assert not end_waits()
    assert airflow.seen() == (state, {"content.work": "up_for_retry"})


def test_a_dag_run_that_is_gone_is_nobodys() -> None:
    assert not end_waits()


# In both --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [False, True])
def test_one_look_ends_a_cancelled_run_that_never_began_in_both(world: World, now: bool) -> None:
    airflow = AirflowTables("queued", paused=True)
    airflow.task("open_run", None)
    run = cancelled(world, now=now)
    sweep = Sweep(world.store)
    sweep.look()
    assert end_of(world, run).status == "cancelled"
    assert airflow.seen() == ("success", {"open_run": "skipped"})
    assert (airflow.note() or "").startswith(f"Pressroom: run {run.id} cancelled")
    sweep.look()
    world.run("manual__2")  # the lock is free


def test_a_run_that_is_not_cancelled_keeps_waiting(world: World) -> None:
    airflow = AirflowTables("queued", paused=True)
    airflow.waits()
    run = world.run(RUN)
    Sweep(world.store).look()
    assert end_of(world, run).status == "running"
    assert airflow.seen()[0] == "queued"
    assert not airflow.due()


@pytest.mark.parametrize("number", [1, 5])
def test_runs_that_go_on_are_looked_at_together(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A thousand items of flows may wait at gates, and a fork waits for the end of a look."""
    airflow = AirflowTables()
    for name in (f"manual__{n}" for n in range(1, number + 1)):
        world.run(name, exclusive=False)
        if name != RUN:
            airflow.dag_run(name)
    world.sql("UPDATE runs SET lease_until = now() - interval '1 hour'")
    asked: list[str] = []
    statement = Tx._sql

    def noted(tx: Tx, name: str) -> Any:
        asked.append(name)
        return statement(tx, name)

    monkeypatch.setattr(Tx, "_sql", noted)
    Sweep(world.store).look()
    assert asked == [
        "runs_to_reconcile", "airflow_users_forget", "airflow_user_save", "renew_due_leases",
        "claim_stray_batches", "definition_marks", *NOTICES,
    ]  # fmt: skip
    assert world.sql("SELECT count(*) FROM runs WHERE lease_until > now()") == [(number,)]


def test_a_cancelled_run_in_the_middle_of_its_retries_ends_by_its_last_task(world: World) -> None:
    airflow = AirflowTables()
    airflow.waits()
    airflow.task("close_run", None)
    run = cancelled(world)
    Sweep(world.store).look()
    assert airflow.seen() == ("running", {"content.work": "skipped", "close_run": None})
    assert end_of(world, run).status == "running"
    with create_session() as session:
        session.execute(update(DagModel).values(is_paused=True))
    Sweep(world.store).look()
    assert (end_of(world, run).status, airflow.seen()[0]) == ("cancelled", "success")
