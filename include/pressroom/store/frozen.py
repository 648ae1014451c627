"""What a run goes by: the definitions as they were when it was opened, whatever is applied meanwhile.

Of today's definitions, these count for a run that is on:

* status: a workflow that was disabled or paused starts no run, and its runs go on;
* caps and a mission's budget: where today's are stricter;
* the account's members.

What is no part of a definition is read when it is needed: connections, Airflow variables, pools, prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel

from pressroom.domain.definitions import Account, BrandContext
from pressroom.domain.errors import DefinitionError
from pressroom.domain.kinds import KINDS, Workflow
from pressroom.domain.missions import Mission
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow, parse

M = TypeVar("M", bound=BaseModel)


def row_of(tx: Tx, today: WorkflowRow, run_id: int) -> WorkflowRow:
    """The workflow as the run goes by it. Today's, when nothing was kept with the run.

    Raises DefinitionError when this version does not understand what was kept.
    """
    kept: Mapping[str, Any] | None = tx.value("run_definition", run=run_id)
    return today if kept is None else _frozen(today, kept, run_id)


def shown_row(tx: Tx, today: WorkflowRow, run_id: int) -> WorkflowRow:
    """The same, to show a run by: today's also for a run that another version of Pressroom opened."""
    try:
        return row_of(tx, today, run_id)
    except DefinitionError:
        return today


def _frozen(today: WorkflowRow, kept: Mapping[str, Any], run_id: int) -> WorkflowRow:
    brand = kept["brand"]
    slug = today.workflow.slug
    try:
        account = parse(Account, kept["account"], today.account.slug)
        workflow = parse(KINDS[today.workflow.kind].model, kept["workflow"], slug)
        brand = None if brand is None else parse(BrandContext, brand, slug)
    except DefinitionError as error:
        remedy = f"run {run_id} was opened by another version of Pressroom: clear it from open_run on"
        raise DefinitionError([*error.problems, remedy]) from None
    members_and_caps = {
        "members": today.account.members,
        "caps": _stricter(account.caps, today.account.caps),
    }
    return replace(
        today,
        account=account.model_copy(update=members_and_caps),
        workflow=_with_todays_bounds(workflow, today.workflow),
        brand=brand,
    )


def _with_todays_bounds(workflow: Workflow, today: Workflow) -> Workflow:
    bounds: dict[str, Any] = {"status": today.status, "caps": _stricter(workflow.caps, today.caps)}
    if isinstance(workflow, Mission) and isinstance(today, Mission):
        budgets = [
            cents
            for cents in (workflow.constraints.budget_cents, today.constraints.budget_cents)
            if cents is not None
        ]
        budget = {"budget_cents": min(budgets, default=None)}
        bounds["constraints"] = workflow.constraints.model_copy(update=budget)
    return workflow.model_copy(update=bounds)


def _stricter(then: M, today: M) -> M:
    """The lower of each pair of caps; None is no cap."""
    caps = {}
    for name in type(then).model_fields:
        both = [cap for cap in (getattr(then, name), getattr(today, name)) if cap is not None]
        caps[name] = min(both, default=None)
    return then.model_copy(update=caps)
