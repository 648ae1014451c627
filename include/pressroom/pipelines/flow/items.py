"""An item on its way through a flow: what it carries, and how it moves on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.flows import GO_TO, AnyStep, Flow
from pressroom.domain.run import Run
from pressroom.store.database import Tx


class Ending(StrEnum):
    """How an item can end. Those in ``RELEASING`` are taken up again by the next run."""

    DONE = "done"
    AGENT_SKIPPED = "agent_skipped"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    FAILED = "failed"


RELEASING = frozenset({Ending.FAILED})

RESERVED = frozenset({"next", "end", "skip", "start", "open_run", "close_run", "items", "item"}) | frozenset(
    ending.value for ending in Ending
)
"""Names that no step may have: they are ways to go on, endings, or tasks of every flow's DAG."""


@dataclass(frozen=True)
class Packet:
    """What one step added to an item. ``data`` is JSON; ``kind`` as in the table packets."""

    id: int
    step: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class FlowItem:
    """An item at a step. ``source``: its source item as JSON; ``packets``: all before it, oldest first."""

    id: int
    source_id: str
    source: Mapping[str, Any]
    step: int
    packets: Sequence[Packet]

    def variables(self, run_id: int, flow: Flow) -> dict[str, Any]:
        """What conditions and templates of the flow may use."""
        return {
            "item": dict(self.source),
            "packets": [{"step": one.step, "kind": one.kind, "data": dict(one.data)} for one in self.packets],
            "results": self._results(),
            "run": {"id": run_id, "flow": flow.slug},
        }

    def _results(self) -> dict[str, dict[str, Any]]:
        """Step → all that it added, together; an error is forgotten once a later try went well."""
        found: dict[str, dict[str, Any]] = {}
        failed: set[str] = set()
        for one in self.packets:
            if one.step in failed:
                found.pop(one.step)
                failed.discard(one.step)
            found[one.step] = {**found.get(one.step, {}), **one.data}
            if one.kind == "error":
                failed.add(one.step)
        return found

    def last(self, *kinds: str) -> Packet | None:
        """The newest packet of one of these kinds."""
        return next((one for one in reversed(self.packets) if one.kind in kinds), None)


@dataclass(frozen=True)
class Outcome:
    """What a step made of an item. ``packets``: (kind, data); ``to``: next, end, a later step, an Ending."""

    packets: Sequence[tuple[str, Mapping[str, Any]]] = ()
    to: str = "next"
    reason: str = ""
    label: str = field(default="", compare=False)


def target_step(flow: Flow, position: int, to: str) -> int | None:
    """The position that ``to`` leads on to from a step; None: the item is through. Never backwards."""
    if to == "next":
        position += 1
        return position if position < len(flow.steps) else None
    if to == "end":
        return None
    found, _ = flow.step(to)
    if found <= position:
        raise ValueError(f"{to} is not a later step")
    return found


def load_items(tx: Tx, run: Run, position: int, ids: Sequence[int]) -> list[FlowItem]:
    """Those of the items that are at the step: active, or failed there before the run was opened again."""
    return [
        FlowItem(
            row["id"],
            row["source_id"],
            row["source"],
            row["step"],
            [Packet(**packet) for packet in row["packets"]],
        )
        for row in tx.rows("flow_items_at_step", run=run.id, step=position, ids=list(ids))
    ]


def move(tx: Tx, run: Run, item: FlowItem, step: AnyStep, outcome: Outcome) -> None:
    """Append the packets and move the item on, or end it. Raises AlreadyDone when it has moved meanwhile."""
    if not tx.run("flow_item_lock", run=run.id, item=item.id, step=item.step):
        raise AlreadyDone(f"item {item.id} is no longer at {step.name}")
    for kind, data in outcome.packets:
        tx.run("packet_append", item=item.id, step=step.name, kind=kind, data=dict(data))
    if outcome.to in set(Ending):
        end(tx, run, item, Ending(outcome.to), outcome.reason)
        return
    onward = target_step(run.flow, item.step, outcome.to)
    if onward is None:
        end(tx, run, item, Ending.DONE, outcome.reason)
    else:
        tx.run("flow_item_step", run=run.id, item=item.id, step=onward)


def end(tx: Tx, run: Run, item: FlowItem, ending: Ending, reason: str) -> None:
    """The item is through. What it was made of is done with, or free for the next run."""
    tx.run("flow_item_end", run=run.id, item=item.id, status=ending, reason=reason[:2000])
    if ending in RELEASING:
        tx.run("claim_release", flow=run.workflow_id, item=item.id)
    else:
        tx.run("claim_commit", flow=run.workflow_id, item=item.id)


def fail(tx: Tx, run: Run, item: FlowItem, step: AnyStep, error: Exception) -> None:
    """A failure that no further try can mend: the step's ``on_failure`` says what it means for the item."""
    data = {"error": str(error)[:2000], "error_class": type(error).__name__}
    jump = GO_TO.match(step.on_failure)
    if jump is not None:
        to = jump[1]
    else:
        to = {"stop": Ending.FAILED, "skip_item": Ending.SKIPPED, "continue": "next"}[step.on_failure]
    move(tx, run, item, step, Outcome([("error", data)], to, f"{step.name}: {error}"))
