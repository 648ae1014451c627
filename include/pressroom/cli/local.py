"""Commands that run everything on this machine: ``up`` keeps it up, ``demo`` runs the example and stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pressroom.adapters.airflow_api import AirflowApi
from pressroom.cli.common import await_dag
from pressroom.cli.watch import watch
from pressroom.definitions.applying import Action, apply
from pressroom.definitions.importing import import_keywords
from pressroom.definitions.loading import load
from pressroom.definitions.reading import WorkflowRow, workflow
from pressroom.domain.errors import PermanentError
from pressroom.engine import reports
from pressroom.local.services import PROJECT, LocalServices, Report
from pressroom.store.database import Store
from pressroom.store.migrate import migrate

EXAMPLES = PROJECT / "examples"
EXAMPLE_SITE = "home-coffee"

Root = Annotated[Path, typer.Option(help="where data, logs and secrets are kept")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("up")(up)
    app.command("demo")(demo)


def up(root: Root = Path(".pressroom")) -> None:
    """Start everything, print where it is, and stay until Ctrl-C."""
    console = Console(highlight=False)
    with services_at(root, console) as services:
        info = services.info
        console.print(
            f"\n  Airflow    [bold]{info.airflow_url}[/]"
            f"\n  user       {info.airflow_user}"
            f"\n  password   {info.airflow_password}"
            f"\n  database   in {root / 'local.json'}"
            f"\n  logs       {info.logs}\n\nCtrl-C ends it.",
            soft_wrap=True,
        )
        try:
            services.wait()
        except KeyboardInterrupt:
            console.print("ending")


def demo(root: Root = Path(".pressroom")) -> None:
    """Run the example site from its keyword list to illustrated articles that wait for review, then stop."""
    from pressroom.pipelines.site import SITE
    from pressroom.ui.preview import write_preview

    console = Console(highlight=False)
    began = time.monotonic()
    try:
        with services_at(root, console, example=True) as services:
            info = services.info
            with Store(info.database_url) as store:
                with store.transaction() as tx:
                    row = workflow(tx, EXAMPLE_SITE)
                with AirflowApi(info.airflow_url, info.airflow_user, info.airflow_password) as api:
                    await_dag(api, row.workflow.dag_id)
                    dag_run_id = api.trigger(row.workflow.dag_id)
                    console.print(f"\n[bold]{row.workflow.name}[/]: {row.workflow.dag_id} {dag_run_id}\n")
                    found = watch(
                        store, row, SITE, dag_run_id, console=console,
                        ended=lambda: api.run_state(row.workflow.dag_id, dag_run_id) in ("success", "failed"),
                    )  # fmt: skip
                if found is None:
                    raise PermanentError(f"the run was never opened: see {info.logs}")
                with store.transaction(row.account_id) as tx:
                    page = write_preview(tx, row.workflow_id, root / "preview")
                _summary(console, store, row, found, page.absolute(), time.monotonic() - began)
    except KeyboardInterrupt:
        console.print("ended; what was finished is kept, and the next run takes up the rest")
        raise typer.Exit(130) from None
    if found.run.status not in ("completed", "partial"):
        raise PermanentError(f"the run ended {found.run.status}: {found.run.error_message}")


def services_at(
    root: Path,
    console: Console,
    *,
    example: bool = False,
    extra_env: Mapping[str, str] | None = None,
    prepared: Callable[[Store], None] = lambda store: None,
) -> LocalServices:
    """The services of this machine. ``prepared``: called with the store before Airflow starts."""

    def report(service: str, message: str) -> None:
        console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {service:<10} {message}", soft_wrap=True)

    def prepare(url: str) -> None:
        applied = migrate(url)
        if applied:
            report("pressroom", f"schema: {', '.join(applied)}")
        with Store(url) as store:
            if example:
                _apply_example(store, report)
            prepared(store)

    return LocalServices(root, report=report, prepare=prepare, extra_env=extra_env)


def _apply_example(store: Store, report: Report) -> None:
    changes = apply(store, load(EXAMPLES))
    changed = [f"{change.kind} {change.slug}" for change in changes if change.action is not Action.UNCHANGED]
    report("pressroom", f"examples applied: {', '.join(changed) or 'nothing has changed'}")
    with store.transaction() as tx:
        row = workflow(tx, EXAMPLE_SITE)
    with store.transaction(row.account_id) as tx:
        imported = import_keywords(
            tx, row.workflow_id, (EXAMPLES / "keywords.csv").read_bytes(), "keywords.csv"
        )
    report("pressroom", f"keywords: {imported.added} added, {imported.duplicates} known already")


def _summary(
    console: Console, store: Store, row: WorkflowRow, found: reports.RunStatus, page: Path, seconds: float
) -> None:
    with store.transaction(row.account_id) as tx:
        articles = tx.rows("articles_for_review", site=row.workflow_id)
        have = reports.balance(tx)
    table = Table(
        title=f"\n{len(articles)} articles wait for review", title_justify="left", header_style="bold"
    )
    for column, justify in (
        ("article", "left"),
        ("words", "right"),
        ("images", "right"),
        ("written by", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for article in articles:
        table.add_row(article["title"], str(article["word_count"]), str(article["images"]), article["model"])
    console.print(table)
    run = found.run
    console.print(
        f"run {run.id} {run.status} in {seconds:.0f} s, start-up included;"
        f" {run.credits_used} credits ({have.available} left), {run.cents:.2f} cents",
    )
    say_who_wrote(console, sorted({article["model"] for article in articles}))
    console.print(f"Read them: [bold]file://{page}[/]", soft_wrap=True)


def say_who_wrote(console: Console, models: Sequence[str]) -> None:
    """Name the models, and say what the bundled one is good for."""
    if any("SmolLM2-135M" in model for model in models):
        console.print(
            "[yellow]Written by the bundled SmolLM2-135M, a model of 135 million parameters: it shows the"
            " machinery, its sentences mean little.[/]"
            " Set OPENAI_BASE_URL and OPENAI_API_KEY, or PRESSROOM_GGUF, for a better one."
        )
    elif models:
        console.print(f"Written by {', '.join(models)}.")
