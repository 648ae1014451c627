"""The command line: set-up, definitions, and a site's runs. ``pressroom --help`` lists it."""

from __future__ import annotations

import logging
from typing import Any

import typer
from typer.core import TyperGroup

from pressroom.cli import (
    accounts,
    articles,
    definitions,
    demo_flow,
    demo_mission,
    flows,
    local,
    missions,
    runs,
)
from pressroom.domain.errors import DefinitionError, PressroomError
from pressroom.local.processes import LocalServiceError


class ErrorsInOneLine(TyperGroup):
    """Turns our own errors into a line each and exit code 1; anything else is a bug with its traceback."""

    def invoke(self, ctx: Any) -> Any:  # the context's class is typer's own affair
        try:
            return super().invoke(ctx)
        except PressroomError as error:
            # A service's error ends with the end of its log, which is no use on one line.
            text = str(error) if isinstance(error, LocalServiceError) else " ".join(str(error).split())
            for problem in error.problems if isinstance(error, DefinitionError) else [text]:
                typer.echo(f"error: {problem}", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=ErrorsInOneLine,
    help="Pressroom: a content team's production line on Apache Airflow.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables would print passwords.
    pretty_exceptions_enable=False,
)
# The pool reports every failed attempt to connect; the one error at the end says it all.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
definitions.register(app)
app.add_typer(accounts.app, name="credits")
runs.register(app)
missions.register(app)
flows.register(app)
articles.register(app)
local.register(app)
demo_mission.register(app)
demo_flow.register(app)
