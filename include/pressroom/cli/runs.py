"""Commands on the runs of sites and missions: start and steer them, and see what they do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from pressroom import settings
from pressroom.adapters.airflow_api import AirflowApi
from pressroom.cli.common import (
    changing,
    clock,
    open_airflow,
    open_tx,
    open_workflow,
    show,
    start,
    warn_if_paused,
)
from pressroom.domain.errors import PermanentError, PressroomError, RunConflict
from pressroom.engine.runs import reports
from pressroom.engine.runs.control import Level
from pressroom.pipelines.stage import ESTIMATE_BUFFER, Pipeline
from pressroom.store import frozen
from pressroom.store.database import Store, Tx
from pressroom.store.workflows import WorkflowRow

FOLLOW_SECONDS = 1.0
FOLLOW_LINES = 500

Name = Annotated[
    str, typer.Argument(help="the slug of a site or mission; kind/slug where both have it", metavar="NAME")
]
RunOption = Annotated[int | None, typer.Option("--run", help="a run's number; default: the live or last one")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (run, pause, resume, cancel, status, history, logs, estimate, overview, preview):
        app.command(command.__name__)(command)
    app.command("retry-failed")(retry_failed)


def run(
    name: Name,
    wait: Annotated[bool, typer.Option("--wait", help="wait for its end; exit code 1 when it fails")] = False,
    articles: Annotated[
        int | None, typer.Option(min=1, help="articles to write; default: the site's")
    ] = None,
) -> None:
    """Start a run of the workflow's pipeline. Refused while another one is live."""
    with open_workflow(name) as (store, row), open_airflow() as (api, user):
        dag_run_id = start(api, user, store, row, {} if articles is None else {"articles": articles})
        if wait:
            _wait(api, store, row, dag_run_id)


def pause(name: Name) -> None:
    """Stop the live run after its current items; no worker is held meanwhile."""
    from pressroom.engine.runs import control

    with changing(name, "job.pause") as (tx, row):
        control.pause(tx, row.workflow_id)
    typer.echo(f"{name}: paused after the current items")


def resume(name: Name) -> None:
    """Let a paused run go on."""
    from pressroom.engine.runs import control

    with changing(name, "job.resume") as (tx, row):
        control.resume(tx, row.workflow_id)
    typer.echo(f"{name}: resumed")


def cancel(
    name: Name,
    now: Annotated[
        bool, typer.Option("--now", help="stop calls in flight within seconds; their items wait")
    ] = False,
) -> None:
    """End the live run after its current items; the rest is skipped."""
    from pressroom.engine import gates
    from pressroom.engine.runs import control

    with changing(name, "job.cancel_now" if now else "job.cancel") as (tx, row):
        control.cancel(tx, row.workflow_id, now=now)
        waits = gates.cancelled_waits(tx, row.workflow_id)
    typer.echo(f"{name}: cancelled {'at once' if now else 'after the current items'}")
    if waits:
        _end_waits(waits)


def _end_waits(tasks: Sequence[Mapping[str, Any]]) -> None:
    """Wake the tasks that wait for a person: they see that their run was cancelled, and end.

    What Airflow refuses is shown: the run is cancelled all the same.
    """
    from pressroom.engine import gates

    with open_airflow() as (api, _):
        for task in tasks:
            try:
                api.answer(task, gates.REJECT.capitalize(), {gates.EDIT: ""})
            except RunConflict:
                continue  # somebody has just answered it
            except PressroomError as error:
                typer.echo(f"warning: a wait for a person was not ended: {error}", err=True)


