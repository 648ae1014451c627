"""The command line: set-up, definitions, and a site's runs. ``pressroom --help`` lists it."""

from __future__ import annotations

import logging

import typer

from pressroom.cli import (
    accounts,
    articles,
    check,
    definitions,
    flows,
    grants,
    missions,
    notices,
    page,
    prices,
    review,
    runs,
)
from pressroom.cli.common import ErrorsInOneLine

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
grants.register(app)
app.add_typer(notices.app, name="notices")
runs.register(app)
check.register(app)
prices.register(app)
missions.register(app)
flows.register(app)
articles.register(app)
review.register(app)
page.register(app)
