"""Definitions → DAGs, dealt out over several dag files so that each stays quick to parse."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from pressroom.domain.kinds import WORKFLOW_KINDS
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.dags.snapshot import read_or_snapshot
from pressroom.orchestration.tools import connections
from pressroom.pipelines.registry import dag_id_of, parts_of, pipeline_of
from pressroom.store.workflows import split_dag_id

READ_SECONDS = 3.0


def workflow_dags(kind: str, shard: int) -> dict[str, DAG]:
    """The DAGs of one dag file, by the name under which Airflow finds them.

    A worker asks for one DAG, so only that one is built. When Postgres is away the last good read is used:
    DAGs must not vanish because a database restarts.
    """
    only = get_parsing_context().dag_id
    if only is not None and (split_dag_id(only) or ("", ""))[0] != kind:
        return {}
    home = Path(os.environ.get("AIRFLOW_HOME", "."))
    rows, _ = read_or_snapshot(
        connections.store_at(connections.OF_TASK.database_url(), patience=READ_SECONDS),
        kind,
        home / "pressroom-snapshots" / f"{kind}s-{shard}.json",
        dag_id=only,
        shard=(shard, WORKFLOW_KINDS[kind].dag_files),
        timeout=READ_SECONDS,
    )
    return {
        dag_id: build_dag(pipeline_of(row.workflow, part), row.workflow, part, since=row.scheduled_since)
        for row in rows
        for part in parts_of(row.workflow)
        if only in (None, dag_id := dag_id_of(row.workflow, part))
    }
