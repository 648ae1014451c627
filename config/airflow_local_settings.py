"""Loaded by every Airflow component: imports before the first fork what tasks need, tunes the collector.

LocalExecutor's workers, Celery's pool and the dag processor fork a process per task or file, and the
triggerer one that runs all triggers. What the parent has imported by then is shared; what it has not, each
child imports again, at 1 to 3 seconds of CPU. The import happens right before the first fork, and in
components that fork for work only, so that no other one pays for it.
"""

import functools
import gc
import importlib
import logging
import os
import sys
from collections.abc import Sequence

# Start-up makes hundreds of thousands of objects that all stay, and the usual thresholds make the collector
# look at them again and again: the API server's first start took 9.7 s of CPU with them and takes 8.3 s with
# these.
gc.set_threshold(50_000, 20, 50)

# Airflow copies public names of this module into its settings; there are none to copy.
__all__: list[str] = []

_TRIGGERS = ("pressroom.orchestration.tasks.triggers",)

_TASKS = (
    # The path of a task from the executor to its first line of code.
    "airflow.sdk.execution_time.execute_workload",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    # Parsing a DAG file, which every task does too.
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.dagbag",
    "airflow.sdk.definitions.decorators",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.hitl",
    # The store's connection, which every task and every parse of a DAG file resolves.
    "airflow.providers.postgres.hooks.postgres",
    # What a stage works with.
    "httpx",
    "jinja2",
    "openai",
    "openai.resources.chat.completions",
    "psycopg",
    "psycopg_pool",
    "pydantic",
    "pressroom.orchestration.dags.build",
    "pressroom.orchestration.tasks.flow",
    "pressroom.orchestration.tasks.run",
    "pressroom.orchestration.tasks.stage",
    *_TRIGGERS,
)

# Component → what its children work with.
_FORKING_COMPONENTS = {"scheduler": _TASKS, "dag-processor": _TASKS, "celery": _TASKS, "triggerer": _TRIGGERS}

_state = {"done": False}


def _import_all(names: Sequence[str]) -> None:
    if _state["done"]:
        return
    _state["done"] = True
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - whatever is missing or broken here must not stop a component
            # A module that is not there yet costs speed only; a task that needs it reports the error itself.
            logging.getLogger(__name__).info("not imported before the first fork: %s (%r)", name, error)
    if certificates := sys.modules.get("pressroom.adapters.http.certificates"):
        # Each task would read them, at 25 ms of a core.
        certificates.trusted()
        certificates.trusted_of_strangers()
    # Shared pages stay shared only while no collection writes to the objects on them.
    gc.collect()
    gc.freeze()


if names := _FORKING_COMPONENTS.get("".join(sys.argv[1:2])):
    os.register_at_fork(before=functools.partial(_import_all, names))
