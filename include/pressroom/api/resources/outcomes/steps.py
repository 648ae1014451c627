"""A flow's steps: where items can go from each, and how many are there."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter
from pydantic import BaseModel, Field

from pressroom.api.kit.access import FLOW, Scope, allowed
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.flows import GO_TO, AnyStep, Flow, RouteStep
from pressroom.domain.public_ids import public_id
from pressroom.store.database import Tx

router = APIRouter(tags=["flows"])

END = "end"


class WayView(BaseModel):
    """Where an item can go from a step. ``to``: a step, or end. ``why``: '' for the usual way on."""

    to: str
    why: str


class FlowStepView(BaseModel):
    """A step. ``active``: items that are there; ``parked``: those of them that wait at its gate; ``failed``:
    there in the last run. ``gone``: it is in the flow no more, and items of earlier runs are at it.
    """

    name: str
    type: str
    when: str | None
    ways: list[WayView]
    active: int
    parked: int
    failed: int
    gone: bool


class StepsView(BaseModel):
    """A flow's steps in order. ``respondents``: who may answer its gates on Airflow's page."""

    flow_id: str
    steps: list[FlowStepView]
    respondents: list[str] = Field(description="approvers and owners of the account, and administrators")


@router.get("/flows/{id}/steps")
def get_steps(scope: Scope = allowed(Role.VIEWER, FLOW)) -> StepsView:
    """A flow's steps, the ways between them, and how many items are at each."""
    with scope.transaction() as tx:
        return steps_of(tx, scope.id, flow_of(tx, scope))


def flow_of(tx: Tx, scope: Scope) -> Flow:
    """The flow that the request is about."""
    return scope.workflow(tx).run().flow


def steps_of(tx: Tx, number: int, flow: Flow) -> StepsView:
    """A flow's steps, those last that only items of earlier runs are at."""
    counts = {row.pop("step"): row for row in tx.rows("flow_step_counts", flow=number)}
    nobody = {"active": 0, "parked": 0, "failed": 0}
    shown = [
        FlowStepView(
            name=step.name, type=step.type, when=step.when, ways=list(ways_of(flow, position)), gone=False,
            **counts.pop(step.name, nobody),
        )
        for position, step in enumerate(flow.steps)
    ]  # fmt: skip
    gone = [
        FlowStepView(name=name, type="gone", when=None, ways=[], gone=True, **row)
        for name, row in counts.items()
    ]
    return StepsView(
        flow_id=public_id(public_ids.FLOW, number), steps=[*shown, *gone],
        respondents=[row["name"] for row in tx.rows("gate_respondents")],
    )  # fmt: skip


def ways_of(flow: Flow, position: int) -> Iterator[WayView]:
    """Where an item can go from the step at a position: each place once for each reason."""
    step = flow.steps[position]
    following = flow.steps[position + 1].name if position + 1 < len(flow.steps) else END
    if isinstance(step, RouteStep):
        for rule in step.rules:
            yield WayView(to=_place(rule.to, following), why=rule.when + _skips(rule.to))
        yield WayView(to=_place(step.otherwise, following), why="otherwise" + _skips(step.otherwise))
    else:
        yield WayView(to=following, why="")
    yield from _failing(step, following)


def _failing(step: AnyStep, following: str) -> Iterator[WayView]:
    named = GO_TO.match(step.on_failure)
    if named:
        yield WayView(to=named[1], why="on failure")
    elif step.on_failure == "skip_item":
        yield WayView(to=END, why="on failure: the item is skipped")
    elif step.on_failure == "continue" and isinstance(step, RouteStep):
        yield WayView(to=following, why="on failure")


def _place(to: str, following: str) -> str:
    return {"next": following, "skip": END}.get(to, to)


def _skips(to: str) -> str:
    return ": the item is skipped" if to == "skip" else ""
