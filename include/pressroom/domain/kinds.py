"""The kinds of definition: the one list of them, with what every room calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pressroom.domain.definitions import Account, BrandContext, Site
from pressroom.domain.flows import Flow
from pressroom.domain.missions import Mission

Workflow = Site | Mission | Flow
"""What has a DAG and runs."""

AnyDefinition = Account | BrandContext | Workflow

D_co = TypeVar("D_co", bound=AnyDefinition, covariant=True)


@dataclass(frozen=True)
class Kind(Generic[D_co]):
    """One kind of definition.

    ``word``: how commands, DAGs and the database name it. The statements of the store: ``page`` gives an
    account's rows; of workflows, ``read`` gives those of all accounts, ``save`` writes one, and ``retire``
    gives one the status ``retired``.
    ``dag_files``: the dag files that its workflows are dealt out over. Some 500 definitions a file is what
    Airflow parses in good time. To raise it, add dag files that pass the further numbers; each costs the dag
    processor a third of a second of CPU at every look.
    """

    model: type[D_co]
    word: str
    page: str = ""
    read: str = ""
    save: str = ""
    retire: str = ""
    retired: Literal["disabled", "paused", ""] = ""
    dag_files: int = 0


WORKFLOW_KINDS: dict[str, Kind[Workflow]] = {
    "site": Kind(
        Site, "site", "site_definitions", "read_sites", "save_site", "disable_site", "disabled", dag_files=8
    ),
    "mission": Kind(
        Mission, "mission", "mission_definitions", "read_missions", "save_mission", "pause_mission", "paused",
        dag_files=1,
    ),
    "flow": Kind(
        Flow, "flow", "flow_definitions", "read_flows", "save_flow", "disable_flow", "disabled", dag_files=1
    ),
}  # fmt: skip
"""The kinds of workflow, by their word."""

KINDS: dict[str, Kind[Any]] = {
    "Account": Kind(Account, "account"),
    "BrandContext": Kind(BrandContext, "brand", "brand_definitions"),
    "Site": WORKFLOW_KINDS["site"],
    "Mission": WORKFLOW_KINDS["mission"],
    "Flow": WORKFLOW_KINDS["flow"],
}
"""All kinds, by what ``kind:`` says in YAML, in the order in which they can be applied."""


def word_of(workflow: Workflow) -> str:
    """The word for the workflow's kind: site, mission or flow."""
    return KINDS[workflow.kind].word
