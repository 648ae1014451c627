"""DAG runs that somebody marks in Airflow, as the API server hears of them."""

from __future__ import annotations

from pressroom.engine.runs import control
from pressroom.orchestration.server.airflow import store


def mark(dag_id: str, dag_run_id: str, marked: str) -> None:
    """Keep as what a DAG run was marked, for the tasks that end its run."""
    names = {"dag_id": dag_id, "dag_run_id": dag_run_id}
    with store().transaction() as tx:
        account: int | None = tx.value("account_of_dag_run", **names)
        if account is not None:
            control.mark(tx.for_account(account), **names, marked=marked)
