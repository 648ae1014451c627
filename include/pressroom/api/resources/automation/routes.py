"""The automation of sites: configure, run, watch, steer."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, ValidationError

from pressroom.api.kit.access import Scope, Subject, allowed
from pressroom.api.kit.idempotency import IdempotencyDep
from pressroom.api.kit.paging import History, Page
from pressroom.api.kit.problems import Problem, invalid, invalid_fields, mistakes, not_found
from pressroom.api.kit.views import LevelQuery
from pressroom.api.resources.automation.models import (
    FIELDS,
    NUMBERS,
    ConfigBody,
    ConfigView,
    CurrentRun,
    DoneLast,
    EstimateView,
    InWork,
    Logs,
    Overview,
    OverviewStage,
    Processing,
    RunNow,
    RunRow,
    Started,
)
from pressroom.api.resources.jobs.models import CancelBody
from pressroom.api.resources.jobs.starting import Action, cancelling, notice_of, start, steered
from pressroom.api.resources.sites import SITES
from pressroom.definitions.saving import Stored
from pressroom.domain.definitions import Automation, Role, dump
from pressroom.domain.errors import InsufficientCredits, RunConflict
from pressroom.domain.public_ids import JOB, public_id, row_id, row_number
from pressroom.domain.text import did_you_mean
from pressroom.engine.runs import control, reports
from pressroom.engine.runs.control import RunState
from pressroom.engine.runs.reports import JobFilter, JobState, LogFilter
from pressroom.pipelines.registry import pipeline_of_dag
from pressroom.pipelines.site import SITE
from pressroom.pipelines.site.publish import SITE_PUBLISH
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow, parse

router = APIRouter(prefix="/automation", tags=["automation"])

SiteQuery = Annotated[str | None, Query(description="the site's number", examples=["12"], max_length=100)]
RunQuery = Annotated[str | None, Query(description="the run's id", examples=["job_12"], max_length=100)]


def _site(site_id: SiteQuery = None) -> Subject:
    """The site that the query names. Raises Problem 400 when it names none."""
    if not site_id:
        raise Problem(400, "site_id is missing", remedy="add ?site_id=NUMBER; GET sites lists them")
    if not (site_id.isascii() and site_id.isdigit()):
        raise Problem(400, "site_id is not a number", remedy="add ?site_id=NUMBER; GET sites lists them")
    return Subject("site", row_number(site_id))


def _run(run_id: RunQuery = None) -> Subject:
    """The run that the query names. Raises Problem 400 when it names none."""
    if not run_id:
        raise Problem(400, "run_id is missing", remedy="add ?run_id=ID; GET automation/history lists them")
    return Subject("job", row_id(JOB, run_id))


@router.get("/config")
def config(scope: Scope = allowed(Role.VIEWER, _site, "site")) -> ConfigView:
    """The site's automation: schedule, batch sizes, delays."""
    with scope.transaction() as tx:
        return _config(tx, scope, scope.workflow(tx).run().site.automation)


@router.put("/update_config")
async def update_config(body: ConfigBody, scope: Scope = allowed(Role.EDITOR, _site, "site")) -> ConfigView:
    """Change the site's automation, in place. Its DAG follows within half a minute."""

    def change(stored: Stored) -> dict[str, Any]:
        try:
            before = parse(Automation, stored.data["automation"], stored.slug)
            after = Automation.model_validate(body.merged(before))
        except ValidationError as error:
            raise _invalid_config(error) from None
        return {**stored.data, "automation": dump(after)}

    stored = await SITES.edit(scope, "configure", change)
    automation = parse(Automation, stored.data["automation"], stored.slug)
    return await scope.run(_config, scope, automation)


@router.post("/run_now", status_code=202, response_model=Started)
async def run_now(
    idempotency: IdempotencyDep,
    body: RunNow | None = None,
    scope: Scope = allowed(Role.EDITOR, _site, "site"),
) -> JSONResponse:
    """Start a run now. Refused with 400 while another one holds the site's lock, or without the credits."""

    async def work() -> Started:
        row = await scope.run(scope.workflow)
        params = body.model_dump(exclude_none=True) if body else {}
        try:
            state = await start(scope, row, params, idempotency.run_name(scope))
        except (RunConflict, InsufficientCredits) as refused:
            raise Problem(400, str(refused)) from refused
        return _started(state, await run_in_threadpool(notice_of, scope, state.dag_id))

    return await idempotency.once(scope, 202, work)


