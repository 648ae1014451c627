"""A flow's steps as a graph, each item's place in it, and the gates where items wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from pressroom.api.kit.access import FLOW, Scope, allowed
from pressroom.api.resources.flow_items import ItemStatus
from pressroom.api.resources.outcomes.steps import flow_of, steps_of
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST
from pressroom.page.flows.graph import graph
from pressroom.page.kit.pages import rendered
from pressroom.page.workflow_view import dag_run_link, facts

router = APIRouter(prefix="/flows/{id}")

ITEMS = 50
GATES = 100


@router.get("/steps")
def steps(
    request: Request,
    *,
    step: Annotated[str, Query(max_length=40)] = "",
    status: Annotated[ItemStatus | Literal[""], Query()] = "",
    before: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
    scope: Scope = allowed(Role.VIEWER, FLOW),
) -> HTMLResponse:
    """The graph, and the items: all, those at a step, or those of a status."""
    asked = {"step": step, "status": status, "before": before}
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        shown = steps_of(tx, scope.id, flow_of(tx, scope))
        items = tx.rows(
            "flow_items_page", item=None, flow=scope.id, run=None, status=status or None, step=step or None,
            before=before, limit=ITEMS + 1,
        )  # fmt: skip
        parked = tx.rows("gates_page", gate=None, open_only=True, flow=scope.id, before=None, limit=GATES + 1)
        values = facts(scope, row)
    return rendered(
        request, "flow_steps.html.j2", caller=scope.caller, steps=shown, graph=graph(shown.steps),
        items=items[:ITEMS], more=items[ITEMS - 1]["id"] if len(items) > ITEMS else None, asked=status,
        step=step, query={name: value for name, value in asked.items() if value},
        gates=[each | {"link": task_link(each["task"])} for each in parked[:GATES]],
        more_gates=len(parked) > GATES, **values,
    )  # fmt: skip


def task_link(task: Mapping[str, Any]) -> str:
    """The task in Airflow that waits at a gate; '' when none is known."""
    if not {"dag_id", "run_id", "task_id"} <= set(task):
        return ""
    link = f"{dag_run_link(task['dag_id'], task['run_id'])}/tasks/{quote(task['task_id'], safe='')}"
    index = task.get("map_index", -1)
    return link if index < 0 else f"{link}/mapped/{index}"