def status(name: Name, run: RunOption = None) -> None:
    """Show a run, stage by stage: the live one, else the last one that began its work."""
    with open_tx(name) as (tx, row):
        # It may be a run of a part of the workflow, which has stages of its own.
        chosen, refused = _chosen(tx, row, name, run)
        shown = None
        if chosen is not None:
            row = frozen.shown_row(tx, row, chosen.id)
            shown = reports.status_of(tx, chosen, _pipeline(row, chosen.dag_id))
    for job in refused:
        typer.echo(f"run {job.id}, started by {job.owner} later, never began: {job.error_message}")
    if shown is None:
        typer.echo(f"{name} has no runs yet")
        return
    job = shown.run
    if job.live:
        _warn_if_paused(job.dag_id)
    typer.echo(
        f"run {job.id} ({job.dag_run_id}): {job.status} since {job.since.astimezone():%Y-%m-%d %H:%M:%S}"
    )
    typer.echo(f"started by {job.owner} at {job.started_at.astimezone():%Y-%m-%d %H:%M:%S} ({job.trigger})")
    if job.current_stage:
        typer.echo(f"stage: {job.current_stage}{' (cancel requested)' if job.cancel_requested else ''}")
    typer.echo(f"credits: {job.credits_used} used, {job.estimated_credits} estimated; cents: {job.cents:.4f}")
    if job.error_message:
        typer.echo(f"error: {job.error_message}")
    show(
        ["stage", "state", "done", "failed", "result"],
        [
            (s.title, s.state, f"{s.processed}/{max(s.planned, s.processed)}", s.failed, _fields(s.result))
            for s in shown.stages
        ],
    )


def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many runs")] = reports.HISTORY_RUNS,
) -> None:
    """List the workflow's runs, newest first."""
    with open_tx(name) as (tx, row):
        runs = reports.history(tx, row.workflow_id, limit)
    show(
        ["run", "status", "trigger", "started", "completed", "credits", "cents", "stage", "error"],
        [
            (
                run.id,
                run.status,
                run.trigger,
                run.started_at,
                run.completed_at,
                run.credits_used,
                f"{run.cents:.4f}",
                run.current_stage,
                run.error_message,
            )
            for run in runs
        ],
    )


def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="go on until the run ends")] = False,
    lines: Annotated[int, typer.Option(min=1, max=100_000, help="how many lines to begin with")] = 100,
    run: RunOption = None,
    stage: Annotated[str | None, typer.Option(help="only the lines of this stage or step")] = None,
    level: Annotated[
        Level, typer.Option(help="the least level: warning shows warnings and errors")
    ] = reports.LEVELS[0],
) -> None:
    """Show the activity log of a run."""
    chosen = reports.LogFilter(stage, level)
    with open_workflow(name) as (store, row):
        with store.transaction(row.account_id) as tx:
            job = reports.run_of(tx, row.workflow_id, run)
            if job is None:
                raise PermanentError(f"{name} has no run {run}" if run else f"{name} has no runs yet")
            tail = reports.log_tail(tx, job.id, lines, chosen=chosen)
        last = _echo_lines(tail, 0)
        if follow:
            _follow(store, row, job.id, last, chosen)


def estimate(name: Name) -> None:
    """Show the credits that a run started now would need, and whether the account has them."""
    with open_tx(name) as (tx, row):
        expected = _pipeline(row).estimate(tx, row.run())
        balance = reports.balance(tx)
    show(
        ["stage", "items", "credits"],
        [(stage, expected.items.get(stage, ""), amount) for stage, amount in expected.credits.items()],
    )
    verdict = "sufficient" if expected.sufficient(balance.available) else "not sufficient"
    show(
        ["estimated credits", f"needed (× {ESTIMATE_BUFFER})", "available", "verdict"],
        [(expected.total, expected.required, balance.available, verdict)],
    )


def overview(name: Name) -> None:
    """Show what waits in each stage."""
    with open_tx(name) as (tx, row):
        stages = reports.overview(tx, row.workflow_id, _pipeline(row))
    show(["stage", "title", "pending", "failed"], [(s.name, s.title, s.pending, s.failed) for s in stages])


def retry_failed(
    name: Name,
    stage: Annotated[str | None, typer.Option(help="only this stage's; default: all")] = None,
) -> None:
    """Let failed items wait again, for the next run."""
    from pressroom.domain.text import did_you_mean

    with changing(name, "failures.forgive", stage=stage) as (tx, row):
        names = [each.name for pipeline in _pipelines(row) for each in pipeline.stages]
        if stage is not None and stage not in names:
            raise typer.BadParameter(f"there is no stage {stage!r}{did_you_mean(stage, names)}")
        count = reports.forget_failures(tx, row.workflow_id, stage)
    typer.echo(f"{count} failed items wait again")


