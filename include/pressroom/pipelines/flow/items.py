"""An item of a flow: its packets, and how it moves from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pressroom.domain.errors import (
    AlreadyDone,
    ApprovalVoid,
    BudgetError,
    ConfigurationError,
    PastDate,
    RunConflict,
    TransientError,
    words_of,
)
from pressroom.domain.flows import GO_TO, AnyStep, Flow
from pressroom.domain.packets import KnownIds
from pressroom.domain.run import Run
from pressroom.domain.text import storable
from pressroom.store.database import Tx


class Ending(StrEnum):
    """How an item can end. After an ending in ``RELEASING`` the next run may process the item again, unless
    it was refused ``TRIES`` times.
    """

    DONE = "done"
    AGENT_SKIPPED = "agent_skipped"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    FAILED = "failed"


RELEASING = frozenset({Ending.FAILED})

TRIES = 3
"""So often an item is taken up that is refused for good. After that it waits until somebody asks for it."""

OTHERS = (TransientError, ConfigurationError, ApprovalVoid, BudgetError, RunConflict, PastDate)
"""Errors of the moment, the set-up, an approval or a run: with the next run they may be gone. All others are
the item's own.
"""

RESERVED = frozenset({"next", "end", "skip", "start", "open_run", "close_run", "items", "item"}) | frozenset(
    ending.value for ending in Ending
)
"""Names that a step must not have: next steps, endings, and tasks of every flow's DAG."""


@dataclass(frozen=True)
class Packet:
    """What a step added to an item. ``data``: JSON. ``kind``: as in the table packets."""

    id: int
    step: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class FlowItem:
    """An item at a step, by its name. ``source``: its source item as JSON. ``packets``: of earlier steps,
    oldest first. ``approved``: gate that let it through → the flow's steps at that time, as JSON. ``feed``:
    what it came from, within which its source id is unique.
    """

    id: int
    source_id: str
    source: Mapping[str, Any]
    step: str
    packets: Sequence[Packet]
    approved: Mapping[str, Any] = field(default_factory=dict)
    feed: str = ""

    def variables(self, run_id: int, flow: Flow) -> dict[str, Any]:
        """The variables of the flow's conditions and templates."""
        return {
            "item": dict(self.source),
            "packets": [
                {"step": packet.step, "kind": packet.kind, "data": dict(packet.data)}
                for packet in self.packets
            ],
            "results": self._results(),
            "run": {"id": run_id, "flow": flow.slug},
        }

    def _results(self) -> dict[str, dict[str, Any]]:
        """Step → its packets' data, merged. An error is dropped once a later try succeeded."""
        results: dict[str, dict[str, Any]] = {}
        failed: set[str] = set()
        for packet in self.packets:
            if packet.step in failed:
                results.pop(packet.step)
                failed.discard(packet.step)
            results[packet.step] = {**results.get(packet.step, {}), **packet.data}
            if packet.kind == "error":
                failed.add(packet.step)
        return results

    def last(self, *kinds: str) -> Packet | None:
        """The newest packet of one of these kinds."""
        return next((packet for packet in reversed(self.packets) if packet.kind in kinds), None)


@dataclass(frozen=True)
class Outcome:
    """The result of a step. ``packets``: (kind, data). ``to``: next, end, a later step, or an Ending.

    ``refused``: it failed for a reason of its own, which the next run will find again.
    """

    packets: Sequence[tuple[str, Mapping[str, Any]]] = ()
    to: str = "next"
    reason: str = ""
    label: str = field(default="", compare=False)
    refused: bool = False


def target_step(flow: Flow, step: str, to: str) -> str | None:
    """The step that ``to`` means at ``step``; None when the item ends. Raises ValueError for earlier ones."""
    position, _ = flow.step(step)
    if to == "next":
        return flow.steps[position + 1].name if position + 1 < len(flow.steps) else None
    if to == "end":
        return None
    later, _ = flow.step(to)
    if later <= position:
        raise ValueError(f"{to} is not a later step")
    return to


