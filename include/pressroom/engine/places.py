"""An item that a task finds at another step: a person's clear takes it back, what cannot go on is stopped."""

from __future__ import annotations

from dataclasses import dataclass

from pressroom.domain.errors import PermanentError
from pressroom.domain.flows import Flow
from pressroom.domain.run import Run
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control
from pressroom.pipelines.flow.items import Ending
from pressroom.store.database import Tx


@dataclass(frozen=True)
class ItemPlace:
    """Where an item is. ``status`` and ``heard_clears``: as in the table flow_items; ``passed``: whether it
    went through the step that was asked about.
    """

    id: int
    title: str
    step: str
    status: str
    heard_clears: int | None
    passed: bool


class Unplaced(PermanentError):
    """The item cannot go on where it is."""


def place_of(tx: Tx, run: Run, item_id: int, step: str) -> ItemPlace:
    """Where the item is, and whether it passed ``step``. Raises PermanentError when it is of another run."""
    place = tx.maybe("flow_item_place", ItemPlace, run=run.id, item=item_id, step=step)
    if place is None:
        raise PermanentError(f"run {run.id} has no item {item_id}")
    return place


def is_new_clear(place: ItemPlace, clear: int) -> bool:
    """Whether the item has not heard of this clear of its DAG run yet, and a person made it."""
    return place.heard_clears is not None and place.heard_clears < clear


def hear_clear(tx: Tx, run: Run, clear: int, item_id: int | None = None) -> None:
    """Record that this clear takes up the item, or all items of the run, where they are."""
    tx.run("flow_items_hear_clear", run=run.id, item=item_id, clear=clear)


def take_back(tx: Tx, run: Run, place: ItemPlace, step: str, clear: int) -> None:
    """Set an item to a step that it went through or failed at before, because its task was cleared.
    ``clear``: how often the DAG run was cleared.

    Answers at that step and after it are void, so that what is made again is approved again, and so are
    failures. Nothing happens when the item has heard of this clear or was never there, or when another run
    has taken its source up.
    """
    if not (place.passed or place.step == step):
        return
    if not tx.run("flow_item_take_back", run=run.id, item=place.id, step=step, clear=clear):
        return
    steps = _from(run.flow, step)
    tx.run("gates_reset", item=place.id, steps=steps)
    for name in steps:
        tx.run("clear_item_failure", workflow=run.workflow_id, stage=name, item=str(place.id))
    control.event(
        tx, run.id, "item_taken_back", f"{place.title}: goes through {step} again, and what follows",
        stage=step, data={"item": str(place.id)},
    )  # fmt: skip


def stop(tx: Tx, run: Run, place: ItemPlace, why: str) -> None:
    """End an item that is in work, as failed, and list it with the failures. An ended item stays as it is."""
    if place.status != "active":
        return
    error = Unplaced(why)
    record_failure(tx, run, place.id, place.step, error)
    tx.run("flow_item_end", run=run.id, item=place.id, status=Ending.FAILED, reason=why[:2000], refused=False)
    tx.run("claim_release", flow=run.workflow_id, item=place.id)
    tx.run("finish_batch", run=run.id, stage=place.step, batches=0, partial=None)


def record_failure(tx: Tx, run: Run, item_id: int, step: str, error: Exception) -> None:
    """List an item's failure at a step, and tell the run's log."""
    tx.run("stage_begun", run=run.id, stage=step)
    scope = CostScope(run.account_id, run.workflow_id, run.id, step, str(item_id))
    control.record_item_failure(tx, scope, error)


def _from(flow: Flow, step: str) -> list[str]:
    position, _ = flow.step(step)
    return [later.name for later in flow.steps[position:]]
