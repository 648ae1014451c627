"""Gates: where an item waits for an answer or for the time.

A gate's link contains a random token, of which only the hash is stored. It is for one gate, works once, and
expires with the gate. The database's clock decides whether a gate is due.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pressroom.domain.errors import AlreadyDone, PermanentError, PressroomError, RunConflict
from pressroom.domain.flows import GateStep
from pressroom.domain.outside import bounded_fields
from pressroom.domain.public_ids import GATE, public_id
from pressroom.domain.run import Run
from pressroom.domain.text import storable
from pressroom.engine import audit, places
from pressroom.engine.runs import control
from pressroom.pipelines.flow import items
from pressroom.pipelines.flow.items import Ending, FlowItem, Outcome
from pressroom.store.database import Tx

APPROVE, REJECT, FAIL = "approve", "reject", "fail"
DECISIONS = (APPROVE, REJECT)
EDIT = "text"
"""The field of an answer that replaces the model's text."""
ANSWER_CHARS = 100_000
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Gate:
    """A stored gate. ``task``: the waiting task instance. ``due``: its time was over when it was read."""

    id: int
    item_id: int
    step: str
    by: str
    subject: str
    due_at: datetime
    on_timeout: str
    outcome: str | None
    answer: Mapping[str, Any] | None
    answered_by: str | None
    task: Mapping[str, Any]
    due: bool


class NoSuchGate(PermanentError):
    """The link leads to no gate: it is invalid, or a newer link replaced it."""


def open_gate(
    tx: Tx, run: Run, item_id: int, step: GateStep, subject: str, task: Mapping[str, Any]
) -> str | None:
    """Open the item's gate at a step, or open it again with a new link. Returns the link's secret part.

    None when the gate is answered already: the answer stays. A failed item is active again. Raises
    AlreadyDone when the item is no longer there.
    """
    token = secrets.token_urlsafe(32)
    gate_id = tx.value(
        "gate_open", item=item_id, step=step.name, by=step.by, subject=subject, token_hash=_hash(token),
        task=dict(task), timeout=timedelta(hours=step.timeout_hours), on_timeout=step.on_timeout,
    )  # fmt: skip
    if not tx.run("flow_item_lock", run=run.id, item=item_id, step=step.name):
        raise AlreadyDone(f"item {item_id} is no longer at {step.name}")
    return None if gate_id is None else f"{gate_id}/{token}"


def gate_of(tx: Tx, item_id: int, step: str) -> Gate:
    """The item's gate at a step, with its outcome if its time is over. Raises NoSuchGate."""
    timed_out = tx.run("gates_timed_out", item=item_id, step=step)
    gate = _read(tx, item_id, step)
    if timed_out:
        _note(tx, gate.id, "time", str(gate.outcome))
    return gate


def _read(tx: Tx, item_id: int, step: str) -> Gate:
    gate = tx.maybe("gate_of_item", Gate, item=item_id, step=step)
    if gate is None:
        raise NoSuchGate(f"item {item_id} is at no gate {step}")
    return gate


def gates(tx: Tx, flow_id: int, *, open_only: bool = True) -> list[Gate]:
    """A flow's gates, oldest first."""
    return tx.all("gates_of_flow", Gate, flow=flow_id, open_only=open_only)


def must_be_open(tx: Tx, gate_id: int) -> None:
    """Raises RunConflict, with the reason, when the gate cannot be answered (any more)."""
    why = tx.value("gate_closed_why", gate=gate_id)
    if why is not None:
        raise RunConflict(why)


def cancelled_waits(tx: Tx, workflow_id: int) -> list[Mapping[str, Any]]:
    """The tasks of Airflow that wait for a person, although their runs of the workflow are being cancelled.

    Nothing wakes such a task but an answer: it then sees that the run was cancelled, and records nothing.
    """
    tasks: list[Mapping[str, Any]] = tx.values("approvals_of_cancelled", workflow=workflow_id)
    return tasks


