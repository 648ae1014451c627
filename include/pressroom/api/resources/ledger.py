"""The ledger of credits and cents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from pressroom.api.kit.access import ACCOUNT, Scope, allowed
from pressroom.api.kit.items import (
    FlowFilter,
    JobFilter,
    MissionFilter,
    SiteFilter,
    named_workflow,
    number_of,
)
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import invalid, not_found
from pressroom.api.kit.views import Amount
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import JOB, public_id
from pressroom.store.database import Tx

router = APIRouter(prefix="/ledger", tags=["usage"])

EntryKind = Literal["grant", "charge", "cost", "adjustment"]


class WorkflowView(BaseModel):
    """A site, mission or flow."""

    kind: Literal["site", "mission", "flow"]
    slug: str


class EntryView(BaseModel):
    """An entry. ``credits`` is signed: a charge is negative. ``cents``: what a provider took."""

    id: int
    at: datetime
    kind: EntryKind
    credits: Amount
    cents: Amount
    workflow: WorkflowView | None
    job: str | None
    stage: str | None
    item: str | None
    note: str


@router.get("")
def list_entries(
    paging: Paged,
    kind: EntryKind | None = None,
    site: SiteFilter = None,
    mission: MissionFilter = None,
    flow: FlowFilter = None,
    job: JobFilter = None,
    stage: Annotated[str | None, Query(max_length=100)] = None,
    model: Annotated[str | None, Query(max_length=200, description="costs of calls of it")] = None,
    since: Annotated[AwareDatetime | None, Query(description="from then on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="before then")] = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[EntryView]:
    """The entries, newest first."""
    at, number = paging.after(datetime, int) or (None, None)
    with scope.transaction() as tx:
        rows = tx.rows(
            "ledger_page", at=at, id=number, limit=paging.fetch, kind=kind,
            stage=_plain("stage", stage), model=_plain("model", model),
            workflow=_workflow(tx, site, mission, flow), run=_run(tx, job), since=since, until=until,
        )  # fmt: skip
    return paging.page(rows, _view, lambda row: [row["at"], row["id"]])


def _plain(field: str, text: str | None) -> str | None:
    if text is not None and "\0" in text:
        raise invalid(f"query.{field}", "holds a NUL character")
    return text


def _workflow(tx: Tx, site: int | None, mission: str | None, flow: str | None) -> int | None:
    """The number of the one workflow that is asked for."""
    named = named_workflow(site, mission, flow)
    if named is None:
        return None
    kind, number = named
    if tx.value("workflow_known", workflow=number, kind=kind) is None:
        raise not_found(kind)
    return number


def _run(tx: Tx, job: str | None) -> int | None:
    number = number_of(JOB, job)
    if number is not None and tx.value("run_known", run=number) is None:
        raise not_found("job")
    return number


def _view(row: dict[str, Any]) -> EntryView:
    workflow, slug, run = row.pop("workflow"), row.pop("slug"), row.pop("run_id")
    row.pop("workflow_id")
    return EntryView(
        **row,
        workflow=None if workflow is None else WorkflowView(kind=workflow, slug=slug),
        job=None if run is None else public_id(JOB, run),
    )
