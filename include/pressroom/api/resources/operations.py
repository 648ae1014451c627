"""Operations: every workflow of an account with what it does, what waits for people, and what needs care."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel

from pressroom.api.kit.access import ACCOUNT, Scope, allowed
from pressroom.api.kit.views import Amount, workflow_ids
from pressroom.api.resources.jobs.models import WorkflowKind
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import JOB, public_id
from pressroom.engine.operations import Operation, operations

router = APIRouter(prefix="/operations", tags=["operations"])


class AlertView(BaseModel):
    """What needs attention, and what to do about it."""

    level: Literal["warning", "error"]
    text: str
    remedy: str


class OperationView(BaseModel):
    """A workflow at a glance. ``state``: of its live run, else idle or its status. ``waiting``: articles,
    posts or items of a flow that wait for a person. Amounts are of this month (UTC); caps in cents.
    """

    account: str
    kind: WorkflowKind
    site_id: int | None
    mission_id: str | None
    flow_id: str | None
    slug: str
    name: str
    status: str
    state: str
    timezone: str
    next_run_at: datetime | None
    live_run: str | None
    current_stage: str | None
    last_run: str | None
    last_status: str | None
    last_run_at: datetime | None
    waiting: int
    failed_items: int
    month_credits: Amount
    month_cents: Amount
    month_cap: Amount | None
    alerts: list[AlertView]

    @classmethod
    def of(cls, account: str, operation: Operation) -> Self:
        """The view of a workflow of that account."""
        live, last = operation.live, operation.last
        return cls.model_validate({
            **vars(operation), **workflow_ids(operation.kind, operation.id), "account": account,
            "state": operation.state, "live_run": public_id(JOB, live.id) if live else None,
            "current_stage": live.current_stage if live else None,
            "last_run": public_id(JOB, last.id) if last else None,
            "last_status": last.status if last else None, "last_run_at": last.at if last else None,
            "alerts": [vars(alert) for alert in operation.alerts],
        })  # fmt: skip


@router.get("")
def list_operations(scope: Scope = allowed(Role.VIEWER, ACCOUNT)) -> list[OperationView]:
    """Every site, mission and flow of the account, by kind and slug."""
    with scope.transaction() as tx:
        return [OperationView.of(scope.account, each) for each in operations(tx)]
