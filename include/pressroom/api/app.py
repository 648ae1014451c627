"""The control API, which shows and steers everything that pipelines do. Routes parse, call and answer."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.routing import APIRoute

from pressroom.api.kit import problems
from pressroom.api.kit.access import rule_of, signed_in
from pressroom.api.kit.bodies import BoundedBodies, EitherSpelling
from pressroom.api.kit.callers import Caller
from pressroom.api.kit.doors import Doors
from pressroom.api.kit.headers import SafeHeaders
from pressroom.api.kit.limits.admission import Admission
from pressroom.api.kit.ports import ControlPlane
from pressroom.api.kit.problems import MEDIA_TYPE, TITLES, ProblemDetails
from pressroom.api.resources import ROUTERS

READ = (400, 401, 403, 404, 422, 429, 500, 503)
WRITE = (*READ, 402, 409, 413)
DocsFile = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]


def build_control_app(plane: ControlPlane, *, rate: str | None = None) -> FastAPI:
    """The app that the plugin mounts at /pressroom/api/v1. Raises RuntimeError for a route without a rule.

    ``rate``: how often one caller may call; None: the variable PRESSROOM_API_RATE, or 600/minute.
    """
    app = FastAPI(
        title="Pressroom", version="1", docs_url=None, redoc_url=None, openapi_url=None,
        description=(
            "Sites, missions and flows: run, watch, pause, resume, cancel, retry, configure, approve. Log in"
            " to Airflow and use the session, or send `Authorization: Bearer` with Airflow's token or with an"
            " API key. Ids of other accounts do not exist. Errors are RFC 9457 problem details."
        ),
    )  # fmt: skip
    app.state.plane = plane
    app.state.admission = Admission(rate)
    for router in ROUTERS:
        app.include_router(router)
    _describe_itself(app)
    for route in app.routes:
        if isinstance(route, APIRoute):
            if rule_of(route) is None:
                raise RuntimeError(f"{sorted(route.methods)} {route.path} has no access rule")
            for status in _statuses(route):
                route.responses.setdefault(status, _documented(status))
    problems.install(app)
    app.add_middleware(BoundedBodies)
    app.add_middleware(Doors)
    app.add_middleware(EitherSpelling)
    app.add_middleware(SafeHeaders)
    return app


def _statuses(route: APIRoute) -> Iterator[int]:
    """The statuses of the route's problems."""
    yield from READ if route.methods == {"GET"} else WRITE
    if any(header.alias == "If-Match" for header in route.dependant.header_params):
        yield 412


def _documented(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": TITLES[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def _describe_itself(app: FastAPI) -> None:
    """Add the OpenAPI document and its page, for callers with a login."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            spec = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = spec.setdefault("components", {}).setdefault("schemas", {})
            schemas |= schema.pop("$defs", {})
            schemas["ProblemDetails"] = schema
            spec["components"]["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "_token"},
            }
            spec["security"] = [{"bearer": []}, {"session": []}]
            app.openapi_schema = spec
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    def openapi(request: Request, _: Caller = signed_in()) -> JSONResponse:
        return JSONResponse(document() | {"servers": [{"url": request.scope.get("root_path") or "/"}]})

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request, _: Caller = signed_in()) -> HTMLResponse:
        base = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{base}/openapi.json", title="Pressroom API",
            swagger_js_url=f"{base}/docs/swagger-ui-bundle.js", swagger_css_url=f"{base}/docs/swagger-ui.css",
            swagger_favicon_url=f"{base}/docs/favicon.png",
        )  # fmt: skip

    @app.get("/docs/{name}", include_in_schema=False)
    def docs_file(name: DocsFile, _: Caller = signed_in()) -> FileResponse:
        return FileResponse(str(files("fastapi_offline").joinpath("static", name)))
