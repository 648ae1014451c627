"""A run as it goes: a live table on a terminal, the activity log line by line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pressroom.cli.common import clock
from pressroom.engine.runs import reports
from pressroom.engine.runs.reports import JobState, LogLine, RunStatus
from pressroom.pipelines.stage import Pipeline
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow

REFRESH_SECONDS = 0.5
SUMMARY_SECONDS = 10.0
SHOWN_LINES = 6
MARKS = {
    JobState.PENDING: "[dim]·[/]",
    JobState.RUNNING: "[cyan]▶[/]",
    JobState.RETRYING: "[yellow]↻[/]",
    JobState.PAUSED: "[yellow]‖[/]",
    JobState.COMPLETED: "[green]✓[/]",
    JobState.FAILED: "[red]✗[/]",
    JobState.CANCELLED: "[dim]–[/]",
}


def watch(
    store: Store,
    row: WorkflowRow,
    pipeline: Pipeline,
    dag_run_id: str,
    *,
    console: Console,
    ended: Callable[[], bool],
) -> RunStatus | None:
    """Show the run of that DAG run until it has ended, and return its last status.

    ``ended`` tells whether Airflow is through with it: a run that was refused at the door has no stages to
    wait for. None when the run was never opened.
    """
    began = summed_up = time.monotonic()
    last = 0
    lines: list[LogLine] = []
    status: RunStatus | None = None
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            over = ended()  # asked first, so that what is read below is the end
            with store.transaction(row.account_id) as tx:
                run_id = next(
                    (r.id for r in reports.history(tx, row.workflow_id) if r.dag_run_id == dag_run_id), None
                )
                if run_id is not None:
                    status = reports.status(tx, row.workflow_id, pipeline, run_id)
                    fresh = reports.log_tail(tx, run_id, 500, last)
                    last = fresh[-1].id if fresh else last
                    lines = (lines + fresh)[-SHOWN_LINES:]
                    if not console.is_terminal:
                        for line in fresh:
                            console.print(_line(line), highlight=False, soft_wrap=True)
            if status is not None:
                now = time.monotonic()
                if console.is_terminal:
                    live.update(_picture(status, lines, now - began))
                elif now - summed_up > SUMMARY_SECONDS:
                    summed_up = now
                    console.print(_head(status, now - began), highlight=False, soft_wrap=True)
            if over:
                break
            time.sleep(REFRESH_SECONDS)
    if status is not None:
        console.print(stage_table(status))
    return status


def stage_table(status: RunStatus) -> Table:
    """The stages with what they did."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in (
        ("", "left"),
        ("stage", "left"),
        ("done", "right"),
        ("failed", "right"),
        ("result", "left"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for stage in status.stages:
        shown = {name: value for name, value in stage.result.items() if value not in (None, [], "")}
        table.add_row(
            MARKS[stage.state],
            stage.title,
            f"{stage.processed}/{max(stage.planned, stage.processed)}",
            str(stage.failed or ""),
            ", ".join(f"{name} {_short(value)}" for name, value in shown.items()),
        )
    return table


def _picture(status: RunStatus, lines: list[LogLine], seconds: float) -> RenderableType:
    return Group(_head(status, seconds), stage_table(status), "", *(_line(line) for line in lines))


def _head(status: RunStatus, seconds: float) -> Text:
    items = sum(stage.processed for stage in status.stages)
    return Text.assemble(
        (f"run {status.run.id} {status.run.status}", "bold"),
        f"   {seconds:.0f} s   {items} items   {items * 60 / max(seconds, 1):.0f} a minute   "
        f"{status.run.credits_used} credits   {status.run.cents:.2f} cents",
    )


def _line(line: LogLine) -> Text:
    style = {"warning": "yellow", "error": "red"}.get(line.level, "dim")
    return Text(f"{clock(line.at)} {line.stage or '-':<13} {line.message}", style=style, overflow="ellipsis")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
