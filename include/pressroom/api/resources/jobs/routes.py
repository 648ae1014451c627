"""Jobs: runs of sites, missions and flows. Start, watch, retry from a stage, cancel, roll back."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel

from pressroom.api.kit.access import ACCOUNT, JOB, Scope, Subject, allowed
from pressroom.api.kit.idempotency import IdempotencyDep
from pressroom.api.kit.items import FlowFilter, MissionFilter, SiteFilter, workflow_of
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.pictures import base_of
from pressroom.api.kit.problems import invalid, not_found
from pressroom.api.kit.streaming import EVENT, event_stream, events, must_open
from pressroom.api.kit.views import LevelQuery, LogLineView
from pressroom.api.resources.jobs.models import (
    Accepted,
    CancelBody,
    JobBody,
    JobRetried,
    JobRow,
    JobView,
    RetryBody,
    WorkflowKind,
)
from pressroom.api.resources.jobs.starting import (
    cancelling,
    clear,
    end_waits,
    notice_of,
    start,
    start_again,
    steered,
)
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.errors import RunConflict
from pressroom.domain.public_ids import LARGEST, public_id, row_id
from pressroom.engine import audit
from pressroom.engine.runs import control, reports, starting
from pressroom.engine.runs.reports import JobFilter, JobState, LogFilter
from pressroom.engine.runs.starting import NoSuchStage
from pressroom.pipelines.registry import pipeline_of_dag
from pressroom.store import frozen
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow

router = APIRouter(prefix="/pipeline/jobs", tags=["jobs"])

Stream = Annotated[bool, Query(description="true: server-sent events, until the job is over")]


class JobLog(BaseModel):
    """Lines of a job's log, oldest first. ``last``: the number of the last one, to go on after."""

    id: str
    lines: list[LogLineView]
    last: int


def _of_body(body: JobBody) -> Subject:
    """The workflow that a new job is of."""
    if body.mission_id is not None:
        return Subject("mission", row_id(public_ids.MISSION, body.mission_id))
    if body.flow_id is not None:
        return Subject("flow", row_id(public_ids.FLOW, body.flow_id))
    number = body.site_id or 0
    return Subject("site", number if number <= LARGEST else None)


@router.post("", status_code=202, response_model=JobView)
async def create_job(
    body: JobBody,
    request: Request,
    idempotency: IdempotencyDep,
    scope: Scope = allowed(Role.EDITOR, _of_body, "mission"),
) -> JSONResponse:
    """Run a site, mission or flow now. Refused with 409 while another run of it holds the lock."""

    async def work() -> JobView:
        row = await scope.run(scope.workflow)
        state = await start(scope, row, body.params(), idempotency.run_name(scope))
        view = await scope.run(_view, row, state.id, base_of(request))
        return await run_in_threadpool(_with_notice, scope, view)

    return await idempotency.once(scope, 202, work)


@router.get("")
def list_jobs(
    paging: Paged,
    kind: WorkflowKind | None = None,
    site: SiteFilter = None,
    mission: MissionFilter = None,
    flow: FlowFilter = None,
    state: Annotated[JobState | None, Query(description="only those")] = None,
    trigger: Literal["manual", "scheduled"] | None = None,
    since: Annotated[AwareDatetime | None, Query(description="started at this time or later")] = None,
    until: Annotated[AwareDatetime | None, Query(description="started before this time")] = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[JobRow]:
    """The account's jobs, newest first."""
    job_filter = JobFilter(
        workflow=workflow_of(site, mission, flow), kind=kind, state=state, trigger=trigger, since=since,
        until=until, before=paging.before,
    )  # fmt: skip
    with scope.transaction() as tx:
        jobs = reports.jobs(tx, job_filter, paging.fetch)
    return paging.page(jobs, JobRow.of, lambda job: [job.id])


@router.get("/{id}")
def get_job(request: Request, scope: Scope = allowed(Role.VIEWER, JOB)) -> JobView:
    """A job with its progress and what each stage made."""
    with scope.transaction() as tx:
        view = _view(tx, scope.workflow(tx), scope.id, base_of(request))
    return _with_notice(scope, view)


@router.get(
    "/{id}/logs",
    response_model=JobLog,
    responses={200: {"content": {"text/event-stream": {"schema": EVENT}}}},
)
def get_logs(
    *,
    stream: Stream = False,
    lines: Annotated[int, Query(ge=1, le=5000, description="how many")] = 100,
    stage: Annotated[
        str | None,
        Query(max_length=100, description="only this stage's or step's lines", examples=["content"]),
    ] = None,
    level: LevelQuery = "info",
    after: Annotated[
        int | None,
        Query(ge=0, le=LARGEST, description="only lines with a higher number; null: the last ones"),
    ] = None,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=LARGEST, description="of a stream: where it was cut off")
    ] = None,
    scope: Scope = allowed(Role.VIEWER, JOB),
) -> Response:
    """A job's log. As a stream, each line is an event ``log`` with its number as id; ``end`` ends it."""
    chosen = LogFilter(stage, level)
    if stream:
        from_line = last_event_id if last_event_id is not None else after
        with scope.transaction() as tx:
            must_open(scope, tx)
        return event_stream(events(scope, scope.id, from_line or 0, chosen))
    with scope.transaction() as tx:
        tail = reports.log_tail(tx, scope.id, lines, after, chosen)
    log = JobLog.model_validate(
        {
            "id": public_id(public_ids.JOB, scope.id),
            "lines": [vars(line) for line in tail],
            "last": tail[-1].id if tail else after or 0,
        }
    )
    return Response(log.model_dump_json(), media_type="application/json")


