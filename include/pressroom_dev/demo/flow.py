"""`demo-flow`: the example flow over its stored feed, with the gate answered from here."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from pressroom.adapters.airflow_api import AirflowApi
from pressroom.cli.common import await_dag
from pressroom.definitions.applying import apply
from pressroom.definitions.loading import read_text
from pressroom.domain.errors import DefinitionError, PermanentError
from pressroom.engine import gates
from pressroom.engine.runs import reports
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow, workflow
from pressroom_dev.demo.start import EXAMPLES, Model, Root, say_who_wrote, services_at
from pressroom_dev.demo.watch import watch

EXAMPLE_FLOW = "morning-digest"
FILE = EXAMPLES / "morning-digest.yaml"
ADDRESS = "127.0.0.1:18095"
"""The feed's address in the example's file. It is replaced by the address at which the feed is served."""


def demo_flow(root: Root = Path(".pressroom"), model: Model = None) -> None:
    """Run the example flow: fetch → AI → picture → local site → gate → AI → notes, then stop."""
    console = Console(highlight=False)
    began = time.monotonic()
    notes = root.absolute() / "notes"
    try:
        with _feed() as address:
            env = {
                "PRESSROOM_ALLOW_HOSTS": address,
                "AIRFLOW_CONN_PRESSROOM_NOTES": f'{{"conn_type": "generic", "host": "{notes.as_uri()}"}}',
            }
            with (
                services_at(
                    root,
                    console,
                    model=model,
                    example=True,
                    extra_env=env,
                    prepared=lambda store: _apply(store, address),
                ) as services,
                Store(services.info.database_url) as store,
            ):
                info = services.info
                with AirflowApi(info.airflow_url, info.airflow_user, info.airflow_password) as api:
                    status = _run(api, store, console)
                _summary(console, store, status, root, notes, time.monotonic() - began)
    except KeyboardInterrupt:
        console.print("ended; what was finished is kept, and the next run takes up the rest")
        raise typer.Exit(130) from None


@contextmanager
def _feed() -> Iterator[str]:
    """Serves the examples' folder like a site with a feed. Yields host:port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Logs nothing: the run's own log says what was fetched."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(EXAMPLES))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _apply(store: Store, address: str) -> None:
    definitions, problems = read_text(FILE.read_text("utf-8").replace(ADDRESS, address), str(FILE))
    if problems:
        raise DefinitionError(problems)
    apply(store, definitions)


def _run(api: AirflowApi, store: Store, console: Console) -> reports.RunStatus:
    from pressroom.pipelines.registry import pipeline_of

    with store.transaction() as tx:
        row = workflow(tx, f"flow/{EXAMPLE_FLOW}")
    dag_id = row.workflow.dag_id
    await_dag(api, dag_id)
    dag_run_id = api.trigger(dag_id)
    console.print(f"\n[bold]{row.workflow.name}[/]: {dag_id} {dag_run_id}\n")

    def ended() -> bool:
        _answer_gates(store, row, console)
        return api.run_state(dag_id, dag_run_id) in ("success", "failed")

    status = watch(store, row, pipeline_of(row.workflow), dag_run_id, console=console, ended=ended)
    if status is None or status.run.status not in ("completed", "partial"):
        raise PermanentError(f"the run ended {status.run.status if status else 'unopened'}")
    return status


def _answer_gates(store: Store, row: WorkflowRow, console: Console) -> None:
    """Answer open gates as `pressroom answer` does. The first item is rejected, to show both answers."""
    with store.transaction(row.account_id) as tx:
        every = gates.gates(tx, row.workflow_id, open_only=False)
        for gate in every:
            if gate.outcome is None:
                decision = gates.REJECT if gate.id == min(other.id for other in every) else gates.APPROVE
                gates.answer(tx, gate.id, decision, "the command line", actor="cli:demo")
                console.print(f"answered: {gate.subject} → {decision}")


def _summary(
    console: Console, store: Store, status: reports.RunStatus, root: Path, notes: Path, seconds: float
) -> None:
    with store.transaction() as tx:
        row = workflow(tx, f"flow/{EXAMPLE_FLOW}")
    with store.transaction(row.account_id) as tx:
        endings = tx.rows("flow_endings", run=status.run.id)
        models = tx.values("models_of_run", run=status.run.id)
    endings_text = (
        ", ".join(f"{ending['items']} {ending['status']}" for ending in endings) or "nothing new in the feed"
    )
    console.print(
        f"run {status.run.id} {status.run.status} in {seconds:.0f} s, start-up included: {endings_text}"
    )
    console.print("A second run over the same feed publishes nothing again: try it.")
    say_who_wrote(console, models)
    for name, folder in (("the site", root / "site"), ("the notes", notes)):
        if (folder / "index.html").exists():
            console.print(
                f"Read {name}: [bold]file://{(folder / 'index.html').absolute()}[/]", soft_wrap=True
            )
