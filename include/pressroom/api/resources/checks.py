"""The check of a workflow's set-up: everything that its runs will need."""

from __future__ import annotations

import threading

from fastapi import APIRouter
from pydantic import BaseModel, Field

from pressroom.api.kit.access import FLOW, MISSION, SITE, Scope, allowed
from pressroom.api.kit.problems import Problem
from pressroom.domain.definitions import Role
from pressroom.engine.runs.verifying import CheckResult, ModelFacts
from pressroom.pipelines.registry import parts_of

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


@router.post("/sites/{id}/check")
def check_site(scope: Scope = allowed(Role.EDITOR, SITE)) -> CheckView:
    """Verify what the site's runs and its targets need, with requests that cost and change nothing."""
    return _checked(scope)


@router.post("/missions/{id}/check")
def check_mission(scope: Scope = allowed(Role.EDITOR, MISSION)) -> CheckView:
    """Verify what the mission's runs need, with requests that cost and change nothing."""
    return _checked(scope)


@router.post("/flows/{id}/check")
def check_flow(scope: Scope = allowed(Role.EDITOR, FLOW)) -> CheckView:
    """Verify what the flow's runs need, with requests that cost and change nothing."""
    return _checked(scope)


def _checked(scope: Scope) -> CheckView:
    with scope.transaction() as tx:
        row = scope.workflow(tx)
    if not _free.acquire(blocking=False):
        raise Problem(
            429, f"{AT_ONCE} set-ups are being checked at the moment",
            remedy="wait half a minute", headers={"Retry-After": "30"},
        )  # fmt: skip
    try:
        findings = scope.plane.check(row, parts_of(row.workflow))
    finally:
        _free.release()
    wanting = [finding for finding in findings if finding.model is None]
    return CheckView(
        problems=[FindingView.of(finding) for finding in wanting if finding.problem],
        warnings=[FindingView.of(finding) for finding in wanting if not finding.problem],
        models=[UsedModelView.of(finding.where, finding.model) for finding in findings if finding.model],
    )
