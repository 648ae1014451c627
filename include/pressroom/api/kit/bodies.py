"""Requests in general: bodies of a bounded size and without unknown keys; paths with and without a slash at
their end.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pressroom.api.kit.problems import Problem

MOST_BYTES = 6_000_000


class Body(BaseModel):
    """Base of all request bodies: unknown keys are refused, so that a misspelt one is not passed over."""

    model_config = ConfigDict(extra="forbid")


class BoundedBodies:
    """Refuses larger bodies, however they come: told in advance or not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > MOST_BYTES:
            await _too_large()(scope, receive, send)
            return
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MOST_BYTES:
                raise HTTPException(413, _SAID)  # the one error that reading a body lets through
            return message

        await self.app(scope, bounded, send)


class EitherSpelling:
    """A path means the same with a slash at its end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and path.endswith("/") and path.rstrip("/") != scope.get("root_path", ""):
            scope = {**scope, "path": path.rstrip("/")}
        await self.app(scope, receive, send)


_SAID = f"the body is larger than {MOST_BYTES} bytes"


def _too_large() -> ASGIApp:
    return Problem(413, _SAID).response()
