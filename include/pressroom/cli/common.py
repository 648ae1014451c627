"""What the commands share: the store, Airflow, the workflow that the user names, and tables."""

from __future__ import annotations

import getpass
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from pressroom import settings
from pressroom.adapters.airflow_api import AirflowApi
from pressroom.domain.errors import DefinitionError, PermanentError, PressroomError
from pressroom.domain.public_ids import JOB, public_id
from pressroom.domain.run import PAUSED_DAG
from pressroom.engine import audit
from pressroom.store.database import Store, Tx
from pressroom.store.workflows import WorkflowRow, workflow

DAG_APPEARS_SECONDS = 120.0
DAG_POLL_SECONDS = 0.5


class ErrorsInOneLine(TyperGroup):
    """Prints a PressroomError in one line, with exit code 1; any other error is a bug with its traceback."""

    def invoke(self, ctx: Any) -> Any:  # the context's class is typer's own affair
        """Run the command."""
        try:
            return super().invoke(ctx)
        except PressroomError as error:
            for line in self.lines(error):
                typer.echo(f"error: {line}", err=True)
            raise typer.Exit(1) from None

    def lines(self, error: PressroomError) -> Sequence[str]:
        """The lines to print for an error."""
        return error.problems if isinstance(error, DefinitionError) else [" ".join(str(error).split())]


@contextmanager
def open_store() -> Iterator[Store]:
    """The store that the settings name. Raises ConfigurationError when there is no database URL."""
    with Store(settings.database_url()) as store:
        yield store


@contextmanager
def open_workflow(name: str, kind: str = "") -> Iterator[tuple[Store, WorkflowRow]]:
    """The store and the workflow of that slug, or ``kind/slug``. ``kind``: the only kind that is accepted.

    Raises PermanentError when there is no such workflow.
    """
    with open_store() as store:
        with store.transaction() as tx:
            row = workflow(tx, f"{kind}/{name.removeprefix(f'{kind}/')}" if kind else name)
        yield store, row


@contextmanager
def open_tx(name: str, kind: str = "") -> Iterator[tuple[Tx, WorkflowRow]]:
    """A transaction in the workflow's account, and the workflow. Raises as ``open_workflow``."""
    with open_workflow(name, kind) as (store, row), store.transaction(row.account_id) as tx:
        yield tx, row


def operator() -> str:
    """How the audit log names who uses the command line."""
    return f"cli:{getpass.getuser()}"


@contextmanager
def changing(
    name: str, action: str, kind: str = "", target: str = "", **details: Any
) -> Iterator[tuple[Tx, WorkflowRow]]:
    """``open_tx`` for a command that changes something: it is on record in the audit log when it succeeds.

    ``target``: the row that is changed, such as article:12; what runs and waits of the workflow if it is
    empty.
    """
    with open_tx(name, kind) as (tx, row):
        changed = target or f"workflow:{row.workflow_id}"
        with audit.changing(tx, operator(), action, changed, workflow=row.name, **details):
            yield tx, row


@contextmanager
def open_airflow() -> Iterator[tuple[AirflowApi, str]]:
    """Airflow's REST API, and the user who calls it. Raises ConfigurationError when no address is set."""
    login = settings.airflow_login()
    with AirflowApi(login.url, login.user, login.password) as api:
        yield api, login.user


def start(
    api: AirflowApi, user: str, store: Store, row: WorkflowRow, params: Mapping[str, Any], part: str = ""
) -> str:
    """Start a run as the control API does: on record first, then handed to Airflow. Returns the DAG run's id.

    Raises RunConflict, WorkflowOver or InsufficientCredits before Airflow is asked. A run that Airflow
    refuses stays in the history with the reason.
    """
    from pressroom.engine.runs import starting
    from pressroom.pipelines.registry import dag_id_of

    dag_id, dag_run_id = dag_id_of(row.workflow, part), f"cli__{uuid.uuid4().hex}"
    with store.transaction(row.account_id) as tx:
        run = starting.begin(
            tx, row, dag_run_id=dag_run_id, owner=user, params=params, part=part, alive=api.alive
        )
        job = public_id(JOB, run.id)
        audit.note(
            tx, operator(), "job.start", job, before=None, after=audit.state(tx, job), workflow=row.name,
            params=dict(params),
        )  # fmt: skip
    try:
        await_dag(api, dag_id)
        api.trigger(dag_id, params, dag_run_id=dag_run_id)
    except (PressroomError, KeyboardInterrupt) as error:
        with store.transaction(row.account_id) as tx:
            starting.abandon(tx, run, error)
        raise
    typer.echo(f"started {dag_id} {dag_run_id}")
    warn_if_paused(api, dag_id)
    return dag_run_id


def warn_if_paused(api: AirflowApi, dag_id: str) -> None:
    """Say that a run waits because its DAG is paused in Airflow."""
    if api.paused(dag_id):
        typer.echo(f"warning: {PAUSED_DAG.format(dag_id)}", err=True)


def await_dag(api: AirflowApi, dag_id: str) -> None:
    """Wait until Airflow has built the DAG of a workflow that was just applied. Raises PermanentError."""
    if api.dag_exists(dag_id):
        return
    typer.echo(f"waiting for Airflow to build {dag_id}", err=True)
    deadline = time.monotonic() + DAG_APPEARS_SECONDS
    while not api.dag_exists(dag_id):
        if time.monotonic() > deadline:
            raise PermanentError(
                f"Airflow has not built the DAG {dag_id} within {DAG_APPEARS_SECONDS:.0f} s: look for import"
                " errors in its UI"
            )
        time.sleep(DAG_POLL_SECONDS)


def read_file(path: Path) -> str:
    """The text of a file. Raises PermanentError when it cannot be read, or is not text."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"{path} cannot be read as text: {error}") from None


def show(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """A table; for a pipe or a file, plain columns that no width cuts off."""
    # What stands in a cell is text, whatever its brackets and colons mean elsewhere.
    console = Console(highlight=False, markup=False, emoji=False)
    cells = [["" if value is None else _text(value) for value in row] for row in rows]
    if console.is_terminal:
        table = Table(title=title, title_justify="left", header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*row)
        console.print(table)
        return
    if title:
        typer.echo(title)
    lines = [
        [column.upper() for column in columns],
        *([cell.replace("\n", " ") for cell in row] for row in cells),
    ]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def clock(at: datetime) -> str:
    """A time of day in this machine's time zone, for log lines."""
    return f"{at.astimezone():%H:%M:%S}"


def _text(value: object) -> str:
    return f"{value.astimezone():%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