def preview(
    name: Name,
    out: Annotated[Path, typer.Option("--out", help="folder to write to")] = Path("preview"),
) -> None:
    """Write a site's articles, or a mission's calendar and results, as browsable HTML."""
    from pressroom.ui.mission.page import write_mission_page
    from pressroom.ui.site import write_preview

    with open_tx(name) as (tx, row):
        if row.workflow.kind == "Mission":
            path = write_mission_page(tx, row.workflow_id, out, simulated=settings.simulated())
        else:
            path = write_preview(tx, row.workflow_id, out)
    typer.echo(str(path))


def _pipeline(row: WorkflowRow, dag_id: str | None = None) -> Pipeline:
    # The stages import model libraries, which `apply` and `credits` should not wait for.
    from pressroom.pipelines.registry import pipeline_of_dag

    return pipeline_of_dag(row.workflow, dag_id or row.workflow.dag_id)


def _pipelines(row: WorkflowRow) -> list[Pipeline]:
    from pressroom.pipelines.registry import parts_of, pipeline_of

    return [pipeline_of(row.workflow, part) for part in parts_of(row.workflow)]


def _chosen(
    tx: Tx, row: WorkflowRow, name: str, run: int | None
) -> tuple[reports.Job | None, list[reports.Job]]:
    """The run to show, and the newer ones that ended before they began, which must not hide it.

    ``run``: its number; None for the live run, else the last one that began, else the newest.
    """
    from pressroom.engine.runs import control

    if run is not None:
        job = reports.run_of(tx, row.workflow_id, run)
        if job is None:
            raise PermanentError(f"{name} has no run {run}: `pressroom history {name}` lists them")
        return job, []
    jobs = reports.history(tx, row.workflow_id)
    for position, job in enumerate(jobs):
        if job.live or control.begun(tx, job.id):
            return job, [newer for newer in jobs[:position] if newer.id > job.id]
    return (jobs[0] if jobs else None), []


def _fields(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in result.items() if value is not None)


def _warn_if_paused(dag_id: str) -> None:
    """As ``warn_if_paused``, where Airflow can be asked: the status is shown without it, too."""
    with suppress(PressroomError), open_airflow() as (api, _):
        warn_if_paused(api, dag_id)


def _wait(api: AirflowApi, store: Store, row: WorkflowRow, dag_run_id: str) -> None:
    state = api.wait(row.workflow.dag_id, dag_run_id)
    with store.transaction(row.account_id) as tx:
        ended = next((r for r in reports.history(tx, row.workflow_id) if r.dag_run_id == dag_run_id), None)
    result = ended.status if ended else state
    typer.echo(
        f"{row.workflow.slug}: {result}{f': {ended.error_message}' if ended and ended.error_message else ''}"
    )
    if state != "success" or result == "failed":
        raise typer.Exit(1)


def _follow(store: Store, row: WorkflowRow, run_id: int, last: int, chosen: reports.LogFilter) -> None:
    while True:
        with store.transaction(row.account_id) as tx:
            # The state is read before the lines, so that nothing written before the end is missed.
            job = reports.run_of(tx, row.workflow_id, run_id)
            lines = reports.log_tail(tx, run_id, FOLLOW_LINES, last, chosen)
        last = _echo_lines(lines, last)
        if job is None or (not job.live and len(lines) < FOLLOW_LINES):
            return
        if len(lines) < FOLLOW_LINES:
            time.sleep(FOLLOW_SECONDS)


def _echo_lines(lines: list[reports.LogLine], last: int) -> int:
    for line in lines:
        level = "" if line.level == "info" else f"{line.level.upper()} "
        typer.echo(f"{clock(line.at)} {line.stage or '-':<13} {level}{line.message}")
    return lines[-1].id if lines else last
