"""The page as an app: its routes, its files, its errors, and what browsers may do with its answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from pressroom.api.kit.access import rule_of
from pressroom.api.kit.bodies import BoundedBodies
from pressroom.api.kit.doors import Doors
from pressroom.api.kit.headers import SafeHeaders
from pressroom.api.kit.limits.admission import Admission
from pressroom.api.kit.ports import ControlPlane
from pressroom.api.kit.problems import TITLES, Problem, problem_of
from pressroom.domain.errors import PressroomError
from pressroom.page import operations, planning, reports, runs, spend, start, visitors, workflows
from pressroom.page.desk import links as desk_links
from pressroom.page.desk import routes as desk
from pressroom.page.flows import routes as flows
from pressroom.page.kit.pages import STATIC, rendered
from pressroom.page.missions import routes as missions
from pressroom.page.settings import routes as settings

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:; connect-src 'self';"
    " frame-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
)
"""No script or style but the page's own files. Pictures may lie in somebody's storage."""
BROWSER_RULES = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
LOGIN = "/auth/login/"
SHARED = (desk.router, desk.pieces, reports.router)
"""What visitors with a link see, too."""


def build_page_app(plane: ControlPlane, admission: Admission) -> FastAPI:
    """The app that the plugin mounts at /pressroom. Raises RuntimeError for a route without a rule.

    ``admission``: the limits of the process, which the page shares with the control API.
    """
    app = FastAPI(title="Pressroom's page", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.plane, app.state.admission = plane, admission
    own = (
        operations.router,
        start.router,
        planning.router,
        spend.router,
        *workflows.ROUTERS,
        missions.router,
        flows.router,
        *settings.ROUTERS,
        runs.router,
        desk_links.router,
        desk.desk,
        reports.desk,
    )
    for router in (*own, *SHARED):
        app.include_router(router)
    for router in SHARED:
        app.include_router(router, prefix=visitors.PAGES)
    for route in app.routes:
        if isinstance(route, APIRoute) and rule_of(route) is None:
            raise RuntimeError(f"{sorted(route.methods)} {route.path} has no access rule")
    app.add_route(visitors.LANDING, visitors.landing, methods=["GET", "POST"])
    app.mount("/static", Files(directory=STATIC))
    _answer_errors(app)
    app.add_middleware(BoundedBodies)
    app.add_middleware(
        Doors, refused=_refused, open_to=("/static/", visitors.LANDING), identify=visitors.viewer_of
    )
    app.add_middleware(SafeHeaders, also=BROWSER_RULES)
    return app


class Files(StaticFiles):
    """The page's own files. Their address changes with their content, so a browser may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def _refused(request: Request, problem: Problem) -> Response:
    if problem.status == 401 and not isinstance(problem, visitors.LinkOver):
        return _to_login(request)
    title = TITLES.get(problem.status, "Error")
    answer = rendered(request, "problem.html.j2", problem.status, title=title, problem=problem)
    answer.headers.update(problem.headers)
    return answer


def _answer_errors(app: FastAPI) -> None:
    def handler(of: Callable[[Exception], Problem]) -> Callable[[Request, Exception], Response]:
        return lambda request, error: _refused(request, of(error))

    def own(error: Exception) -> Problem:
        if isinstance(error, Problem):
            return error
        log.error("unexpected error", exc_info=error)
        return Problem(500, "something went wrong; the server's log says what")

    def ours(error: Exception) -> Problem:
        return problem_of(error) if isinstance(error, PressroomError) else own(error)

    def http(error: Exception) -> Problem:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return Problem(
            status, "there is no such page" if status == 404 else TITLES.get(status, "this does not work")
        )

    app.add_exception_handler(Problem, handler(own))
    app.add_exception_handler(PressroomError, handler(ours))
    app.add_exception_handler(
        RequestValidationError, handler(lambda _: Problem(404, "there is no such page"))
    )
    app.add_exception_handler(HTTPException, handler(http))
    app.add_exception_handler(Exception, handler(own))


def _to_login(request: Request) -> Response:
    """To Airflow's login and back. A part of a page has the browser load the login as a whole."""
    root = str(request.scope.get("root_path", ""))
    here = request.url.path if request.method == "GET" and "HX-Request" not in request.headers else f"{root}/"
    query = f"?{request.url.query}" if request.url.query and here == request.url.path else ""
    login = f"{root.removesuffix('/pressroom')}{LOGIN}?next={quote(here + query, safe='')}"
    if "HX-Request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": login})
    return RedirectResponse(login, 303)
