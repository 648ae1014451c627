"""Bodies of a bounded size and without unknown keys; paths with and without a slash at their end."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pressroom.api.kit.problems import Problem

MOST_BYTES = 6_000_000


class Body(BaseModel):
    """Base of all request bodies. Unknown keys are refused, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid")


class BoundedBodies:
    """Refuses bodies of more than ``most`` bytes, whether or not their length is announced."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        message = f"the body is larger than {self.most} bytes"
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.most:
            await Problem(413, message).response()(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            part = await receive()
            received += len(part.get("body", b""))
            if received > self.most:
                raise HTTPException(413, message)  # the only error that reading a body lets through
            return part

        await self.app(scope, bounded, send)


class EitherSpelling:
    """Accepts each path with and without a slash at its end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and path.endswith("/") and path.rstrip("/") != scope.get("root_path", ""):
            scope = {**scope, "path": path.rstrip("/")}
        await self.app(scope, receive, send)
