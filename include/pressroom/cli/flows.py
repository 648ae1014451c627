"""Commands on flows: their items, and what waits at a gate."""

from __future__ import annotations

import getpass
from enum import StrEnum
from typing import Annotated

import typer

from pressroom.cli.common import open_airflow, open_tx, show
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
        found = tx.rows("flow_item_list", flow=row.workflow_id, run=run, limit=limit)
        names = [step.name for step in row.run().flow.steps]
    show(
        ["item", "title", "status", "step", "reason"],
        [
            (
                one["id"], one["title"] or one["source_id"], one["status"],
                names[one["step"]] if one["status"] == "active" and one["step"] < len(names) else "",
                one["reason"],
            )
            for one in found
        ],
    )  # fmt: skip


def packets(flow: Flow, item: Annotated[int, typer.Argument(help="the item's number")]) -> None:
    """Show everything that an item has gone through."""
    with open_tx(flow, "flow") as (tx, row):
        if item not in {
            one["id"] for one in tx.rows("flow_item_list", flow=row.workflow_id, run=None, limit=10**9)
        }:
            raise PermanentError(f"the flow {flow} has no item {item}")
        found = tx.rows("packets_of_item", item=item)
    show(
        ["packet", "step", "kind", "data"],
        [(one["id"], one["step"], one["kind"], str(one["data"])[:200]) for one in found],
    )


def gates(
    flow: Flow, everything: Annotated[bool, typer.Option("--all", help="answered ones too")] = False
) -> None:
    """List what waits for an answer."""
    with open_tx(flow, "flow") as (tx, row):
        found = engine_gates.gates(tx, row.workflow_id, open_only=not everything)
    show(
        ["gate", "item", "step", "by", "what is asked", "until", "outcome", "answered by"],
        [
            (one.id, one.item_id, one.step, one.by, one.subject, one.due_at, one.outcome, one.answered_by)
            for one in found
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
        found = {one.id: one for one in engine_gates.gates(tx, row.workflow_id)}
        if gate not in found:
            raise PermanentError(f"gate {gate} of {flow} does not wait for an answer")
        if found[gate].by != "approval":
            data = {"text": text} if text else {}
            engine_gates.answer(tx, gate, decision.value, getpass.getuser(), data)
            typer.echo(f"gate {gate}: {decision}")
            return
    with open_airflow() as (api, _):
        api.answer(dict(found[gate].task), decision.value.capitalize(), {"text": text})
    typer.echo(f"gate {gate}: {decision}")
