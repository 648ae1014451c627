"""The page of one run: what each stage made, what failed, its log, and another try."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from pressroom.api.kit.access import JOB, Scope, allowed
from pressroom.api.kit.problems import invalid, not_found
from pressroom.api.resources.jobs.starting import start_again
from pressroom.domain.definitions import Role
from pressroom.engine.runs import control, reports
from pressroom.engine.runs.starting import NoSuchStage
from pressroom.page.kit.pages import Notice, outcome, rendered
from pressroom.page.kit.tokens import SentForm
from pressroom.page.workflow_view import facts, run_facts
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow

router = APIRouter(prefix="/runs/{id}")

LINES = 500


@router.get("")
def page(request: Request, scope: Scope = allowed(Role.VIEWER, JOB)) -> HTMLResponse:
    """A run."""
    return _shown(request, scope, None)


@router.post("/retry")
async def retry(request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, JOB)) -> HTMLResponse:
    """Run a stage and what follows again, with its failed items."""

    async def work() -> Notice:
        row, run = await scope.run(_row_and_run, scope)
        try:
            stages = await start_again(scope, row, run, form.text("stage") or None)
        except NoSuchStage as error:
            raise invalid("stage", str(error)) from None
        return Notice("good", f"The run goes on from {stages[0]}. What is done is not repeated.")

    notice = await outcome(work)
    return await run_in_threadpool(_shown, request, scope, notice)


def _row_and_run(tx: Tx, scope: Scope) -> tuple[WorkflowRow, control.RunState]:
    return scope.workflow(tx), control.get(tx, scope.id)


def _shown(request: Request, scope: Scope, notice: Notice | None) -> HTMLResponse:
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        run = reports.run_of(tx, scope.workflow_id or 0, scope.id)
        if run is None:
            raise not_found("run")
        values: dict[str, Any] = facts(scope, row)
        values |= run_facts(tx, row, run)
        lines = reports.log_tail(tx, run.id, LINES)
    status = notice.status if notice else 200
    return rendered(
        request, "run.html.j2", status, caller=scope.caller, notice=notice, lines=lines, most=LINES, **values
    )
