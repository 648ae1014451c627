"""The last good read of the definitions, kept on disk: dag files go by it while Postgres is away."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pressroom.domain.definitions import Account, BrandContext
from pressroom.domain.errors import TransientError
from pressroom.domain.kinds import KINDS
from pressroom.store.database import Store
from pressroom.store.workflows import (
    Shard,
    UnreadableRow,
    WorkflowRow,
    active_workflows,
    log_unreadable,
    split_dag_id,
)

logger = logging.getLogger(__name__)
VERSION = 3


def read_or_snapshot(
    store: Store,
    kind: str,
    path: Path,
    *,
    dag_id: str | None = None,
    shard: Shard | None = None,
    timeout: float = 3.0,
    report: Callable[[UnreadableRow], None] = log_unreadable,
) -> tuple[list[WorkflowRow], bool]:
    """(workflows of the kind that have a DAG, whether they come from the snapshot at ``path``).

    ``timeout``: seconds the query may take; ``report``: as in ``active_workflows``. A read of all (of the
    shard) renews the snapshot, one of a single DAG does not. Raises TransientError when the database is away
    and there is no usable snapshot, ConfigurationError when it answers but is not migrated: a stale answer
    would hide that.
    """
    try:
        with store.transaction() as tx:
            tx.value("statement_timeout", milliseconds=str(max(1, int(timeout * 1000))))
            rows = active_workflows(tx, kind, dag_id, shard, report)
    except TransientError as error:
        snapshot = read(path)
        if snapshot is None:
            raise
        logger.warning("definitions come from the snapshot %s: %s", path, error)
        named = None if dag_id is None else split_dag_id(dag_id)
        return [row for row in snapshot if dag_id is None or named == (kind, row.workflow.slug)], True
    if dag_id is None:
        write(path, rows)
    return rows, False


def write(path: Path, rows: Sequence[WorkflowRow]) -> None:
    """Replace the snapshot if its content differs. A failure is a warning: parsing goes on without one."""
    text = json.dumps(
        {"version": VERSION, "workflows": [_plain(row) for row in rows]}, ensure_ascii=False, sort_keys=True
    )
    temporary = None
    try:
        if path.exists() and path.read_text("utf-8") == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed, so that a reader sees the old one or the new one, never a half.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except (OSError, UnicodeDecodeError) as error:
        logger.warning("the snapshot %s cannot be written: %s", path, error)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def read(path: Path) -> list[WorkflowRow] | None:
    """The snapshot's workflows, or None when this version can read none."""
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}")
        return [_row(entry) for entry in data["workflows"]]
    except FileNotFoundError:
        return None
    # A ValidationError, a JSONDecodeError and a UnicodeDecodeError are all ValueErrors.
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("the snapshot %s is ignored: %s", path, type(error).__name__)
        return None


def _plain(row: WorkflowRow) -> dict[str, Any]:
    since = row.scheduled_since
    own = {
        "account_id": row.account_id, "workflow_id": row.workflow_id, "over": row.over,
        "scheduled_since": None if since is None else since.isoformat(),
    }  # fmt: skip
    return own | row.definition


def _row(entry: dict[str, Any]) -> WorkflowRow:
    brand = entry["brand"]
    return WorkflowRow(
        int(entry["account_id"]),
        int(entry["workflow_id"]),
        Account.model_validate(entry["account"]),
        KINDS[entry["workflow"]["kind"]].model.model_validate(entry["workflow"]),
        None if brand is None else BrandContext.model_validate(brand),
        entry["over"],
        datetime.fromisoformat(entry["scheduled_since"]) if entry["scheduled_since"] else None,
    )
