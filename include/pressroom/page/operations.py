"""Operations, the home of the page: every site, mission and flow of the viewer's accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from pressroom.api.kit.access import Scope, scopes_of, signed_in
from pressroom.api.kit.callers import Caller, admission_of, plane_of
from pressroom.api.kit.problems import not_found
from pressroom.api.resources.operations import OperationView, list_operations
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import workflow_path
from pressroom.page.kit import live
from pressroom.page.kit.pages import rendered
from pressroom.store.workflows import split_dag_id

router = APIRouter()

Sort = Literal["name", "state", "next", "waiting", "spend"]
Words = Annotated[str, Query(max_length=200)]
Order = Annotated[Sort, Query()]

LAST = float("inf")
KEYS: dict[str, Callable[[OperationView], Any]] = {
    "name": lambda each: each.name.casefold(),
    "state": lambda each: (
        not any(a.level == "error" for a in each.alerts),
        each.live_run is None,
        each.name.casefold(),
    ),
    "next": lambda each: each.next_run_at.timestamp() if each.next_run_at else LAST,
    "waiting": lambda each: -each.waiting,
    "spend": lambda each: -each.month_cents,
}
SHOWS: dict[str, Callable[[OperationView], bool]] = {
    "": lambda each: True,
    "running": lambda each: each.live_run is not None,
    "waiting": lambda each: each.waiting > 0,
    "alerts": lambda each: bool(each.alerts),
}


@router.get("/")
def home(
    request: Request,
    q: Words = "",
    kind: Literal["", "site", "mission", "flow"] = "",
    show: Literal["", "running", "waiting", "alerts"] = "",
    sort: Order = "state",
    caller: Caller = signed_in(),
) -> HTMLResponse:
    """The list, or what a filter leaves of it."""
    scopes = scopes_of(plane_of(request), admission_of(request), caller)
    every = [each for scope in scopes for each in list_operations(scope)]
    chosen = _chosen(every, q, kind, show)
    chosen.sort(key=lambda each: (KEYS[sort](each), each.kind, each.slug))
    return rendered(
        request, "operations.html.j2", caller=caller, accounts=[scope.account for scope in scopes],
        operations=chosen, every=len(every), address=address, q=q, kind=kind, show=show, sort=sort,
        running=sum(each.live_run is not None for each in every), waiting=sum(each.waiting for each in every),
        alerts=sum(bool(each.alerts) for each in every), cents=sum(each.month_cents for each in every),
        filtered=bool(q or kind or show),
        may_make=caller.admin or any(scope.role.covers(Role.EDITOR) for scope in scopes),
    )  # fmt: skip


@router.get("/events")
def changes(request: Request, caller: Caller = signed_in()) -> Response:
    """An event whenever something of the viewer's accounts changed."""
    return live.stream(scopes_of(plane_of(request), admission_of(request), caller))


@router.get("/dags/{dag_id}")
@router.get("/dags/{dag_id}/{dag_run_id}")
async def of_dag(
    request: Request, dag_id: str, dag_run_id: str = "", caller: Caller = signed_in()
) -> Response:
    """From a DAG's or a DAG run's tab in Airflow to the page of its workflow or run."""
    named = split_dag_id(dag_id)
    if named is None:
        return rendered(request, "foreign.html.j2", caller=caller, dag_id=dag_id)
    target = await run_in_threadpool(
        _place, scopes_of(plane_of(request), admission_of(request), caller), named, dag_id, dag_run_id
    )
    if target is None:
        raise not_found(f"workflow behind the DAG {dag_id}")
    return RedirectResponse(f"{request.scope.get('root_path', '')}{target}", 303)


def address(operation: OperationView) -> str:
    """Where the page has a workflow."""
    number = operation.site_id or operation.mission_id or operation.flow_id
    return f"/{operation.kind}s/{number}"


def _place(scopes: Sequence[Scope], named: tuple[str, str], dag_id: str, dag_run_id: str) -> str | None:
    kind, slug = named
    for scope in scopes:
        with scope.transaction() as tx:
            run = tx.value("run_of_dag_run", dag_id=dag_id, dag_run_id=dag_run_id) if dag_run_id else None
            if run is not None:
                return f"/runs/job_{run}"
            number = tx.value("workflow_of_dag", kind=kind, slug=slug)
        if number is not None:
            return f"/{workflow_path(kind, number)}"
    return None


def _chosen(every: Sequence[OperationView], q: str, kind: str, show: str) -> list[OperationView]:
    words = q.casefold().split()
    return [
        each
        for each in every
        if SHOWS[show](each)
        and kind in ("", each.kind)
        and all(word in f"{each.name} {each.slug} {each.account}".casefold() for word in words)
    ]
