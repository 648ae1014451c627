"""What tests and benchmarks ask of Airflow besides what the product asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pressroom.adapters.airflow_api import AirflowApi, clearing, part


class LocalAirflow(AirflowApi):
    """The client of an Airflow that is looked into, and whose tasks are cleared as on its page."""

    def dag_runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Every run of a DAG as Airflow describes it: dag_run_id, state, run_type, …"""
        return self._pages(f"dags/{part(dag_id)}/dagRuns", "dag_runs")

    def task_instances(self, dag_id: str, dag_run_id: str) -> list[dict[str, Any]]:
        """Every task instance of a run as Airflow describes it: task_id, map_index, state, start_date, …"""
        return self._pages(f"dags/{part(dag_id)}/dagRuns/{part(dag_run_id)}/taskInstances", "task_instances")

    def clear(
        self,
        dag_id: str,
        dag_run_id: str,
        task_ids: Sequence[str | tuple[str, int]],
        *,
        downstream: bool = True,
        only_failed: bool = False,
    ) -> int:
        """Make task instances run again; a pair is one index of a mapped task. Returns how many there are."""
        ids = [list(task) if isinstance(task, tuple) else task for task in task_ids]
        body = clearing(dag_run_id, ids, downstream=downstream, only_failed=only_failed)
        return int(self._call("POST", f"dags/{part(dag_id)}/clearTaskInstances", body)["total_entries"])

    def mark(self, dag_id: str, dag_run_id: str, state: str) -> None:
        """Mark a DAG run as success or failed, or queue it again, as on Airflow's page."""
        self._call("PATCH", f"dags/{part(dag_id)}/dagRuns/{part(dag_run_id)}", {"state": state})

    def mark_task(self, dag_id: str, dag_run_id: str, task_id: str, state: str, index: int = -1) -> None:
        """Mark a task instance, as on Airflow's page."""
        task = f"dags/{part(dag_id)}/dagRuns/{part(dag_run_id)}/taskInstances/{part(task_id)}"
        self._call("PATCH", f"{task}/{index}" if index >= 0 else task, {"new_state": state})

    def clear_run(self, dag_id: str, dag_run_id: str, *, only_failed: bool = False) -> None:
        """Make a DAG run's tasks run again: all, or those that failed."""
        body = {"dry_run": False, "only_failed": only_failed}
        self._call("POST", f"dags/{part(dag_id)}/dagRuns/{part(dag_run_id)}/clear", body)

    def delete_run(self, dag_id: str, dag_run_id: str) -> bool:
        """Delete a DAG run. False when Airflow refuses, as it does while it runs."""
        path = f"dags/{part(dag_id)}/dagRuns/{part(dag_run_id)}"
        return self._send("DELETE", path, None, allow=(409,)).status_code != 409

    def delete_dag(self, dag_id: str) -> None:
        """Delete a DAG with all that Airflow has of it. It comes back when its file is read again."""
        self._send("DELETE", f"dags/{part(dag_id)}", None)

    def note(self, dag_id: str, dag_run_id: str) -> str:
        """The note of a DAG run."""
        return str(self._call("GET", f"dags/{part(dag_id)}/dagRuns/{part(dag_run_id)}")["note"] or "")

    def asked(self, dag_id: str, dag_run_id: str) -> list[dict[str, Any]]:
        """What the tasks of a run ask people."""
        path = f"dags/{part(dag_id)}/dagRuns/{part(dag_run_id)}/hitlDetails"
        rows: list[dict[str, Any]] = self._call("GET", path)["hitl_details"]
        return rows

    def pause_dag(self, dag_id: str, *, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self._call("PATCH", f"dags/{part(dag_id)}", {"is_paused": paused})

    def task_ids(self, dag_id: str) -> list[str]:
        """The tasks of a DAG in its newest version, in the order of its file."""
        return [str(task["task_id"]) for task in self._call("GET", f"dags/{part(dag_id)}/tasks")["tasks"]]

    def backfill(self, dag_id: str, begin: datetime, end: datetime) -> None:
        """Backfill a DAG. Raises PermanentError when Airflow refuses."""
        body = {"dag_id": dag_id, "from_date": begin.isoformat(), "to_date": end.isoformat()}
        self._call("POST", "backfills", body)

    def file_of(self, dag_id: str) -> str:
        """How Airflow names the file of a DAG."""
        return str(self._call("GET", f"dags/{part(dag_id)}")["file_token"])

    def _pages(self, path: str, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", f"{path}?limit=100&offset={len(rows)}&order_by=id")
            rows += page[key]
            if not page[key] or len(rows) >= page["total_entries"]:
                return rows
