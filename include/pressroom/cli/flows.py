"""Commands on flows: their items, and what waits at a gate."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from pressroom.cli.common import open_airflow, open_tx, operator, show
from pressroom.domain.errors import PermanentError
from pressroom.engine import gates as engine_gates

Flow = Annotated[str, typer.Argument(help="the flow's slug", metavar="FLOW")]


class Decision(StrEnum):
    """An answer."""

    APPROVE = "approve"
    REJECT = "reject"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (items, packets, gates, answer):
        app.command(command.__name__)(command)


def items(
    flow: Flow,
    run: Annotated[int | None, typer.Option(help="only this run's")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many")] = 50,
) -> None:
    """List what a flow has worked on, newest first."""
    with open_tx(flow, "flow") as (tx, row):
        rows = tx.rows("flow_item_list", flow=row.workflow_id, run=run, limit=limit)
    show(
        ["item", "feed", "title", "status", "step", "reason"],
        [
            (
                item["id"], item["feed"], item["title"] or item["source_id"], item["status"],
                item["step"] if item["status"] == "active" else "", item["reason"],
            )
            for item in rows
        ],
    )  # fmt: skip


def packets(flow: Flow, item: Annotated[int, typer.Argument(help="the item's number")]) -> None:
    """Show what each step added to an item."""
    with open_tx(flow, "flow") as (tx, row):
        if item not in {
            each["id"] for each in tx.rows("flow_item_list", flow=row.workflow_id, run=None, limit=10**9)
        }:
            raise PermanentError(f"the flow {flow} has no item {item}")
        rows = tx.rows("packets_of_item", item=item)
    show(
        ["packet", "step", "kind", "data"],
        [(packet["id"], packet["step"], packet["kind"], str(packet["data"])[:200]) for packet in rows],
    )


def gates(
    flow: Flow, everything: Annotated[bool, typer.Option("--all", help="answered ones too")] = False
) -> None:
    """List what waits for an answer."""
    with open_tx(flow, "flow") as (tx, row):
        listed = engine_gates.gates(tx, row.workflow_id, open_only=not everything)
    show(
        ["gate", "item", "step", "by", "what is asked", "until", "outcome", "answered by"],
        [
            (
                each.id,
                each.item_id,
                each.step,
                each.by,
                each.subject,
                each.due_at,
                each.outcome,
                each.answered_by,
            )
            for each in listed
        ],
    )


def answer(
    flow: Flow,
    gate: Annotated[int, typer.Argument(help="its number, as `gates` shows it")],
    decision: Annotated[Decision, typer.Argument()],
    text: Annotated[str, typer.Option(help="another text in place of the model's")] = "",
) -> None:
    """Answer a gate, as its link or Airflow's page would."""
    with open_tx(flow, "flow") as (tx, row):
        every = {each.id: each for each in engine_gates.gates(tx, row.workflow_id, open_only=False)}
        if gate not in every:
            raise PermanentError(f"{flow} has no gate {gate}")
        engine_gates.must_be_open(tx, gate)
        if every[gate].by != "approval":
            data = {"text": text} if text else {}
            engine_gates.answer(tx, gate, decision.value, operator(), data, actor=operator())
            typer.echo(f"gate {gate}: {decision}")
            return
    with open_airflow() as (api, user):
        with open_tx(flow, "flow") as (tx, _):
            handed = engine_gates.Handed(gate, operator(), decision.value, text)
            number = engine_gates.hand_over(tx, handed, user)
        api.answer(dict(every[gate].task), decision.value.capitalize(), {"text": text})
        with open_tx(flow, "flow") as (tx, _):
            engine_gates.handed_over(tx, number)
    typer.echo(f"gate {gate}: {decision}")
