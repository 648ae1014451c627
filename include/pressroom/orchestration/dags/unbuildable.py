"""What stands in a DAG file for a workflow that cannot be built: an import error of its own.

Airflow records one import error for a file, and then gives up all DAGs of the file. But what cannot be
serialized is recorded under the DAG's own location, and the file's other DAGs stay. So the stand-in names the
workflow in its location, and refuses to be serialized.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from pressroom.domain.markup.cutting import shorten
from pressroom.orchestration.dags.fitting import WorkflowCannotBeBuilt

LONGEST_REASON = 2000


class UnbuildableDag(DAG):
    """A DAG that is in no list but that of the import errors."""

    reason = ""
    name = ""
    _file: str | None = None

    @property
    def relative_fileloc(self) -> str | None:
        """The DAG file, and which of its workflows."""
        return f"{self._file}: {self.name}"

    @relative_fileloc.setter
    def relative_fileloc(self, file: str | None) -> None:
        self._file = file

    def get_serialized_fields(self) -> Any:  # type: ignore[override]
        """Asked for by the serializer, first of all. Raises WorkflowCannotBeBuilt."""
        raise WorkflowCannotBeBuilt(self.reason) from None


def unbuildable(dag_id: str, *, kind: str, account: str, slug: str, why: str) -> UnbuildableDag:
    """The stand-in of a workflow. ``why``: what is wrong with it."""
    dag = UnbuildableDag(dag_id, schedule=None, auto_register=False)
    dag.name = f"{kind} {slug} of {account}"
    dag.reason = (
        f"the {kind} {slug} of the account {account} has no DAG: {shorten(why, LONGEST_REASON)}. Correct its"
        " definition; all other workflows go on."
    )
    return dag
