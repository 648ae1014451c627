"""The page of one workflow: its stages, what it does now, what can be done, its log and its history.

A site, a mission and a flow have one page: all three are a list of stages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from pydantic import BeforeValidator

from pressroom.api.kit.access import FLOW, MISSION, SITE, Scope, Subject, allowed, enter
from pressroom.api.kit.problems import Problem
from pressroom.api.kit.views import LevelQuery
from pressroom.api.resources.failures import forgive_of_site
from pressroom.api.resources.jobs.starting import Action, end_waits, start, steered
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import JOB, LARGEST, public_id, row_id
from pressroom.domain.text import normalize
from pressroom.engine.runs import reports
from pressroom.engine.runs.reports import LogFilter
from pressroom.page.kit import live
from pressroom.page.kit.pages import Notice, outcome, plural, rendered
from pressroom.page.kit.tokens import PostedForm, SentForm
from pressroom.page.workflow_view import HistoryFilter, board, facts, history
from pressroom.store.database import Tx

LINES = (50, 100, 200, 500)
READ_LINES = 5000
"""How many lines are searched for words."""

Lines = Annotated[int, Query(ge=1, le=LINES[-1])]
Stage = Annotated[str, Query(max_length=100)]
Words = Annotated[str, Query(max_length=200)]
After = Annotated[int | None, Query(ge=0, le=LARGEST)]
RunId = Annotated[str, Query(max_length=40)]
State = Annotated[Literal["", "completed", "failed", "cancelled", "running", "paused"], Query()]
Trigger = Annotated[Literal["", "manual", "scheduled"], Query()]
# A form sends a field that is left empty as ''.
Day = Annotated[date | None, BeforeValidator(lambda text: text or None), Query()]
ACTIONS: tuple[Action, ...] = ("pause", "resume", "cancel", "cancel_now")
DONE: dict[Action, str] = {
    "pause": "The run pauses: items in work are finished first.",
    "resume": "The run goes on.",
    "cancel": "The run is being cancelled: items in work are finished first.",
    "cancel_now": "The run is being cancelled now.",
}


def _history(
    state: State = "",
    trigger: Trigger = "",
    since: Day = None,
    until: Day = None,
    before: RunId = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> HistoryFilter:
    return HistoryFilter(state, trigger, since, until, before, limit)


def _routes(path: str, locate: Callable[..., Subject]) -> APIRouter:  # noqa: C901  # a function for each route
    router = APIRouter(prefix=f"/{path}/{{id}}")

    async def shown(
        request: Request, scope: Scope, notice: Notice | None = None, **asked: Any
    ) -> HTMLResponse:
        return await run_in_threadpool(_page, request, scope, notice, asked)

    @router.get("")
    async def page(
        request: Request,
        *,
        past: HistoryFilter = Depends(_history),
        run: RunId = "",
        lines: Lines = 100,
        stage: Stage = "",
        level: LevelQuery = "info",
        words: Words = "",
        scope: Scope = allowed(Role.VIEWER, locate),
    ) -> HTMLResponse:
        return await shown(
            request,
            scope,
            history=past,
            run=run,
            lines=lines,
            stage=stage,
            level=level,
            words=words,
        )

    @router.get("/board")
    def part(request: Request, scope: Scope = allowed(Role.VIEWER, locate)) -> HTMLResponse:
        with scope.transaction() as tx:
            row = scope.workflow(tx)
            values = facts(scope, row) | board(tx, scope, row)
        return rendered(request, "workflow_board.html.j2", **values)

    @router.get("/history")
    def past_runs(
        request: Request,
        past: HistoryFilter = Depends(_history),
        scope: Scope = allowed(Role.VIEWER, locate),
    ) -> HTMLResponse:
        with scope.transaction() as tx:
            row = scope.workflow(tx)
            values = facts(scope, row) | history(tx, scope, past)
        return rendered(request, "workflow_history.html.j2", **values)

    @router.get("/log")
    def log(
        request: Request,
        *,
        run: RunId = "",
        of: RunId = "",
        after: After = None,
        lines: Lines = 100,
        stage: Stage = "",
        level: LevelQuery = "info",
        words: Words = "",
        scope: Scope = allowed(Role.VIEWER, locate),
    ) -> HTMLResponse:
        asked = {
            "run": run,
            "of": of,
            "after": after,
            "lines": lines,
            "stage": stage,
            "level": level,
            "words": words,
        }
        with scope.transaction() as tx:
            values = facts(scope, scope.workflow(tx)) | log_lines(tx, scope, **asked)
        return rendered(request, "workflow_lines.html.j2", **values)

    @router.get("/events")
    def changes(scope: Scope = allowed(Role.VIEWER, locate)) -> Response:
        return live.stream([scope], scope.workflow_id)

    @router.post("/run")
    async def run_now(
        request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, locate)
    ) -> HTMLResponse:
        return await shown(request, scope, await outcome(lambda: _start(scope, form)))

    def add_action(action: Action) -> None:
        @router.post(f"/{action.replace('_', '-')}", name=f"{action}_{path}")
        async def act(
            request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, locate)
        ) -> HTMLResponse:
            return await shown(request, scope, await outcome(lambda: steer(scope, action, form.text("run"))))

    for each in ACTIONS:
        add_action(each)

    @router.post("/retry-failed")
    async def retry(
        request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, locate)
    ) -> HTMLResponse:
        async def work() -> Notice:
            forgiven = await run_in_threadpool(forgive_of_site, None, scope)
            waits = "waits" if forgiven.items == 1 else "wait"
            return Notice("good", f"{plural(forgiven.items, 'item')} {waits} again, for the next run.")

        return await shown(request, scope, await outcome(work))

    return router


def log_lines(tx: Tx, scope: Scope, **asked: Any) -> dict[str, Any]:
    """Lines of a run's log, and from where on to ask for more. ``run`` '': the live run, or the last one.

    ``of``: the run that ``after`` is a line of: where another one has begun since, its log follows.
    """
    number = row_id(JOB, asked["run"]) if asked["run"] else None
    run = reports.run_of(tx, scope.workflow_id or 0, number) if not asked["run"] or number else None
    if run is not None and asked["of"] not in ("", public_id(JOB, run.id)):
        asked["after"] = None
    chosen = LogFilter(asked["stage"] or None, asked["level"])
    wanted = normalize(asked["words"]).split()
    lines = []
    if run is not None:
        most = READ_LINES if wanted or asked["after"] is not None else asked["lines"]
        lines = reports.log_tail(tx, run.id, most, asked["after"], chosen)
    last = lines[-1].id if lines else asked["after"] or 0
    shown = [
        line
        for line in lines
        if all(word in normalize(f"{line.message} {line.stage or ''}") for word in wanted)
    ]
    return {
        "log_run": run, "log_id": public_id(JOB, run.id) if run else "",
        "shown_lines": shown[-asked["lines"] :],
        "last_line": last, "log": asked | {"run": public_id(JOB, run.id) if run and asked["run"] else ""},
    }  # fmt: skip


async def steer(scope: Scope, action: Action, run: str) -> Notice:
    """Pause, resume or cancel a run of the workflow. ``run``: its public id."""
    job = await run_in_threadpool(
        enter, scope.plane, scope.admission, scope.caller, Subject("job", row_id(JOB, run)), Role.EDITOR
    )
    if job.workflow_id != scope.workflow_id:
        raise Problem(404, "there is no such run of it")
    await run_in_threadpool(steered, job, action, lambda tx, row: None)
    if action in ("cancel", "cancel_now"):
        await end_waits(job)
    return Notice("good", DONE[action])


async def _start(scope: Scope, form: PostedForm) -> Notice:
    params: dict[str, Any] = {}
    if form.text("articles") and scope.workflow_kind == "site":
        params["articles"] = _number(form, "articles", int, 1, 2**31 - 1)
    if form.text("cap_cents"):
        params["cap_cents"] = _number(form, "cap_cents", float, 0, 10**9)
    row = await scope.run(scope.workflow)
    # One form starts one run, however often it is sent.
    once = f"{scope.account_id}\0{scope.caller.label}\0{row.name}\0{form.text('once')}"
    name = f"page__{hashlib.sha256(once.encode('utf-8', 'replace')).hexdigest()[:32]}"
    state = await start(scope, row, params, name)
    return Notice("good", f"Run {state.id} has started. Its first stage begins within seconds.")


def _number(form: PostedForm, field: str, kind: Callable[[str], Any], least: float, most: float) -> Any:
    try:
        number = kind(form.text(field))
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        raise Problem(422, f"{field.replace('_', ' ')}: must be a number from {least:,} to {most:,}")
    return number


def _page(request: Request, scope: Scope, notice: Notice | None, asked: dict[str, Any]) -> HTMLResponse:
    wanted = {"run": "", "of": "", "after": None, "lines": 100, "stage": "", "level": "info", "words": ""}
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        values = facts(scope, row) | board(tx, scope, row)
        values |= history(tx, scope, asked.get("history") or HistoryFilter())
        values |= log_lines(tx, scope, **{name: asked.get(name, usual) for name, usual in wanted.items()})
    return rendered(
        request, "workflow.html.j2", notice.status if notice else 200, caller=scope.caller, notice=notice,
        line_counts=LINES, **values,
    )  # fmt: skip


ROUTERS = (_routes("sites", SITE), _routes("missions", MISSION), _routes("flows", FLOW))
