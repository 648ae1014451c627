"""One execution of a workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pressroom.domain.definitions import Account, BrandContext, Site
from pressroom.domain.errors import PermanentError
from pressroom.domain.flows import Flow
from pressroom.domain.grants.access import NOTHING, Access
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.domain.text import did_you_mean

PAUSED_DAG = "the DAG {} is paused in Airflow: its runs wait, and keep the lock, until it is unpaused there"
"""What people are told of a run that cannot go on."""

CAP, ARTICLES, ITEM = "cap_cents", "articles", "item"


def known_params(workflow: Workflow, part: str = "") -> tuple[str, ...]:
    """The parameters of a workflow's runs: the keys of Airflow's ``conf``. A part of a workflow has none."""
    if part:
        return ()
    return {"Site": (ARTICLES, CAP), "Mission": (CAP,), "Flow": (ITEM, CAP)}[workflow.kind]


def check_params(workflow: Workflow, params: Mapping[str, Any], part: str = "") -> None:
    """Raises PermanentError for a parameter that runs do not have: a misspelt limit would be no limit."""
    known = known_params(workflow, part)
    for name in params:
        if name not in known:
            hint = did_you_mean(name, known) or ". It takes none: leave it out"
            raise PermanentError(f"a run of {workflow.slug} has no parameter {name!r}{hint}")


@dataclass(frozen=True)
class OfWorkflow:
    """Base of types with a workflow. ``site``, ``mission`` and ``flow`` give it its type."""

    account: Account
    workflow: Workflow
    brand: BrandContext | None

    @property
    def site(self) -> Site:
        """The workflow of a site's run. Raises TypeError when it is of another kind."""
        if not isinstance(self.workflow, Site):
            raise TypeError(f"{self.workflow.kind} {self.workflow.slug} is no site")
        return self.workflow

    @property
    def mission(self) -> Mission:
        """The workflow of a mission's run. Raises TypeError when it is of another kind."""
        if not isinstance(self.workflow, Mission):
            raise TypeError(f"{self.workflow.kind} {self.workflow.slug} is no mission")
        return self.workflow

    @property
    def flow(self) -> Flow:
        """The workflow of a flow's run. Raises TypeError when it is of another kind."""
        if not isinstance(self.workflow, Flow):
            raise TypeError(f"{self.workflow.kind} {self.workflow.slug} is no flow")
        return self.workflow


@dataclass(frozen=True)
class Run(OfWorkflow):
    """One execution of a workflow's pipeline, with its definitions.

    ``access``: what the account may name today.
    """

    id: int
    account_id: int
    workflow_id: int
    params: Mapping[str, Any] = field(default_factory=dict)
    access: Access = NOTHING

    @property
    def site_id(self) -> int:
        """The workflow's id, as ``site`` in the statements of sites."""
        return self.workflow_id

    @property
    def mission_id(self) -> int:
        """The workflow's id, as ``mission`` in the statements of missions."""
        return self.workflow_id

    @property
    def articles(self) -> int | None:
        """The most articles that this run writes. None: all that wait."""
        asked: int | None = self.params.get(ARTICLES)
        return asked or self.site.automation.articles_per_run
