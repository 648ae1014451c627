"""What the API server reads of Airflow's own tables, against its models on SQLite; the sweep's store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from sqlalchemy import Engine, insert

from pressroom.domain.errors import TransientError
from pressroom.orchestration.server import airflow as in_process
from pressroom.orchestration.server import sweep
from pressroom.orchestration.server.airflow import InProcessAirflow
from pressroom.store.database import Store
from tests.support.airflow_tables import airflow_tables

NOW = datetime(2026, 11, 27, tzinfo=UTC)
LIMITS = {"max_active_tasks": 1, "max_active_runs": 1, "max_consecutive_failed_dag_runs": 0,
          "has_task_concurrency_limits": False}  # fmt: skip


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Airflow's database, without a row."""
    with airflow_tables(monkeypatch, in_process) as engine:
        yield engine


@pytest.mark.parametrize(
    ("state", "alive"),
    [("queued", True), ("running", True), ("success", False), ("failed", False)],
)
def test_a_dag_run_is_alive_until_it_has_ended(airflow: Engine, state: str, alive: bool) -> None:
    with airflow.begin() as connection:
        connection.execute(
            insert(DagRun).values(
                dag_id="site__a", run_id="manual__1", state=state, run_type="manual", run_after=NOW
            )
        )
    server = InProcessAirflow()
    assert server.alive("site__a", "manual__1") is alive
    assert not server.alive("site__a", "manual__2")
    assert not server.alive("site__b", "manual__1")


@pytest.mark.parametrize("paused", [True, False])
def test_a_dag_is_paused_when_airflow_has_it_so(airflow: Engine, paused: bool) -> None:
    with airflow.begin() as connection:
        connection.execute(
            insert(DagModel).values(dag_id="site__a", is_paused=paused, bundle_name="dags", **LIMITS)
        )
    assert InProcessAirflow().paused("site__a") is paused
    assert not InProcessAirflow().paused("site__b")


def test_the_sweep_reads_its_connection_again_when_it_cannot_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Store] = []
    closed: list[Store] = []

    def own_store() -> Store:
        opened.append(Store("postgresql://nobody@127.0.0.1:9/none"))
        return opened[-1]

    def look(self: sweep.Sweep) -> None:
        if len(opened) > 1:
            raise SystemExit  # enough was seen
        raise TransientError("the password is over")

    monkeypatch.setattr(sweep, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(sweep, "_own_store", own_store)
    monkeypatch.setattr(sweep.Sweep, "look", look)
    monkeypatch.setattr(Store, "close", lambda store: closed.append(store))
    monkeypatch.setattr("os.register_at_fork", lambda **_: None)
    with pytest.raises(SystemExit):
        sweep._Sweeper().run()
    assert closed == opened[:1]


FORKS = """
import os
from pressroom.orchestration.server import sweep

def waited(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

sweep.LONGEST_FORK_WAIT = 600
sweep._Sweeper()
if (worker := os.fork()) == 0:
    if (task := os.fork()) == 0:
        os._exit(0)
    os._exit(waited(task))
raise SystemExit(waited(worker))
"""


def test_a_worker_of_the_scheduler_begins_its_tasks_without_waiting_for_a_sweep(tmp_path: Path) -> None:
    env = os.environ | {"AIRFLOW_HOME": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", FORKS], env=env, timeout=100, check=False).returncode == 0
