"""Insights: what the stage optimize found, and what it changed because of that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from pressroom.api.kit.access import ACCOUNT, INSIGHT, Scope, allowed
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import Problem, invalid, not_found
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import public_id, row_id
from pressroom.pipelines.mission.learning import changes as parameters
from pressroom.store.database import Tx

router = APIRouter(prefix="/insights", tags=["insights"])


class ChangeView(BaseModel):
    """A change of the strategy. ``before`` and ``after``: level → weight.

    ``in_force``: it is the latest one of its platform and factor that was not reverted.
    """

    id: int
    before: dict[str, float]
    after: dict[str, float]
    in_force: bool
    reverted_at: datetime | None
    reverted_by: str | None


class InsightView(BaseModel):
    """What a cycle's optimize found. ``change``: what it changed there; null: nothing."""

    id: str
    mission_id: str
    mission: str = Field(description="the mission's slug")
    cycle: int = Field(description="its number, from 1")
    type: str
    platform: str
    factor: str
    level: str
    finding: str
    confidence: float = Field(description="1 - corrected p-value")
    action: str
    evidence: dict[str, Any]
    created_at: datetime
    change: ChangeView | None


@router.get("")
def list_insights(
    paging: Paged,
    mission: Annotated[
        str | None, Query(max_length=30, description="only this mission's", examples=["msn_12"])
    ] = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[InsightView]:
    """The insights, latest first."""
    number = None
    if mission is not None:
        number = row_id(public_ids.MISSION, mission)
        if number is None:
            raise invalid("query.mission", f"{mission!r} is not a mission's id", remedy="as in msn_12")
    with scope.transaction() as tx:
        rows = tx.rows("insights_page", id=None, mission=number, before=paging.before, limit=paging.fetch)
    return paging.page(rows, _view, lambda row: [row["id"]])


@router.get("/{id}")
def get_insight(scope: Scope = allowed(Role.VIEWER, INSIGHT)) -> InsightView:
    """An insight."""
    with scope.transaction() as tx:
        return _view(_row(tx, scope.id))


@router.post("/{id}/revert")
def revert_insight(scope: Scope = allowed(Role.APPROVER, INSIGHT)) -> InsightView:
    """Revert for good what an insight changed: the next cycle is planned without it."""
    with scope.changing("insight.revert", f"insight:{scope.id}") as tx:
        row = _row(tx, scope.id)
        change = row["change_id"]
        if change is None:
            raise Problem(409, "nothing was changed because of this insight, so there is nothing to revert")
        parameters.revert(tx, row["mission_id"], change, scope.caller.label)
        return _view(_row(tx, scope.id))


def _row(tx: Tx, insight: int) -> dict[str, Any]:
    rows = tx.rows("insights_page", id=insight, mission=None, before=None, limit=1)
    if not rows:
        raise not_found("insight")
    return rows[0]


def _view(row: Mapping[str, Any]) -> InsightView:
    facts = {**row, "id": row["change_id"]}
    return InsightView.model_validate(
        {
            **row,
            "id": public_id(public_ids.INSIGHT, row["id"]),
            "mission_id": public_id(public_ids.MISSION, row["mission_id"]),
            "change": None if row["change_id"] is None else facts,
        }
    )