@router.post("/{id}/retry", status_code=202, response_model=JobRetried)
async def retry_job(
    idempotency: IdempotencyDep, body: RetryBody | None = None, scope: Scope = allowed(Role.EDITOR, JOB)
) -> JSONResponse:
    """Run a stage and what follows it again, in the same DAG run. What is done is not repeated."""

    async def work() -> JobRetried:
        row, run = await scope.run(_row_and_run, scope)
        try:
            stages = await start_again(scope, row, run, body.from_stage if body else None)
        except NoSuchStage as error:
            raise invalid("body.from_stage", str(error)) from None
        return JobRetried(id=public_id(public_ids.JOB, run.id), from_stage=stages[0], stages=stages)

    return await idempotency.once(scope, 202, work)


@router.post("/{id}/pause")
def pause_job(request: Request, scope: Scope = allowed(Role.EDITOR, JOB)) -> JobView:
    """Stop the job after its current items; no worker is held meanwhile."""
    return steered(scope, "pause", partial(_view, run_id=scope.id, base=base_of(request)))


@router.post("/{id}/resume")
def resume_job(request: Request, scope: Scope = allowed(Role.EDITOR, JOB)) -> JobView:
    """Let a paused job go on."""
    return steered(scope, "resume", partial(_view, run_id=scope.id, base=base_of(request)))


@router.post("/{id}/cancel")
async def cancel_job(
    request: Request, body: CancelBody | None = None, scope: Scope = allowed(Role.EDITOR, JOB)
) -> JobView:
    """End the job after its current items, or at once; what is finished stays. Waits for people end too."""
    show = partial(_view, run_id=scope.id, base=base_of(request))
    view = await run_in_threadpool(steered, scope, cancelling(body), show)
    await end_waits(scope)
    return view


@router.post("/{id}/rollback", status_code=202, response_model=Accepted)
async def roll_back_job(
    idempotency: IdempotencyDep, scope: Scope = allowed(Role.APPROVER, JOB)
) -> JSONResponse:
    """Undo what a mission's job did, last stage first. Published posts stay, and are listed."""

    async def work() -> Accepted:
        run = await scope.run(_request_rollback, scope)
        await clear(scope, run, starting.ROLLBACK_TASK)
        detail = "the rollback is under way: see the job's log, and its rollback when it is done"
        return Accepted(id=public_id(public_ids.JOB, run.id), detail=detail)

    return await idempotency.once(scope, 202, work)


def _row_and_run(tx: Tx, scope: Scope) -> tuple[WorkflowRow, control.RunState]:
    return scope.workflow(tx), control.get(tx, scope.id)


def _request_rollback(tx: Tx, scope: Scope) -> control.RunState:
    row, run = _row_and_run(tx, scope)
    pipeline = pipeline_of_dag(row.workflow, run.dag_id)
    if all(stage.undo is None for stage in pipeline.stages):
        raise RunConflict(f"runs of a {scope.workflow_kind} cannot be rolled back: missions' can")
    job = public_id(public_ids.JOB, run.id)
    before = audit.state(tx, job)
    starting.begin_rollback(tx, row, run, scope.caller.signature, scope.plane.alive)
    scope.note(tx, "job.rollback", job, before=before, after=audit.state(tx, job))
    return run


def _with_notice(scope: Scope, view: JobView) -> JobView:
    live = view.status in ("running", "paused")
    return view.model_copy(update={"notice": notice_of(scope, view.dag_id) if live else None})


def _view(tx: Tx, row: WorkflowRow, run_id: int, base: str) -> JobView:
    jobs = reports.jobs(tx, JobFilter(run=run_id), 1)
    if not jobs:
        raise not_found("job")
    [job] = jobs
    row = frozen.shown_row(tx, row, run_id)
    pipeline = pipeline_of_dag(row.workflow, job.dag_id)
    status = reports.status_of(tx, job, pipeline)
    outputs = reports.outputs(tx, row.run(run_id), pipeline, status)
    return JobView.whole(status, outputs, tx.value("rollback_report", run=run_id), base)