@router.get("/current_run")
def current_run(scope: Scope = allowed(Role.VIEWER, _site, "site")) -> CurrentRun | None:
    """The run that is running or paused, with what its stages made; null when none is."""
    with scope.transaction() as tx:
        live = control.live_run(tx, scope.id)
        if live is None:
            return None
        current = _current(tx, scope.workflow(tx), live.id)
    return current.model_copy(update={"notice": notice_of(scope, live.dag_id)})


@router.get("/pipeline_overview")
def pipeline_overview(scope: Scope = allowed(Role.VIEWER, _site, "site")) -> Overview:
    """What waits in each stage, whether or not a run is on."""
    with scope.transaction() as tx:
        stages = reports.overview(tx, scope.id, SITE)
        counts: dict[str, dict[str, int]] = {}
        for row in tx.rows("site_status_counts", site=scope.id):
            counts.setdefault(row["stage"], {})[row["status"]] = row["items"]
    return Overview(
        site_id=scope.id,
        stages=[
            OverviewStage(
                number=NUMBERS[stage.name], name=stage.name, title=stage.title, pending=stage.pending,
                failed=stage.failed, counts=counts.get(stage.name, {}),
            )
            for stage in stages
        ],
    )  # fmt: skip


@router.get("/current_processing")
def current_processing(
    run_id: RunQuery = None, scope: Scope = allowed(Role.VIEWER, _site, "site")
) -> Processing | None:
    """What the live run is doing at this moment; null when none is running."""
    with scope.transaction() as tx:
        live = control.live_run(tx, scope.id)
        if run_id is not None and reports.run_of(tx, scope.id, row_id(JOB, run_id) or 0) is None:
            raise not_found("run")
        if live is None or (run_id is not None and public_id(JOB, live.id) != run_id):
            return None
        status = _status(tx, scope.workflow(tx), live.id)
        in_work = tx.all("items_in_work", InWork, run=live.id)
        done_last = tx.all("items_done_last", DoneLast, run=live.id)
    run = status.run
    now = next((stage for stage in status.stages if stage.name == run.current_stage), None)
    planned, processed = (max(now.planned, now.processed), now.processed) if now else (0, 0)
    return Processing(
        run_id=public_id(JOB, live.id), state=run.state, title=now.title if now else None,
        current_stage=NUMBERS.get(run.current_stage or ""), current_stage_name=run.current_stage,
        processed=processed, planned=planned, remaining=planned - processed,
        percent=round(100 * processed / planned, 1) if planned else 0.0, in_work=in_work, done_last=done_last,
    )  # fmt: skip


@router.post("/pause")
def pause(site_id: SiteQuery = None, scope: Scope = allowed(Role.EDITOR, _run, "job")) -> CurrentRun:
    """Stop the run after its current items; no worker is held meanwhile."""
    return _steered(scope, "pause", site_id)


@router.post("/resume")
def resume(site_id: SiteQuery = None, scope: Scope = allowed(Role.EDITOR, _run, "job")) -> CurrentRun:
    """Let a paused run go on from the stage that it is at."""
    return _steered(scope, "resume", site_id)


@router.post("/cancel")
def cancel(
    body: CancelBody | None = None,
    site_id: SiteQuery = None,
    scope: Scope = allowed(Role.EDITOR, _run, "job"),
) -> CurrentRun:
    """End the run after its current items, or at once; what is finished stays."""
    return _steered(scope, cancelling(body), site_id)


