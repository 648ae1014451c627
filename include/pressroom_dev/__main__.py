"""Commands for a checkout: everything on this machine. ``python -m pressroom_dev --help`` lists them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import typer

from pressroom.cli.common import ErrorsInOneLine
from pressroom.domain.errors import PressroomError
from pressroom_dev.demo.advance import advance
from pressroom_dev.demo.airflow_cli import airflow
from pressroom_dev.demo.flow import demo_flow
from pressroom_dev.demo.mission import demo_mission
from pressroom_dev.demo.site import demo
from pressroom_dev.demo.start import up
from pressroom_dev.local.processes import LocalServiceError


class Errors(ErrorsInOneLine):
    """A service's error ends with the end of its log, which keeps its lines."""

    def lines(self, error: PressroomError) -> Sequence[str]:
        """What is printed of an error."""
        return [str(error)] if isinstance(error, LocalServiceError) else super().lines(error)


app = typer.Typer(
    cls=Errors,
    help="Pressroom on this machine: the services, the demonstrations, the simulator's clock.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables would print passwords.
    pretty_exceptions_enable=False,
)
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
for command in (up, demo, demo_mission, demo_flow, advance):
    app.command()(command)
app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)(airflow)

if __name__ == "__main__":
    app()
