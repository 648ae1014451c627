"""Items that failed for good, and how they are tried again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from pressroom.api.kit.access import ACCOUNT, FLOW, MISSION, SITE, Scope, allowed
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import invalid
from pressroom.api.resources.jobs.models import WorkflowKind
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import JOB, LARGEST, public_id
from pressroom.domain.text import did_you_mean
from pressroom.engine.runs import reports
from pressroom.pipelines.registry import parts_of, pipeline_of

router = APIRouter(tags=["failures"])


class FailureView(BaseModel):
    """An item that failed. After three times it is passed over until it is forgiven."""

    kind: WorkflowKind
    workflow: str
    job_id: str
    stage: str
    item: str
    attempts: int
    error_class: str
    error: str
    at: datetime


class ForgiveBody(Body):
    """Which failures. ``stage`` null: those of all stages."""

    stage: str | None = Field(default=None, min_length=1, max_length=100)


class Forgiven(BaseModel):
    """How many items wait again, for the next run."""

    items: int


@router.get("/failures")
def list_failures(
    paging: Paged,
    workflow: Annotated[
        int | None, Query(ge=1, le=LARGEST, description="only of the site, mission or flow of this number")
    ] = None,
    stage: Annotated[str | None, Query(max_length=100)] = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[FailureView]:
    """The account's failed items, latest first."""
    at, last_workflow, last_stage, last_item = paging.after(datetime, int, str, str) or [None] * 4
    with scope.transaction() as tx:
        rows = tx.rows(
            "failures_page", workflow=workflow, stage=stage, limit=paging.fetch, at=at,
            last_workflow=last_workflow, last_stage=last_stage, last_item=last_item,
        )  # fmt: skip
    return paging.page(rows, _view, lambda row: [row["at"], row["workflow_id"], row["stage"], row["item"]])


@router.post("/sites/{id}/retry-failed")
def forgive_of_site(body: ForgiveBody | None = None, scope: Scope = allowed(Role.EDITOR, SITE)) -> Forgiven:
    """Let the site's failed items wait again, for the next run."""
    return _forgive(scope, body)


@router.post("/missions/{id}/retry-failed")
def forgive_of_mission(
    body: ForgiveBody | None = None, scope: Scope = allowed(Role.EDITOR, MISSION)
) -> Forgiven:
    """Let the mission's failed items wait again, for the next run."""
    return _forgive(scope, body)


@router.post("/flows/{id}/retry-failed")
def forgive_of_flow(body: ForgiveBody | None = None, scope: Scope = allowed(Role.EDITOR, FLOW)) -> Forgiven:
    """Let the flow's failed items wait again, for the next run."""
    return _forgive(scope, body)


def _forgive(scope: Scope, body: ForgiveBody | None) -> Forgiven:
    stage = body.stage if body else None
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        parts = [pipeline_of(row.workflow, part) for part in parts_of(row.workflow)]
        names = [each.name for pipeline in parts for each in pipeline.stages]
        if stage is not None and stage not in names:
            raise invalid("body.stage", f"there is no stage {stage!r}{did_you_mean(stage, names)}")
        forgiven = reports.forget_failures(tx, row.workflow_id, stage)
        failed = {"before": {"failed_items": forgiven}, "after": {"failed_items": 0}}
        scope.note(tx, "failures.forgive", row.name, stage=stage, **failed)
        return Forgiven(items=forgiven)


def _view(row: dict[str, Any]) -> FailureView:
    return FailureView(**row | {"job_id": public_id(JOB, row["run_id"]), "workflow": row["slug"]})
