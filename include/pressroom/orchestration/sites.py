"""Site definitions → DAGs, dealt out over several dag files so that each stays quick to parse."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from pressroom.definitions.snapshot import read_or_snapshot
from pressroom.orchestration import connections
from pressroom.orchestration.dag import PREFIX, build_dag
from pressroom.pipelines.site import SITE

SHARDS = 8
"""How many dag files the sites are dealt out over. Some 500 definitions a file is what Airflow parses in good
time, so this serves about 4,000 sites. To raise it, add dag files that pass the further numbers."""

READ_SECONDS = 3.0


def site_dags(shard: int) -> dict[str, DAG]:
    """The DAGs of one dag file, by the name under which Airflow finds them.

    A worker asks for one DAG, and gets that one built and no other, however many there are. When Postgres is
    away the last good read is used: DAGs must not vanish because a database restarts.
    """
    only = get_parsing_context().dag_id
    if only is not None and not only.startswith(PREFIX):
        return {}
    home = Path(os.environ.get("AIRFLOW_HOME", "."))
    rows, _ = read_or_snapshot(
        connections.store_at(connections.database_url(), patience=READ_SECONDS),
        home / "pressroom-snapshots" / f"sites-{shard}.json",
        dag_id=only,
        shard=(shard, SHARDS),
        timeout=READ_SECONDS,
    )
    return {row.site.dag_id: build_dag(SITE, row.site) for row in rows}
