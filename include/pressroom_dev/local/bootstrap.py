"""Makes an Airflow metadata database ready: schema, connections, pools and variables of a settings file.

Run as `python -m pressroom_dev.local.bootstrap airflow_settings.yaml`. One process does it all, because
each `airflow` command would spend seconds on importing Airflow. Running it again changes what the file
changed and no more; entries that the file does not name are left alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.models.connection import Connection
from airflow.models.pool import Pool
from airflow.models.variable import Variable
from airflow.utils.db import upgradedb
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

from pressroom_dev.local import astro_settings
from pressroom_dev.local.astro_settings import AstroSettings


def main() -> None:
    """Migrate the database that Airflow is configured with and load the file named on the command line."""
    settings = astro_settings.read(Path(sys.argv[1]))
    upgradedb()
    with create_session() as session:
        load(settings, session)


def load(settings: AstroSettings, session: Session) -> None:
    """Write the file's entries, replacing entries of the same name."""
    for conn_id, fields in settings.connections.items():
        _load_connection(conn_id, dict(fields), session)
    for name, pool in settings.pools.items():
        Pool.create_or_update_pool(
            name=name,
            slots=pool.slots,
            description=pool.description,
            include_deferred=pool.include_deferred,
            session=session,
        )
    for key, value in settings.variables.items():
        # An empty one means "the local runner decides". Stored, it would hide its reader's default.
        if value:
            Variable.set(key, value, session=session)


def _load_connection(conn_id: str, fields: dict[str, Any], session: Session) -> None:
    extra = fields.pop("extra", None)
    connection = Connection(conn_id=conn_id, extra=json.dumps(extra) if extra else None, **fields)
    existing = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
    if existing is not None:
        # Replaced as a whole: what the file leaves out is meant to be empty.
        session.delete(existing)
        session.flush()
    session.add(connection)


if __name__ == "__main__":
    main()
