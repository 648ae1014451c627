"""The command that checks a run's set-up. The API server does the check, because it has the connections."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated

import typer

from pressroom.adapters.models.dialect import described
from pressroom.cli.common import open_airflow, open_workflow
from pressroom.domain import public_ids
from pressroom.domain.public_ids import public_id
from pressroom.store.database import Store
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
        own = {text.connection} | ({images.connection} if images.provider == "openai" else set())
        if forget:
            _forget(store, own)
        with open_airflow() as (api, _user):
            answer = api.pressroom("POST", f"{path_of(row)}/check")
            used = {model["connection"] for model in answer["models"]}
            if forget and used - own:  # fallbacks, which only the API server knows
                _forget(store, used - own)
                answer = api.pressroom("POST", f"{path_of(row)}/check")
        others = _learned_of_others(store, own | used, answer["models"])
    for line in [*_of_models(answer["models"]), *others]:
        typer.echo(line)
    if answer["models"]:
        typer.echo("cost of this check: 0 cents")
    for kind in ("problem", "warning"):
        for finding in answer[f"{kind}s"]:
            typer.echo(f"{kind}: {finding['where']}: {finding['text']}")
    if answer["problems"]:
        raise typer.Exit(1)
    typer.echo(f"{row.name}: ready to run")


def _forget(store: Store, connections: Collection[str]) -> None:
    with store.transaction() as tx:
        for connection in connections:
            tx.run("forget_dialects", connection=connection)
            tx.run("connection_back", connection=connection)


def _of_models(used: Sequence[Mapping[str, str]]) -> Iterator[str]:
    for model in used:
        yield f"{model['where']}: {model['model']}, connection {model['connection']!r}"
        for label, fact in (("price", "price"), ("asked with", "asked"), ("learned", "learned")):
            if model[fact]:
                yield f"  {label}: {model[fact]}"


def _learned_of_others(
    store: Store, connections: Collection[str], used: Sequence[Mapping[str, str]]
) -> list[str]:
    """What is kept of other models of the connections, a line each."""
    shown = {(model["connection"], model["model"]) for model in used}
    with store.transaction() as tx:
        return [
            f"learned of another model: {dialect['model']}, connection {connection!r}:"
            f" {described(dialect['learned'])}"
            for connection in sorted(connections)
            for dialect in tx.rows("learned_dialects", connection=connection)
            if (connection, dialect["model"]) not in shown
        ]


def path_of(row: WorkflowRow) -> str:
    """A workflow's path in the control API."""
    prefixes = {"Mission": public_ids.MISSION, "Flow": public_ids.FLOW}
    prefix = prefixes.get(row.workflow.kind)
    number = row.workflow_id
    return f"{row.workflow.kind.lower()}s/{public_id(prefix, number) if prefix else number}"
