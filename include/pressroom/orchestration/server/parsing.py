"""The scheduler's sweep has a DAG file parsed as soon as a definition in it has changed.

Definitions are rows, so no file changes with them, and Airflow parses an unchanged file at its interval only.
Here a look is one statement, while a look of Airflow is ten processes: so the interval can be long. Whoever
changed the definition, by ``pressroom apply`` or over the API, need not reach Airflow for it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath

from airflow.models.dag import DagModel, DagTag
from airflow.models.dagbag import DagPriorityParsingRequest
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

from pressroom.domain.kinds import WORKFLOW_KINDS
from pressroom.pipelines.registry import DAG_TAG
from pressroom.store.database import Store

Part = tuple[str, int]
"""A kind of workflow, and the number of one of the DAG files that its workflows are dealt out over."""
Place = tuple[str, str]
"""A bundle of DAG files, and a file's path in it."""


class ChangedDefinitions:
    """Compares what it saw at its last look. At the first look every file has just been parsed, or waits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[Part, str] | None = None

    def look(self) -> None:
        """Have the files parsed whose definitions changed since the last look."""
        with self._store.transaction() as tx:
            rows = tx.rows(
                "definition_marks", kinds=list(WORKFLOW_KINDS),
                files=[kind.dag_files for kind in WORKFLOW_KINDS.values()],
            )  # fmt: skip
        marks = {(row["kind"], row["part"]): row["mark"] for row in rows}
        changed = [] if self._seen is None else [
            part for part in {**self._seen, **marks} if self._seen.get(part) != marks.get(part)
        ]  # fmt: skip
        if changed:
            request(changed)
        self._seen = marks


def request(parts: Collection[Part]) -> None:
    """Ask the dag processor for the files of these parts; its next loop takes them first."""
    with create_session() as session:
        waiting = select(DagPriorityParsingRequest.bundle_name, DagPriorityParsingRequest.relative_fileloc)
        bundles = session.scalars(select(DagBundleModel.name).where(DagBundleModel.active.is_(True))).all()
        wanted = places(parts, known(session), bundles)
        for bundle, path in sorted(wanted - {(bundle, path) for bundle, path in session.execute(waiting)}):
            session.add(DagPriorityParsingRequest(bundle, path))


def known(session: Session) -> set[Place]:
    """The files that have had DAGs of ours."""
    rows = session.execute(
        select(DagModel.bundle_name, DagModel.relative_fileloc)
        .join(DagTag, DagTag.dag_id == DagModel.dag_id)
        .where(DagTag.name == DAG_TAG)
        .distinct()
    )
    return {(bundle, path) for bundle, path in rows if bundle and path}


def places(parts: Collection[Part], known: Collection[Place], bundles: Collection[str]) -> set[Place]:
    """Where the DAG files of these parts are. Airflow knows a file by its DAGs, and one may have none yet: it
    lies beside the others, or else at the top of a bundle. A file of another name may build any part.
    """
    ours = {file_name((kind, n)) for kind, of in WORKFLOW_KINDS.items() for n in range(of.dag_files)}
    folders = {(bundle, PurePosixPath(path).parent) for bundle, path in known
               if PurePosixPath(path).name in ours}  # fmt: skip
    others = {(bundle, path) for bundle, path in known if PurePosixPath(path).name not in ours}
    if not known:
        folders = {(bundle, PurePosixPath()) for bundle in bundles}
    return others | {(bundle, str(folder / file_name(part))) for bundle, folder in folders for part in parts}


def file_name(part: Part) -> str:
    """What a part's file in dags/ is called."""
    kind, number = part
    return f"{kind}s_{number}.py" if WORKFLOW_KINDS[kind].dag_files > 1 else f"{kind}s.py"