def known_of(tx: Tx, flow_id: int, flow: Flow, ids: Sequence[str]) -> KnownIds:
    """What the flow knows of these ids of its feed."""
    facts = {"flow": flow_id, "feed": flow.feed_name}
    return KnownIds.of(
        tx.values("flow_claimed", **facts, ids=list(ids)),
        tx.values("flow_refused", **facts, ids=list(ids)),
        next(iter(tx.values("flow_feed_old", **facts)), None),
    )


def load_items(tx: Tx, run: Run, step: str, ids: Sequence[int]) -> list[FlowItem]:
    """The items that are at the step: active, or failed there before the run was opened again."""
    return [
        FlowItem(
            row["id"],
            row["source_id"],
            row["source"],
            row["step"],
            [Packet(**packet) for packet in row["packets"]],
            row["approved"],
            row["feed"],
        )
        for row in tx.rows("flow_items_at_step", run=run.id, step=step, ids=list(ids))
    ]


def move(tx: Tx, run: Run, item: FlowItem, step: AnyStep, outcome: Outcome) -> None:
    """Append the packets, and move the item or end it. Raises AlreadyDone when it has moved meanwhile.

    A step that an item went through leaves a packet, be it an empty one.
    """
    if not tx.run("flow_item_lock", run=run.id, item=item.id, step=item.step):
        raise AlreadyDone(f"item {item.id} is no longer at {step.name}")
    for kind, data in outcome.packets or [("note", {})]:
        tx.run("packet_append", item=item.id, step=step.name, kind=kind, data=dict(data))
    if outcome.to in set(Ending):
        end(tx, run, item, Ending(outcome.to), outcome.reason, refused=outcome.refused)
        return
    onward = target_step(run.flow, item.step, outcome.to)
    if onward is None:
        end(tx, run, item, Ending.DONE, outcome.reason)
    else:
        tx.run("flow_item_step", run=run.id, item=item.id, step=onward)


def end(tx: Tx, run: Run, item: FlowItem, ending: Ending, reason: str, *, refused: bool = False) -> None:
    """End the item. Its source id stays claimed, or is released for the next run: but not when it was refused
    for the ``TRIES``th time.
    """
    tries = 0
    if refused:
        facts = {"flow": run.workflow_id, "feed": item.feed, "source_id": item.source_id, "item": item.id}
        tries = 1 + tx.value("flow_refusals", **facts)
        if tries >= TRIES:
            reason = (
                f"{reason[:1800]} (given up after {tries} tries: `pressroom retry-failed` has it tried again)"
            )
    tx.run(
        "flow_item_end", run=run.id, item=item.id, status=ending, reason=storable(reason[:2000]),
        refused=refused,
    )  # fmt: skip
    if ending in RELEASING and tries < TRIES:
        tx.run("claim_release", flow=run.workflow_id, item=item.id)
    else:
        tx.run("claim_commit", flow=run.workflow_id, item=item.id)


def fail(tx: Tx, run: Run, item: FlowItem, step: AnyStep, error: Exception) -> None:
    """Apply the step's ``on_failure`` to the item after a final failure.

    An item whose approval is void fails in any case: the next run takes it up, and asks again.
    """
    words = words_of(error)
    data = {"error": words[:2000], "error_class": type(error).__name__}
    jump = GO_TO.match(step.on_failure)
    if isinstance(error, ApprovalVoid):
        to = Ending.FAILED.value
    elif jump is not None:
        to = jump[1]
    else:
        to = {"stop": Ending.FAILED, "skip_item": Ending.SKIPPED, "continue": "next"}[step.on_failure]
    refused = to == Ending.FAILED and not isinstance(error, OTHERS)
    move(tx, run, item, step, Outcome([("error", data)], to, f"{step.name}: {words}", refused=refused))
