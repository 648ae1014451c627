"""The items of flows, the packets that steps added to them, and the gates where they wait."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from pressroom.adapters.storage.media import is_local
from pressroom.api.kit.access import ACCOUNT, GATE, ITEM, Scope, allowed
from pressroom.api.kit.answering import answer_through_airflow
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.idempotency import IdempotencyDep
from pressroom.api.kit.items import FlowFilter, JobFilter, number_of
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.pictures import PICTURE_ANSWER, base_of, served
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST, public_id
from pressroom.engine import gates
from pressroom.store.database import Tx

router = APIRouter(tags=["flows"])

ItemStatus = Literal["active", "done", "agent_skipped", "skipped", "rejected", "failed"]


class ItemRow(BaseModel):
    """A thing that a flow works on. ``feed``: what it came from, within which its ``source_id`` is unique;
    ``step``: where it is, or where it ended; ``refused``: it failed for a reason of its own, and is given up
    the third time.
    """

    id: str
    flow_id: str
    job_id: str
    feed: str
    source_id: str
    title: str | None
    url: str | None
    step: str | None
    status: ItemStatus
    reason: str
    refused: bool
    created_at: datetime
    ended_at: datetime | None


class PacketView(BaseModel):
    """What one step added to an item. Pictures that this server keeps have the API's URL."""

    id: int
    step: str
    kind: str
    data: dict[str, Any]
    at: datetime


class ItemView(ItemRow):
    """An item with what each step added, oldest first."""

    packets: list[PacketView]


class GateView(BaseModel):
    """Where an item waits, or waited. ``open``: whether it can be answered; ``outcome``: null without an
    answer.
    """

    id: str
    item_id: str
    flow_id: str
    step: str
    by: Literal["webhook", "approval", "time"]
    subject: str
    title: str | None
    due_at: datetime
    on_timeout: Literal["approve", "reject", "fail"]
    open: bool
    outcome: Literal["approve", "reject", "fail"] | None
    answer: dict[str, Any] | None
    answered_by: str | None
    answered_at: datetime | None
    created_at: datetime


class AnswerBody(Body):
    """``text``: another text in place of the model's."""

    decision: Literal["approve", "reject"]
    text: str = Field(default="", max_length=gates.ANSWER_CHARS)


class Answered(BaseModel):
    """The answer that was taken. The item goes on in a moment."""

    id: str
    decision: Literal["approve", "reject"]


