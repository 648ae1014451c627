"""What both systems say of the walked workflows, read by one thread for all who wait."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psycopg

EVERY_SECONDS = 0.2

TaskKey = tuple[str, int]


@dataclass(frozen=True)
class RunSeen:
    """A run as Pressroom has it."""

    id: int
    status: str
    error: str | None

    @property
    def live(self) -> bool:
        """Whether it holds its lock."""
        return self.status in ("running", "paused")


@dataclass(frozen=True)
class Picture:
    """Keys: (DAG, DAG run). ``dags``: those that Airflow has and that are not stale."""

    runs: Mapping[tuple[str, str], RunSeen] = field(default_factory=dict)
    dag_runs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    tasks: Mapping[tuple[str, str], Mapping[TaskKey, str]] = field(default_factory=dict)
    dags: frozenset[str] = frozenset()


class Watch:
    """Renews the picture a few times a second, with four queries for all."""

    def __init__(self, airflow_url: str, pressroom_url: str, dag_ids: Sequence[str]) -> None:
        self._urls = (airflow_url.replace("+psycopg2", ""), pressroom_url)
        self._dag_ids = list(dag_ids)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.picture = Picture()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        airflow_url, pressroom_url = self._urls
        with (
            psycopg.connect(airflow_url, autocommit=True) as airflow,
            psycopg.connect(pressroom_url, autocommit=True) as pressroom,
        ):
            while not self._stopping.wait(EVERY_SECONDS):
                # Pressroom first: what ends a DAG run comes after it.
                runs = self._rows(pressroom, "SELECT dag_id, dag_run_id, id, status, error_message FROM runs")
                dag_runs = self._rows(airflow, "SELECT dag_id, run_id, state FROM dag_run")
                tasks = self._rows(
                    airflow, "SELECT dag_id, run_id, task_id, map_index, state FROM task_instance"
                )
                dags = self._rows(airflow, "SELECT dag_id FROM dag", "AND NOT is_stale")
                by_run: dict[tuple[str, str], dict[TaskKey, str]] = {}
                for dag_id, run_id, task_id, index, state in tasks:
                    by_run.setdefault((dag_id, run_id), {})[task_id, index] = str(state)
                self.picture = Picture(
                    {(dag_id, run_id): RunSeen(*seen) for dag_id, run_id, *seen in runs},
                    {(dag_id, run_id): str(state) for dag_id, run_id, state in dag_runs},
                    by_run,
                    frozenset(dag_id for (dag_id,) in dags),
                )

    def _rows(
        self, connection: psycopg.Connection[Any], select: str, more: str = ""
    ) -> list[tuple[Any, ...]]:
        return connection.execute(f"{select} WHERE dag_id = ANY(%s) {more}", [self._dag_ids]).fetchall()
