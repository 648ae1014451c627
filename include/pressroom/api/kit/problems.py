"""Errors as RFC 9457 problem details: what is wrong, with which field, and what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

from pressroom.api.kit.headers import EVERY_ANSWER
from pressroom.definitions.notices import NoSuchChannel
from pressroom.domain.errors import (
    ConfigurationError,
    DefinitionError,
    InsufficientCredits,
    InvalidMission,
    PressroomError,
    QuotaExceeded,
    RunConflict,
    TransientError,
)
from pressroom.engine.gates import NoSuchGate

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "Not logged in",
    402: "Not enough credits",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    412: "Changed meanwhile",
    413: "Too large",
    422: "Invalid input",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}
CONFIGURATION = "the set-up of this installation is wrong: the server's log has the reason, for its operator"


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
    """An error that ends a request with problem details."""

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
        """The body of the answer."""
        return ProblemDetails(
            title=TITLES.get(self.status, "Error"), status=self.status, detail=self.detail,
            remedy=self.remedy, errors=self.errors,
        )  # fmt: skip

    def response(self) -> JSONResponse:
        """The answer, with its body and headers."""
        body = self.details().model_dump(exclude_none=True)
        # Of an error that nobody expected, the answer is made outside of all middleware.
        headers = {**EVERY_ANSWER, **self.headers}
        return JSONResponse(body, self.status, headers=headers, media_type=MEDIA_TYPE)


def not_found(name: str) -> Problem:
    """The 404 for something that does not exist or belongs to another tenant: callers cannot tell which."""
    return Problem(404, f"there is no such {name}")


def invalid(field: str, detail: str, *, remedy: str | None = None) -> Problem:
    """The 422 for one field whose value cannot be used."""
    return invalid_fields([(field, detail)], remedy)


def invalid_fields(fields: Iterable[tuple[str, str]], remedy: str | None = None) -> Problem:
    """The 422 for wrong fields. ``fields``: each one's path and what is wrong with it."""
    errors = [FieldProblem(field=field, detail=detail) for field, detail in fields]
    detail = "; ".join(f"{error.field}: {error.detail}" for error in errors)
    return Problem(422, detail, remedy=remedy, errors=errors)


def problem_of(error: PressroomError) -> Problem:
    """The answer to a PressroomError: its class decides the status and which text a caller may read."""
    match error:
        case NoSuchGate() | NoSuchChannel():
            return Problem(404, str(error))
        case QuotaExceeded():
            detail, _, remedy = str(error).partition(": ")
            return Problem(403, detail, remedy=remedy)
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


def install(app: FastAPI, answer_to: Callable[[PressroomError], Problem] = problem_of) -> None:
    """Answer every error of the app with problem details. ``answer_to``: the answer to a PressroomError."""

    @app.exception_handler(Problem)
    def _problem(_: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(PressroomError)
    def _ours(_: Request, error: PressroomError) -> JSONResponse:
        return answer_to(error).response()

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return invalid_fields(mistakes(error)).response()

    @app.exception_handler(HTTPException)
    def _http(_: Request, error: HTTPException) -> JSONResponse:
        return Problem(error.status_code, str(error.detail), headers=error.headers).response()

    @app.exception_handler(Exception)
    def _unexpected(_: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", exc_info=error)
        return Problem(500, "something went wrong; the server's log says what").response()


def mistakes(error: ValidationError | RequestValidationError) -> list[tuple[str, str]]:
    """What pydantic found wrong: each field's path and the message, without the input, which can be long or
    secret.
    """
    return [
        (
            ".".join(map(str, each["loc"])),
            str(each["msg"]).removeprefix("Value error, ").replace("Input should be", "must be"),
        )
        for each in error.errors()
    ]
