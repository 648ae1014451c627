"""The command that prints where the page is."""

from __future__ import annotations

from typing import Annotated

import typer

from pressroom import settings
from pressroom.cli.common import open_tx
from pressroom.domain.kinds import word_of
from pressroom.domain.public_ids import workflow_path


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("open")(open_page)


def open_page(
    name: Annotated[
        str, typer.Argument(help="a site, mission or flow; without one, all of them", metavar="[NAME]")
    ] = "",
) -> None:
    """Print the address of the page, to be opened in a browser."""
    url = f"{settings.airflow_login().url.rstrip('/')}/pressroom/"
    if name:
        with open_tx(name) as (_, row):
            url += workflow_path(word_of(row.workflow), row.workflow_id)
    typer.echo(url)
