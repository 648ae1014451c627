"""The command that checks a run's set-up. The API server does the check, because it has the connections."""

from __future__ import annotations

from typing import Annotated

import typer

from pressroom.adapters.models.dialect import described
from pressroom.cli.common import open_airflow, open_workflow
from pressroom.domain import public_ids
from pressroom.domain.public_ids import public_id
from pressroom.store.workflows import WorkflowRow


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(
    name: Annotated[
        str,
        typer.Argument(
            help="the slug of a site, mission or flow; kind/slug where several have it", metavar="NAME"
        ),
    ],
    forget: Annotated[
        bool,
        typer.Option("--forget", help="forget what was learned of the models' servers, and learn it again"),
    ] = False,
) -> None:
    """Verify what the workflow's runs will need; nothing is spent. Exit code 1 when there is a problem."""
    with open_workflow(name) as (store, row):
        text, images = row.workflow.text, row.workflow.images
        used = {text.connection} | ({images.connection} if images.provider == "openai" else set())
        with store.transaction() as tx:
            if forget:
                for connection in used:
                    tx.run("forget_dialects", connection=connection)
                    tx.run("connection_back", connection=connection)
            learned = {
                connection: tx.rows("learned_dialects", connection=connection) for connection in sorted(used)
            }
        with open_airflow() as (api, _user):
            answer = api.pressroom("POST", f"{path_of(row)}/check")
    for connection, dialects in learned.items():
        for dialect in dialects:
            words = described(dialect["learned"])
            typer.echo(f"learned: connection {connection!r}, {dialect['model']}: {words}")
    for used in answer["models"]:
        typer.echo(f"{used['where']}: {used['text']}")
    if answer["models"]:
        typer.echo("cost of this check: 0 cents")
    for kind in ("problem", "warning"):
        for finding in answer[f"{kind}s"]:
            typer.echo(f"{kind}: {finding['where']}: {finding['text']}")
    if answer["problems"]:
        raise typer.Exit(1)
    typer.echo(f"{row.name}: ready to run")


def path_of(row: WorkflowRow) -> str:
    """A workflow's path in the control API."""
    prefixes = {"Mission": public_ids.MISSION, "Flow": public_ids.FLOW}
    prefix = prefixes.get(row.workflow.kind)
    number = row.workflow_id
    return f"{row.workflow.kind.lower()}s/{public_id(prefix, number) if prefix else number}"
