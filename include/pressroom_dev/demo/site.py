"""`demo`: the example site from its keyword list to illustrated articles that wait for review."""

from __future__ import annotations

import time
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from pressroom.adapters.airflow_api import AirflowApi
from pressroom.cli.common import await_dag
from pressroom.domain.errors import PermanentError
from pressroom.engine.runs import reports
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow, workflow
from pressroom_dev.demo.start import EXAMPLE_SITE, Model, Root, say_who_wrote, services_at
from pressroom_dev.demo.watch import watch


def demo(root: Root = Path(".pressroom"), model: Model = None) -> None:
    """Run the example site from its keyword list to illustrated articles that wait for review, then stop."""
    from pressroom.pipelines.site import SITE
    from pressroom.ui.site import write_preview

    console = Console(highlight=False)
    began = time.monotonic()
    try:
        with services_at(root, console, model=model, example=True) as services:
            info = services.info
            with Store(info.database_url) as store:
                with store.transaction() as tx:
                    row = workflow(tx, EXAMPLE_SITE)
                with AirflowApi(info.airflow_url, info.airflow_user, info.airflow_password) as api:
                    await_dag(api, row.workflow.dag_id)
                    dag_run_id = api.trigger(row.workflow.dag_id)
                    console.print(f"\n[bold]{row.workflow.name}[/]: {row.workflow.dag_id} {dag_run_id}\n")
                    status = watch(
                        store, row, SITE, dag_run_id, console=console,
                        ended=lambda: api.run_state(row.workflow.dag_id, dag_run_id) in ("success", "failed"),
                    )  # fmt: skip
                if status is None:
                    raise PermanentError(f"the run was never opened: see {info.logs}")
                with store.transaction(row.account_id) as tx:
                    page = write_preview(tx, row.workflow_id, root / "preview")
                _summary(console, store, row, status, page.absolute(), time.monotonic() - began)
    except KeyboardInterrupt:
        console.print("ended; what was finished is kept, and the next run takes up the rest")
        raise typer.Exit(130) from None
    if status.run.status not in ("completed", "partial"):
        raise PermanentError(f"the run ended {status.run.status}: {status.run.error_message}")


def _summary(
    console: Console, store: Store, row: WorkflowRow, status: reports.RunStatus, page: Path, seconds: float
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
    run = status.run
    console.print(
        f"run {run.id} {run.status} in {seconds:.0f} s, start-up included;"
        f" {run.credits_used} credits ({have.available} left), {run.cents:.2f} cents",
    )
    say_who_wrote(console, sorted({article["model"] for article in articles}))
    console.print(f"Read them: [bold]file://{page}[/]", soft_wrap=True)
