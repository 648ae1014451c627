"""Commands on a site's runs: start and steer them, and see what they do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pressroom import settings
from pressroom.adapters.airflow_api import AirflowApi
from pressroom.cli.common import await_dag, clock, open_site, show
from pressroom.definitions.reading import SiteRow
from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.engine import reports
from pressroom.pipelines.stage import Pipeline, Run
from pressroom.store.database import Store

FOLLOW_SECONDS = 1.0
FOLLOW_LINES = 500

Site = Annotated[str, typer.Argument(help="the site's slug", metavar="SITE")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (run, pause, resume, cancel, status, history, logs, estimate, overview, preview):
        app.command(command.__name__)(command)
    app.command("retry-failed")(retry_failed)


def run(
    site: Site,
    wait: Annotated[bool, typer.Option("--wait", help="wait for its end; exit code 1 when it fails")] = False,
    articles: Annotated[
        int | None, typer.Option(min=1, help="articles to write; default: the site's")
    ] = None,
) -> None:
    """Start a run of the site's pipeline. Refused while another one is live."""
    with open_site(site) as (store, row):
        if row.site.status != "active":
            raise PermanentError(f"the site {site} is disabled: set status: active and apply it")
        with store.transaction(row.account_id) as tx:
            newest = next(iter(reports.history(tx, row.site_id, 1)), None)
        if newest and newest.live and not newest.lease_over:
            raise RunConflict(
                f"run {newest.id} of {site} is {newest.status}, started by {newest.owner} at"
                f" {newest.started_at.astimezone():%Y-%m-%d %H:%M:%S}"
            )
        login = settings.airflow_login()
        with AirflowApi(login.url, login.user, login.password) as api:
            dag_id = row.site.dag_id
            await_dag(api, dag_id)
            dag_run_id = api.trigger(dag_id, {} if articles is None else {"articles": articles})
            typer.echo(f"started {dag_id} {dag_run_id}")
            if wait:
                _wait(api, store, row, dag_run_id)


def pause(site: Site) -> None:
    """Stop the live run after its current items; no worker is held meanwhile."""
    from pressroom.engine import control

    with open_site(site) as (store, row), store.transaction(row.account_id) as tx:
        control.pause(tx, row.site_id)
    typer.echo(f"{site}: paused after the current items")


def resume(site: Site) -> None:
    """Let a paused run go on."""
    from pressroom.engine import control

    with open_site(site) as (store, row), store.transaction(row.account_id) as tx:
        control.resume(tx, row.site_id)
    typer.echo(f"{site}: resumed")


def cancel(site: Site) -> None:
    """End the live run after its current items; the rest is skipped."""
    from pressroom.engine import control

    with open_site(site) as (store, row), store.transaction(row.account_id) as tx:
        control.cancel(tx, row.site_id)
    typer.echo(f"{site}: cancelled after the current items")


def status(site: Site) -> None:
    """Show the live run, else the last one, stage by stage."""
    with open_site(site) as (store, row), store.transaction(row.account_id) as tx:
        found = reports.status(tx, row.site_id, _pipeline())
    if found is None:
        typer.echo(f"{site} has no runs yet")
        return
    run = found.run
    typer.echo(
        f"run {run.id} ({run.dag_run_id}): {run.status} since {run.since.astimezone():%Y-%m-%d %H:%M:%S}"
    )
    typer.echo(f"started by {run.owner} at {run.started_at.astimezone():%Y-%m-%d %H:%M:%S} ({run.trigger})")
    if run.current_stage:
        typer.echo(f"stage: {run.current_stage}{' (cancel requested)' if run.cancel_requested else ''}")
    typer.echo(f"credits: {run.credits_used} used, {run.estimated_credits} estimated; cents: {run.cents:.4f}")
    if run.error_message:
        typer.echo(f"error: {run.error_message}")
    show(
        ["stage", "state", "done", "failed", "result"],
        [
            (s.title, s.state, f"{s.processed}/{max(s.planned, s.processed)}", s.failed, _fields(s.result))
            for s in found.stages
        ],
    )


def history(
    site: Site,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many runs")] = reports.HISTORY_RUNS,
) -> None:
    """List the site's runs, newest first."""
    with open_site(site) as (store, row), store.transaction(row.account_id) as tx:
        found = reports.history(tx, row.site_id, limit)
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
            for run in found
        ],
    )