def find_by_link(tx: Tx, gate_id: int, token: str) -> tuple[int, Gate, str]:
    """(account, gate, item's title) of a link. Needs a SYSTEM transaction.

    Raises NoSuchGate when the token is wrong, and in the same way when the gate does not exist. Raises
    RunConflict, with the reason, when the gate cannot be answered.
    """
    rows = tx.rows("gate_by_id", gate=gate_id) if 0 < gate_id <= LARGEST_ID else []
    kept = rows[0].pop("token_hash") if rows else _hash("")
    # Compared in constant time, also when the gate does not exist.
    if not hmac.compare_digest(kept, _hash(token)) or not rows:
        raise NoSuchGate("no open gate has this link")
    row = rows[0]
    account, title = row.pop("account_id"), row.pop("title")
    gate = Gate(**row)
    must_be_open(tx.for_account(account), gate_id)
    return account, gate, str(title or "")


def answer(
    tx: Tx,
    gate_id: int,
    outcome: str,
    by: str,
    data: Mapping[str, Any] | None = None,
    *,
    at: datetime | None = None,
    actor: str,
) -> None:
    """Record the answer, once, and in the audit log under ``actor``.

    Raises RunConflict, with the reason, when the gate cannot be answered. ``at``: when the answer was given,
    if it was stored elsewhere; None for now.
    """
    kept = _record(tx, gate_id, outcome, by, data or {}, at)
    _note(tx, gate_id, actor, outcome, by=by, edited=bool(kept.get(EDIT)))


def _record(
    tx: Tx, gate_id: int, outcome: str, by: str, data: Mapping[str, Any], at: datetime | None
) -> dict[str, Any]:
    """Record the answer, once. Returns what is kept of its data. Raises RunConflict."""
    kept = bounded_fields(data, ANSWER_CHARS)
    if not tx.run("gate_answer", gate=gate_id, outcome=outcome, answer=kept, by=by, at=at):
        must_be_open(tx, gate_id)
        raise RunConflict("this has expired: its time was over when the answer came")
    return kept


@dataclass(frozen=True)
class Handed:
    """An answer that somebody gives through Pressroom to a gate on Airflow's page.

    ``actor``: as in the audit log; ``text``: another text in place of the model's, or "".
    """

    gate_id: int
    actor: str
    outcome: str
    text: str


def hand_over(tx: Tx, handed: Handed, airflow_user: str) -> int:
    """Keep who answers a gate, before Airflow is given the answer by ``airflow_user``. Returns its number."""
    must_be_open(tx, handed.gate_id)
    number: int = tx.value(
        "handed_answer_insert", gate=handed.gate_id, actor=handed.actor, outcome=handed.outcome,
        text=storable(handed.text), airflow_user=airflow_user,
    )  # fmt: skip
    return number


def handed_over(tx: Tx, number: int) -> None:
    """Put an answer on record that Airflow has taken, unless the waiting task was faster."""
    for row in tx.rows("handed_answer_noted", number=number):
        _note(tx, row["gate_id"], row["actor"], row["outcome"], edited=row["edited"])


def _note(tx: Tx, gate_id: int, actor: str, outcome: str, **details: Any) -> None:
    target = public_id(GATE, gate_id)
    audit.note(
        tx, actor, "gate.answer", target, before="open", after=outcome, decision=outcome, **details
    )  # fmt: skip


@dataclass(frozen=True)
class PageAnswer:
    """The answer of Airflow's page. ``by``: None when nobody answered and Airflow's clock was ahead."""

    outcome: str
    by: str | None
    data: Mapping[str, Any]
    at: datetime