@router.get("/history")
def history(
    paging: History,
    status: Annotated[JobState | None, Query(description="only those")] = None,
    trigger_type: Literal["manual", "scheduled"] | None = None,
    part: Annotated[
        Literal["pipeline", "publish"] | None, Query(description="only runs of this; null: all")
    ] = None,
    since: Annotated[AwareDatetime | None, Query(description="started at this time or later")] = None,
    until: Annotated[AwareDatetime | None, Query(description="started before this time")] = None,
    scope: Scope = allowed(Role.VIEWER, _site, "site"),
) -> Page[RunRow]:
    """The site's runs, newest first."""
    job_filter = JobFilter(
        workflow=scope.id, part="" if part == "pipeline" else part, state=status, trigger=trigger_type,
        since=since, until=until, before=paging.before,
    )  # fmt: skip
    with scope.transaction() as tx:
        runs = reports.jobs(tx, job_filter, paging.fetch)
    return paging.page(runs, RunRow.of, lambda run: [run.id])


@router.get("/logs")
def logs(
    lines: Annotated[int, Query(ge=1, le=5000, description="how many, from the end")] = 100,
    stage: Annotated[
        str | None, Query(max_length=100, description="only this stage's lines: its number or name")
    ] = None,
    level: LevelQuery = "info",
    scope: Scope = allowed(Role.VIEWER, _run, "job"),
) -> Logs:
    """The tail of a run's activity log."""
    _must_be_of_site(scope)
    chosen = LogFilter(None if stage is None else _stage_name(stage), level)
    with scope.transaction() as tx:
        tail = reports.log_tail(tx, scope.id, lines, chosen=chosen)
    return Logs.model_validate({"run_id": public_id(JOB, scope.id), "lines": [vars(line) for line in tail]})


@router.get("/estimate")
def estimate(scope: Scope = allowed(Role.VIEWER, _site, "site")) -> EstimateView:
    """The credits that a run started now would need, and whether the account has them."""
    with scope.transaction() as tx:
        expected = SITE.estimate(tx, scope.workflow(tx).run())
        balance = reports.balance(tx)
    return EstimateView(
        estimated_credits=expected.total, required_credits=expected.required, current_balance=balance.balance,
        available_credits=balance.available, sufficient=expected.sufficient(balance.available),
        stages=dict(expected.credits),
    )  # fmt: skip


# What they share --------------------------------------------------------------------------------------


def _config(tx: Tx, scope: Scope, automation: Automation) -> ConfigView:
    [last] = tx.rows("last_runs", workflow=scope.id)
    return ConfigView.of(scope.id, automation, datetime.now(UTC), **last)


def _invalid_config(error: ValidationError) -> Problem:
    fields = []
    for path, message in mistakes(error):
        first = path.partition(".")[0] or "cron"
        fields.append((f"body.{FIELDS.get(first, first)}", message))
    return invalid_fields(fields)


def _stage_name(stage: str) -> str:
    """The name of a stage that is named or numbered. Raises Problem 422."""
    names = {str(number): name for name, number in NUMBERS.items()}
    # The stage of publish runs has no number.
    known = [each.name for each in (*SITE.stages, *SITE_PUBLISH.stages)]
    name = names.get(stage, stage)
    if name not in known:
        raise invalid("query.stage", f"a site has no stage {stage!r}{did_you_mean(stage, known)}")
    return name


def _must_be_of_site(scope: Scope, site_id: str | None = None) -> None:
    """Raises Problem 404 for a run of something else than a site, or of another site than the named one."""
    if scope.workflow_kind != "site" or site_id not in (None, str(scope.workflow_id)):
        raise not_found("run of a site")


def _started(state: RunState, notice: str | None) -> Started:
    return Started(
        run_id=public_id(JOB, state.id), site_id=state.workflow_id, status="running", dag_id=state.dag_id,
        dag_run_id=state.dag_run_id, notice=notice,
    )  # fmt: skip


def _status(tx: Tx, row: WorkflowRow, run_id: int) -> reports.RunStatus:
    run = reports.run_of(tx, row.workflow_id, run_id)
    if run is None:
        raise not_found("run")
    return reports.status_of(tx, run, pipeline_of_dag(row.workflow, run.dag_id))


def _current(tx: Tx, row: WorkflowRow, run_id: int) -> CurrentRun:
    return CurrentRun.with_results(_status(tx, row, run_id))


def _steered(scope: Scope, action: Action, site_id: str | None) -> CurrentRun:
    _must_be_of_site(scope, site_id)
    return steered(scope, action, partial(_current, run_id=scope.id))
