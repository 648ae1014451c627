"""The check of a workflow's set-up: everything that its runs will need."""

from __future__ import annotations

import hashlib
import threading
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from pressroom.api.kit.access import FLOW, MISSION, SITE, Scope, allowed
from pressroom.api.kit.problems import Problem, not_found
from pressroom.domain.definitions import Role, Site
from pressroom.domain.kinds import Workflow
from pressroom.engine.runs.verifying import CheckResult, ModelFacts, needs_of
from pressroom.pipelines.needs import EMBEDDINGS, IMAGES, TEXT, Need
from pressroom.pipelines.registry import parts_of, pipeline_of
from pressroom.store.workflows import WorkflowRow

router = APIRouter(tags=["checks"])

AT_ONCE = 8
"""Checks at work in one server. Each waits for services in a thread that Airflow's own pages need, too."""
_free = threading.BoundedSemaphore(AT_ONCE)


class FindingView(BaseModel):
    """One problem or warning."""

    where: str = Field(description="the stages, steps or targets that need it")
    text: str = Field(description="what is wrong, and the remedy")

    @classmethod
    def of(cls, finding: CheckResult) -> FindingView:
        """The view of a check's result."""
        return cls(where=finding.where, text=finding.text)


class UsedModelView(BaseModel):
    """A model that the runs call."""

    where: str = Field(description="text, images or embeddings")
    connection: str
    model: str
    price: str = Field(description="as in '100 in, 500 out (cents a million tokens)'; free, or unknown")
    asked: str = Field(description="the ways in which its server is asked; '' before its first call")
    learned: str = Field(description="what was learned of its server; '' where there is nothing to learn")

    @classmethod
    def of(cls, where: str, facts: ModelFacts) -> UsedModelView:
        """The view of what is known of a model."""
        return cls(where=where, **vars(facts))


class CheckView(BaseModel):
    """What a check of the set-up found. ``problems`` and ``warnings`` are empty when all is well."""

    problems: list[FindingView] = Field(description="a run would fail on these, and is refused")
    warnings: list[FindingView] = Field(description="what a run goes on without, or cannot be verified now")
    models: list[UsedModelView] = Field(
        description="the models that the runs call: what each costs, and what was learned of its server"
    )


class NeedView(BaseModel):
    """One thing that the runs need. ``connection``: of Airflow, null where it needs none."""

    id: str
    title: str
    connection: str | None
    stages: list[str]


NeedQuery = Annotated[
    str | None, Query(max_length=40, description="only this one, by the id that GET needs has")
]


@router.get("/sites/{id}/needs")
def needs_of_site(scope: Scope = allowed(Role.VIEWER, SITE)) -> list[NeedView]:
    """What the site's runs and its targets need of the outside."""
    return needs_of_workflow(scope)


@router.get("/missions/{id}/needs")
def needs_of_mission(scope: Scope = allowed(Role.VIEWER, MISSION)) -> list[NeedView]:
    """What the mission's runs need of the outside."""
    return needs_of_workflow(scope)


@router.get("/flows/{id}/needs")
def needs_of_flow(scope: Scope = allowed(Role.VIEWER, FLOW)) -> list[NeedView]:
    """What the flow's runs need of the outside."""
    return needs_of_workflow(scope)


@router.post("/sites/{id}/check")
def check_site(need: NeedQuery = None, scope: Scope = allowed(Role.EDITOR, SITE)) -> CheckView:
    """Verify what the site's runs and its targets need, with requests that cost and change nothing."""
    return checked(scope, need)


@router.post("/missions/{id}/check")
def check_mission(need: NeedQuery = None, scope: Scope = allowed(Role.EDITOR, MISSION)) -> CheckView:
    """Verify what the mission's runs need, with requests that cost and change nothing."""
    return checked(scope, need)


@router.post("/flows/{id}/check")
def check_flow(need: NeedQuery = None, scope: Scope = allowed(Role.EDITOR, FLOW)) -> CheckView:
    """Verify what the flow's runs need, with requests that cost and change nothing."""
    return checked(scope, need)


def needs_of_workflow(scope: Scope) -> list[NeedView]:
    """What the runs need, each thing once, in the order of the stages."""
    with scope.transaction() as tx:
        row = scope.workflow(tx)
    return [
        NeedView(id=_id_of(need), title=need.title, connection=_connection(row.workflow, need), stages=stages)
        for need, stages in _needs(row)
    ]


def _needs(row: WorkflowRow) -> list[tuple[Need, list[str]]]:
    known: dict[str, tuple[Need, list[str]]] = {}
    for part in parts_of(row.workflow):
        for need, stages in needs_of(pipeline_of(row.workflow, part), row.run()):
            first, where = known.get(need.name, (need, []))
            known[need.name] = (first, [*where, *(stage for stage in stages if stage not in where)])
    return list(known.values())


def _id_of(need: Need) -> str:
    """A short name: that of a target has its settings in it."""
    return hashlib.sha256(need.name.encode()).hexdigest()[:16]


def _connection(workflow: Workflow, need: Need) -> str | None:
    if need.name == TEXT.name:
        return workflow.text.connection
    if need.name == IMAGES.name:
        return None if workflow.images.provider == "card" else workflow.images.connection
    if need.name == EMBEDDINGS.name and isinstance(workflow, Site):
        return workflow.embeddings.connection
    return need.connection or None


def checked(scope: Scope, need: str | None = None) -> CheckView:
    """Verify what the runs need, or one thing of it. Raises Problem 404 when they do not need that, 429 when
    too much is being checked.
    """
    with scope.transaction() as tx:
        row = scope.workflow(tx)
    only = None if need is None else [each.name for each, _ in _needs(row) if _id_of(each) == need]
    if only == []:
        raise not_found("need")
    if not _free.acquire(blocking=False):
        raise Problem(
            429, f"{AT_ONCE} set-ups are being checked at the moment",
            remedy="wait half a minute", headers={"Retry-After": "30"},
        )  # fmt: skip
    try:
        findings = scope.plane.check(row, parts_of(row.workflow), only)
    finally:
        _free.release()
    wanting = [finding for finding in findings if finding.model is None]
    return CheckView(
        problems=[FindingView.of(finding) for finding in wanting if finding.problem],
        warnings=[FindingView.of(finding) for finding in wanting if not finding.problem],
        models=[UsedModelView.of(finding.where, finding.model) for finding in findings if finding.model],
    )
