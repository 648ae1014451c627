"""What Airflow tells Pressroom of its DAG runs: the plugin's listener.

Every component and every task loads it, so it imports next to nothing at its top.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

SCHEDULER = "scheduler"
BY_HAND = "manually set"
"""What Airflow says of a DAG run that somebody marked."""


@hookimpl
def on_starting(component: Any) -> None:
    """Begin the sweep in the scheduler. A task is a fork of it with the same arguments, so the kind of the
    component counts too.
    """
    if type(component).__name__ == "Job" and sys.argv[1:2] == [SCHEDULER]:
        from pressroom.orchestration.server import sweep

        sweep.begin()


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Close the run if need be, and show its end."""
    _ended(dag_run, msg, "success")


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Close the run if need be, and show its end."""
    _ended(dag_run, msg, "failed")


def _ended(dag_run: Any, msg: str, marked: str) -> None:
    from pressroom.store.workflows import split_dag_id

    if split_dag_id(dag_run.dag_id) is None:  # not a DAG of ours
        return
    if BY_HAND in msg:
        # Its tasks are being stopped; those that clean up still come, and read this.
        from pressroom.orchestration.server.marking import mark

        mark(dag_run.dag_id, dag_run.run_id, marked)
        return
    from pressroom.orchestration.server import sweep

    sweep.wake()
