"""Definitions → DAGs, dealt out over several dag files so that each stays quick to parse."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from pressroom.domain.kinds import WORKFLOW_KINDS, word_of
from pressroom.orchestration.dags.access import AccessControl, access_control, fab_in_use
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.dags.snapshot import read_or_snapshot
from pressroom.orchestration.tools import connections
from pressroom.pipelines.registry import dag_id_of, parts_of, pipeline_of
from pressroom.store.database import Store
from pressroom.store.workflows import UnreadableRow, WorkflowRow, split_dag_id

logger = logging.getLogger(__name__)
READ_SECONDS = 3.0


def workflow_dags(kind: str, shard: int) -> dict[str, DAG]:
    """The DAGs of one dag file, by the name under which Airflow finds them.

    A worker asks for one DAG, so only that one is built. When Postgres is away the last good read is used:
    DAGs must not vanish because a database restarts. A workflow that cannot be built, or whose DAG Airflow
    cannot store, is an import error of its own; the others are not touched by it.
    """
    only = get_parsing_context().dag_id
    if only is not None and (split_dag_id(only) or ("", ""))[0] != kind:
        return {}
    home = Path(os.environ.get("AIRFLOW_HOME", "."))
    unreadable: list[UnreadableRow] = []
    store = connections.store_at(connections.OF_TASK.database_url(), patience=READ_SECONDS)
    rows, stale = read_or_snapshot(
        store,
        kind,
        home / "pressroom-snapshots" / f"{kind}s-{shard}.json",
        dag_id=only,
        shard=(shard, WORKFLOW_KINDS[kind].dag_files),
        timeout=READ_SECONDS,
        report=unreadable.append,
    )
    if only is not None:
        return {
            dag_id: build_dag(pipeline_of(row.workflow, part), row.workflow, part, since=row.scheduled_since)
            for row in rows
            for part in parts_of(row.workflow)
            if (dag_id := dag_id_of(row.workflow, part)) == only
        }
    dags: dict[str, DAG] = {}
    # While the database is away, whoever saw a DAG goes on seeing it.
    having = None if stale or not fab_in_use() else _accounts_with_roles(store)
    for row in rows:
        slug = row.workflow.account
        access = None if having is None else access_control(slug, has_roles=slug in having)
        dags |= _dags_of(row, access)
    for bad in unreadable:
        dags |= _stand_in(f"{bad.kind}__{bad.slug}", bad.account, bad.slug, bad.kind, bad.why)
    return dags


def _accounts_with_roles(store: Store) -> set[str]:
    with store.transaction() as tx:
        return {row["slug"] for row in tx.rows("accounts_and_roles") if row["airflow_roles"]}


def _dags_of(row: WorkflowRow, access: AccessControl | None) -> dict[str, DAG]:
    """All DAGs of a workflow, or its stand-in when one of them cannot be."""
    # Airflow's models: a worker, which does not come here, does without them.
    from pressroom.orchestration.dags.fitting import refuse_unfit

    dags = {}
    workflow = row.workflow
    try:
        for part in parts_of(workflow):
            pipeline = pipeline_of(workflow, part)
            dag = build_dag(pipeline, workflow, part, since=row.scheduled_since, access=access)
            refuse_unfit(dag)
            dags[dag.dag_id] = dag
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a definition, it is that definition alone
        why = str(error) or type(error).__name__
        return _stand_in(workflow.dag_id, workflow.account, workflow.slug, word_of(workflow), why)
    return dags


def _stand_in(dag_id: str, account: str, slug: str, kind: str, why: str) -> dict[str, DAG]:
    from pressroom.orchestration.dags.unbuildable import unbuildable

    logger.error("%s %s of %s has no DAG: %s", kind, slug, account, why)
    return {dag_id: unbuildable(dag_id, kind=kind, account=account, slug=slug, why=why)}
