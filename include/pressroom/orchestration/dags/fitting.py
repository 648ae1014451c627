"""What Airflow's tables hold of a DAG.

The DAGs of a DAG file are written in one transaction, so a value that does not fit takes all of them down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pendulum
from airflow.models.asset import AssetModel
from airflow.models.dag import DagModel, DagTag
from airflow.sdk import DAG, Asset
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.timetables.base import TimeRestriction

from pressroom.domain.text import storable, to_json

MOST_BYTES = 5_000_000
"""Of one DAG in Airflow's table of serialized DAGs."""


class WorkflowCannotBeBuilt(Exception):
    """A workflow whose definition makes no DAG that Airflow can hold."""


def refuse_unfit(dag: DAG) -> None:
    """Raise WorkflowCannotBeBuilt for a DAG whose texts do not fit Airflow's columns.

    Raises Airflow's own errors for one whose schedule fails.

    Cheap enough for every parse: it does not serialize.
    """
    for what, why in unfit(dag):
        raise WorkflowCannotBeBuilt(f"{what} {why}")


def unfit(dag: DAG) -> Iterator[tuple[str, str]]:
    """(what does not fit, why), by Airflow's own columns and timetable."""
    timetable = coerce_to_core_timetable(dag.timetable)
    timetable.validate()
    earliest = None if dag.start_date is None else pendulum.instance(dag.start_date)
    restriction = TimeRestriction(earliest=earliest, latest=None, catchup=bool(dag.catchup))
    timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    texts: list[tuple[str, Any, str]] = [
        ("its id", DagModel.__table__.c.dag_id, dag.dag_id),
        ("its name", DagModel.__table__.c.dag_display_name, dag.dag_display_name),
        ("its description", DagModel.__table__.c.description, dag.description or ""),
        ("the account", DagModel.__table__.c.owners, dag.owner),
        (
            "the schedule's description in words",
            DagModel.__table__.c.timetable_description,
            timetable.description or "",
        ),
        ("the schedule", DagModel.__table__.c.timetable_summary, timetable.summary or ""),
        *(("its tag", DagTag.__table__.c.name, tag) for tag in dag.tags),
    ]
    for name, uri in _assets(dag):
        texts += [
            ("the asset", AssetModel.__table__.c.uri, uri),
            ("the asset", AssetModel.__table__.c.name, name),
        ]
        if uri != name:
            # Airflow has one active asset for a URI: of two names, one workflow's would switch off another's.
            yield "the asset", f"must be written as {uri!r}"
    for what, column, text in texts:
        most = getattr(column.type, "length", None)
        if most is not None and len(text) > most:
            yield what, f"has {len(text)} characters, and Airflow's {column} holds {most}"
        if storable(text) != text:
            yield what, "has a character that no text can hold"


def serialized(dag: DAG) -> LazyDeserializedDAG:
    """The DAG as the dag processor stores it, and as the scheduler reads it again.

    Raises WorkflowCannotBeBuilt when that cannot be stored or scheduled, Airflow's errors when it cannot be
    serialized.
    """
    dag.validate()
    dag.check_cycle()
    lazy = LazyDeserializedDAG(data=DagSerialization.to_dict(dag))
    size = len(to_json(lazy.data).encode())
    if size > MOST_BYTES:
        raise WorkflowCannotBeBuilt(f"its DAG has {size} bytes, and {MOST_BYTES} are the most")
    lazy.next_dagrun_info(last_automated_run_info=None)
    return lazy


def _assets(dag: DAG) -> Iterator[tuple[str, str]]:
    """(name, URI) of the assets that the DAG waits for or gives events of."""
    for task in dag.tasks:
        for outlet in getattr(task, "outlets", None) or ():
            if isinstance(outlet, Asset):
                yield outlet.name, outlet.uri
    for _, asset in coerce_to_core_timetable(dag.timetable).asset_condition.iter_assets():
        yield asset.name, asset.uri
