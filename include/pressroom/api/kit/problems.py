"""Errors as RFC 9457 problem details: what is wrong, with which field, and what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from pressroom.domain.errors import (
    ConfigurationError,
    DefinitionError,
    InsufficientCredits,
    InvalidMission,
    PressroomError,
    RunConflict,
    TransientError,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "Not logged in",
    402: "Not enough credits",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "Invalid input",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available at the moment",
}
CONFIGURATION = "this installation is not set up for that: its operator finds the reason in the server's log"


class FieldProblem(BaseModel):
    """What is wrong with one field. ``field``: its path, as in ``body.steps.0.to``."""

    field: str
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457. ``remedy``: what the caller can do; ``errors``: each wrong field."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    remedy: str | None = None
    errors: list[FieldProblem] = Field(default_factory=list)


class Problem(Exception):
    """Ends a request with problem details."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        remedy: str | None = None,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.remedy = status, detail, remedy
        self.errors, self.headers = list(errors), dict(headers or {})

    def details(self) -> ProblemDetails:
        """The body."""
        return ProblemDetails(
            title=TITLES.get(self.status, "Error"), status=self.status, detail=self.detail,
            remedy=self.remedy, errors=self.errors,
        )  # fmt: skip

    def response(self) -> JSONResponse:
        """The whole answer."""
        body = self.details().model_dump(exclude_none=True)
        return JSONResponse(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


def not_found(what: str) -> Problem:
    """The answer for what does not exist, and for what is another tenant's: one cannot be told from the
    other.
    """
    return Problem(404, f"there is no such {what}")


def invalid(field: str, detail: str, *, remedy: str | None = None) -> Problem:
    """A field that was understood and cannot be used."""
    return Problem(
        422, f"{field}: {detail}", remedy=remedy, errors=[FieldProblem(field=field, detail=detail)]
    )


def problem_of(error: PressroomError) -> Problem:
    """What a caller gets to read of an error of ours: its class decides the status."""
    match error:
        case RunConflict():
            return Problem(409, str(error))
        case InsufficientCredits():
            return Problem(402, str(error), remedy="grant the account credits: `pressroom credits grant`")
        case DefinitionError():
            errors = [FieldProblem(field="body", detail=each) for each in error.problems]
            return Problem(422, str(error), errors=errors)
        case InvalidMission():
            return Problem(422, str(error))
        case ConfigurationError():
            log.error("%s", error)
            return Problem(500, CONFIGURATION)
        case TransientError():
            log.warning("%s", error)
            seconds = 5 if error.retry_after is None else max(1, round(error.retry_after))
            return Problem(503, "try again in a moment", headers={"Retry-After": str(seconds)})
        case _:
            return Problem(400, str(error))


def install(app: FastAPI) -> None:
    """Make every error of the app a problem."""

    @app.exception_handler(Problem)
    def _problem(_: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(PressroomError)
    def _ours(_: Request, error: PressroomError) -> JSONResponse:
        return problem_of(error).response()

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            FieldProblem(field=".".join(map(str, one["loc"])), detail=_said(one)) for one in error.errors()
        ]
        return Problem(
            422, "; ".join(f"{one.field}: {one.detail}" for one in errors), errors=errors
        ).response()

    @app.exception_handler(HTTPException)
    def _http(_: Request, error: HTTPException) -> JSONResponse:
        return Problem(error.status_code, str(error.detail), headers=error.headers).response()

    @app.exception_handler(Exception)
    def _unexpected(_: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", exc_info=error)
        return Problem(500, "something went wrong; the server's log says what").response()


def _said(one: Mapping[str, Any]) -> str:
    """Pydantic's message, without the input: that may be long, or secret."""
    return str(one["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