def page_answer(tx: Tx, item_id: int, step: str, given: PageAnswer) -> bool:
    """Record an answer of Airflow's page. It counts if it was in time, even when it is read late. A recorded
    answer stays.

    False when the answer counts for nothing: only the account's approvers, Airflow's administrators and who
    answers through Pressroom may answer, whatever Airflow lets others do. The refusal is on record.
    """
    gate = _read(tx, item_id, step)
    if gate.outcome is not None or given.at >= gate.due_at:
        return True
    if given.by is None:
        answer(tx, gate.id, gate.on_timeout, "the time", at=given.at, actor="time")
        return True
    edit = storable(str(given.data.get(EDIT) or ""))
    handed = tx.rows(
        "handed_answer", gate=gate.id, outcome=given.outcome, text=edit, airflow_user=given.by
    )  # fmt: skip
    if handed:
        actor = handed[0]["actor"]
        _record(tx, gate.id, given.outcome, actor, given.data, given.at)
        handed_over(tx, handed[0]["id"])
        return True
    actor = f"airflow:{given.by}"
    if not tx.value("may_answer", username=given.by):
        # The sweep looks at an answer again until the task's next try voids it.
        if not tx.value("refusal_noted", actor=actor, target=public_id(GATE, gate.id), since=given.at):
            audit.note(
                tx, actor, "gate.answer_refused", public_id(GATE, gate.id), before="open", after="open",
                decision=given.outcome, why="is no approver of this account",
            )  # fmt: skip
        return False
    answer(tx, gate.id, given.outcome, given.by, given.data, at=given.at, actor=actor)
    return True


def forgotten_answer(tx: Tx, task: Mapping[str, Any], given: PageAnswer) -> bool:
    """Record an answer that Airflow stored for a waiting task, and would forget.

    False when the gate is not open or was opened after the answer, and for one that counts for nothing: then
    the gate asks for another one.
    """
    rows = tx.rows("gate_of_task", task=dict(task), at=given.at)
    taken = [page_answer(tx, row["item_id"], row["step"], given) for row in rows]
    return any(taken)


def apply_outcome(tx: Tx, run: Run, item: FlowItem, step: GateStep, gate: Gate) -> None:
    """Move the item on, or end it, by the gate's outcome. Raises AlreadyDone when it has moved meanwhile."""
    if gate.outcome == FAIL:
        late = PermanentError(f"nobody answered until {gate.due_at:%Y-%m-%d %H:%M} UTC")
        fail(tx, run, item, step, late)
        return
    fields = dict(gate.answer or {})
    # The answer's fields cannot replace the gate's outcome and approver.
    packets: list[tuple[str, Mapping[str, Any]]] = [
        ("answer", {**fields, "outcome": gate.outcome, "by": gate.answered_by})
    ]
    edited = fields.get(EDIT)
    if isinstance(edited, str) and edited.strip() and gate.outcome == APPROVE:
        packets.append(("text", {"text": edited, "edited_by": gate.answered_by}))
    to = "next" if gate.outcome == APPROVE else Ending.REJECTED.value
    move_on(tx, run, item, step, Outcome(packets, to, f"{step.name}: {gate.outcome} by {gate.answered_by}"))


def move_on(tx: Tx, run: Run, item: FlowItem, step: GateStep, outcome: Outcome) -> None:
    """Move the item on, with an event in the run's log, and count it with the gate's stage."""
    items.move(tx, run, item, step, outcome)
    data = {"item": str(item.id), "created": 1}
    control.event(tx, run.id, "item_done", outcome.reason or f"{step.name}: on", stage=step.name, data=data)
    tx.run("stage_begun", run=run.id, stage=step.name)
    tx.run("add_to_stage", run=run.id, stage=step.name, processed=1, created=1, words=0, credits=0)
    tx.run("clear_item_failure", workflow=run.workflow_id, stage=step.name, item=str(item.id))
    tx.run("finish_batch", run=run.id, stage=step.name, batches=0, partial=None)


def fail(tx: Tx, run: Run, item: FlowItem, step: GateStep, error: PressroomError) -> None:
    """Record the gate's failure like any step's failure, and apply ``on_failure``."""
    places.record_failure(tx, run, item.id, step.name, error)
    items.fail(tx, run, item, step, error)
    tx.run("finish_batch", run=run.id, stage=step.name, batches=0, partial=None)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