def logs(
    site: Site,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="go on until the run ends")] = False,
    lines: Annotated[int, typer.Option(min=1, max=100_000, help="how many lines to begin with")] = 100,
    run: Annotated[int | None, typer.Option(help="a run's number; default: the live or last one")] = None,
) -> None:
    """Show the activity log of a run."""
    with open_site(site) as (store, row):
        with store.transaction(row.account_id) as tx:
            found = reports.status(tx, row.site_id, _pipeline(), run)
            if found is None:
                raise PermanentError(f"{site} has no run {run}" if run else f"{site} has no runs yet")
            found_lines = reports.log_tail(tx, found.run.id, lines)
        last = _echo_lines(found_lines, 0)
        if follow:
            _follow(store, row, found.run.id, last)


def estimate(site: Site) -> None:
    """Show the credits that a run started now would need, and whether the account has them."""
    from pressroom.pipelines.site.estimate import estimate_run

    with open_site(site) as (store, row), store.transaction(row.account_id) as tx:
        run = Run(0, row.account_id, row.site_id, row.account, row.site, row.brand)
        expected = estimate_run(tx, run)
        have = reports.balance(tx)
    show(
        ["stage", "items", "credits"],
        [(stage, expected.items.get(stage, ""), amount) for stage, amount in expected.credits.items()],
    )
    verdict = "sufficient" if expected.sufficient(have.available) else "not sufficient"
    show(
        ["estimated credits", "needed (× 1.2)", "available", "verdict"],
        [(expected.total, expected.required, have.available, verdict)],
    )


def overview(site: Site) -> None:
    """Show what waits in each stage."""
    with open_site(site) as (store, row), store.transaction(row.account_id) as tx:
        found = reports.overview(tx, row.site_id, _pipeline())
    show(["stage", "title", "pending", "failed"], [(s.name, s.title, s.pending, s.failed) for s in found])


def retry_failed(
    site: Site,
    stage: Annotated[str | None, typer.Option(help="only this stage's; default: all")] = None,
) -> None:
    """Let items that failed for good be taken up by the next run."""
    from pressroom.domain.suggest import did_you_mean

    names = [each.name for each in _pipeline().stages]
    if stage is not None and stage not in names:
        raise typer.BadParameter(f"there is no stage {stage!r}{did_you_mean(stage, names)}")
    with open_site(site) as (store, row), store.transaction(row.account_id) as tx:
        count = reports.forget_failures(tx, row.site_id, stage)
    typer.echo(f"{count} failed items wait again")


def preview(
    site: Site,
    out: Annotated[Path, typer.Option("--out", help="folder to write to")] = Path("preview"),
) -> None:
    """Write the site's articles as browsable HTML."""
    from pressroom.ui.preview import write_preview

    with open_site(site) as (store, row), store.transaction(row.account_id) as tx:
        path = write_preview(tx, row.site_id, out)
    typer.echo(str(path))


def _pipeline() -> Pipeline:
    # The stages bring model libraries along, which `apply` or `credits` should not wait for.
    from pressroom.pipelines.site import SITE

    return SITE


def _fields(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in result.items() if value is not None)


def _wait(api: AirflowApi, store: Store, row: SiteRow, dag_run_id: str) -> None:
    state = api.wait(row.site.dag_id, dag_run_id)
    with store.transaction(row.account_id) as tx:
        ended = next((r for r in reports.history(tx, row.site_id) if r.dag_run_id == dag_run_id), None)
    result = ended.status if ended else state
    typer.echo(
        f"{row.site.slug}: {result}{f': {ended.error_message}' if ended and ended.error_message else ''}"
    )
    if state != "success" or result == "failed":
        raise typer.Exit(1)


def _follow(store: Store, row: SiteRow, run_id: int, last: int) -> None:
    pipeline = _pipeline()
    while True:
        with store.transaction(row.account_id) as tx:
            # The state is read before the lines, so that nothing written before the end is missed.
            state = reports.status(tx, row.site_id, pipeline, run_id)
            lines = reports.log_tail(tx, run_id, FOLLOW_LINES, last)
        last = _echo_lines(lines, last)
        if state is None or (not state.run.live and len(lines) < FOLLOW_LINES):
            return
        if len(lines) < FOLLOW_LINES:
            time.sleep(FOLLOW_SECONDS)


def _echo_lines(lines: list[reports.LogLine], last: int) -> int:
    for line in lines:
        level = "" if line.level == "info" else f"{line.level.upper()} "
        typer.echo(f"{clock(line.at)} {line.stage or '-':<13} {level}{line.message}")
    return lines[-1].id if lines else last