@router.get("/flow-items")
def list_items(
    paging: Paged,
    *,
    flow: FlowFilter = None,
    job: JobFilter = None,
    status: ItemStatus | None = None,
    step: Annotated[str | None, Query(max_length=40, description="only those at this step")] = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[ItemRow]:
    """The account's items, newest first."""
    with scope.transaction() as tx:
        rows = tx.rows(
            "flow_items_page", item=None, status=status, step=step, before=paging.before, limit=paging.fetch,
            flow=number_of(public_ids.FLOW, flow),
            run=number_of(public_ids.JOB, job),
        )  # fmt: skip
    return paging.page(rows, lambda row: ItemRow(**_item(row)), lambda row: [row["id"]])


@router.get("/flow-items/{id}")
def get_item(request: Request, scope: Scope = allowed(Role.VIEWER, ITEM)) -> ItemView:
    """An item with what each step added."""
    return item_view(scope, scope.id, base_of(request))


def item_view(scope: Scope, item: int, base: str) -> ItemView:
    """An item of the account, by its number. ``base``: the path below which its pictures are."""
    with scope.transaction() as tx:
        [row] = tx.rows(
            "flow_items_page", item=item, status=None, step=None, before=None, limit=1, flow=None, run=None
        )
        packets = tx.all("packets_of_item", PacketView, item=item)
    where = f"{base}/flow-items/{public_id(public_ids.ITEM, item)}/pictures"
    return ItemView(**_item(row), packets=_for_callers(packets, where))


@router.get("/flow-items/{id}/pictures/{packet}", response_class=Response, responses=PICTURE_ANSWER)
def get_picture(
    packet: Annotated[int, Path(ge=1, le=LARGEST, description="the number of the packet with the picture")],
    scope: Scope = allowed(Role.VIEWER, ITEM),
) -> Response:
    """A picture that a media step made, and that is kept in a folder of this server's."""
    with scope.transaction() as tx:
        packets = tx.all("packets_of_item", PacketView, item=scope.id)
    # Only a media step's picture is ours; what else an item holds comes from outside.
    data = next((each.data for each in packets if each.id == packet and each.kind == "media"), {})
    return served(data.get("url"), data.get("media_type"))


@router.get("/gates")
def list_gates(
    paging: Paged,
    *,
    flow: FlowFilter = None,
    everything: Annotated[bool, Query(alias="all", description="true: answered ones too")] = False,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[GateView]:
    """What waits for an answer, newest first."""
    with scope.transaction() as tx:
        rows = tx.rows(
            "gates_page", gate=None, open_only=not everything, before=paging.before, limit=paging.fetch,
            flow=number_of(public_ids.FLOW, flow),
        )  # fmt: skip
    return paging.page(rows, _gate, lambda row: [row["id"]])


@router.get("/gates/{id}")
def get_gate(scope: Scope = allowed(Role.VIEWER, GATE)) -> GateView:
    """A gate."""
    return gate_view(scope)


def gate_view(scope: Scope) -> GateView:
    """The gate that a request is about."""
    with scope.transaction() as tx:
        return _gate(_row(tx, scope.id))


@router.post("/gates/{id}/answer", response_model=Answered)
async def answer_gate(
    body: AnswerBody, idempotency: IdempotencyDep, scope: Scope = allowed(Role.APPROVER, GATE)
) -> JSONResponse:
    """Answer a gate, as its link or Airflow's page would. The first answer counts: a later one is a 409."""

    return await idempotency.once(scope, 200, lambda: decide(scope, body))


async def decide(scope: Scope, body: AnswerBody) -> Answered:
    """Answer the gate that a request is about. Raises RunConflict when it was answered, or is over."""
    task = await run_in_threadpool(_answer, scope, body)
    if task is not None:
        handed = gates.Handed(scope.id, scope.caller.label, body.decision, body.text)
        await answer_through_airflow(scope.plane, scope.account_id, task, handed)
    return Answered(id=public_id(public_ids.GATE, scope.id), decision=body.decision)


def _for_callers(packets: list[PacketView], where: str) -> list[PacketView]:
    """The packets with the URLs at which callers find the pictures, wherever a packet repeats one."""
    urls = {
        str(packet.data.get("url")): f"{where}/{packet.id}"
        for packet in packets
        if packet.kind == "media" and is_local(str(packet.data.get("url")))
    }

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shown(each) for name, each in value.items()}
        if isinstance(value, list):
            return [shown(each) for each in value]
        return urls.get(value, value) if isinstance(value, str) else value

    return [packet.model_copy(update={"data": shown(packet.data)}) for packet in packets]


def _answer(scope: Scope, body: AnswerBody) -> dict[str, Any] | None:
    """Record the answer. For a gate on Airflow's page, return its waiting task and record nothing."""
    with scope.transaction() as tx:
        row = _row(tx, scope.id)
        gates.must_be_open(tx, scope.id)
        if row["by"] == "approval":
            return dict(row["task"])
        edit = {gates.EDIT: body.text} if body.text else {}
        gates.answer(tx, scope.id, body.decision, scope.caller.signature, edit, actor=scope.caller.label)
        return None


def _row(tx: Tx, gate: int) -> dict[str, Any]:
    [row] = tx.rows("gates_page", gate=gate, open_only=False, before=None, limit=1, flow=None)
    return row


def _item(row: dict[str, Any]) -> dict[str, Any]:
    ids = {
        "id": public_id(public_ids.ITEM, row["id"]),
        "flow_id": public_id(public_ids.FLOW, row["flow_id"]),
        "job_id": public_id(public_ids.JOB, row["run_id"]),
    }
    return row | ids


def _gate(row: dict[str, Any]) -> GateView:
    ids = {
        "id": public_id(public_ids.GATE, row["id"]),
        "item_id": public_id(public_ids.ITEM, row["item_id"]),
        "flow_id": public_id(public_ids.FLOW, row["flow_id"]),
    }
    return GateView(**row | ids)
