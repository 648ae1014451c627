"""Faults on demand between a client and the scheduler, by seeded chance."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAST = "Given datetime cannot be in the past."


class Dropped(ConnectionError):
    """The connection was closed before the answer."""


class Fault(BaseModel):
    """One thing that goes wrong.

    ``lost``: the request takes effect, but after ``hang_seconds`` the connection is closed without an answer.
    ``refuse_past``: a post is refused as if its time were over. ``slow``: the answer comes after
    ``delay_seconds``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["429", "500", "lost", "refuse_past", "slow"]
    share: float = Field(default=1.0, ge=0, le=1, description="of the requests that it is about")
    times: int | None = Field(default=None, ge=0, description="at most so often; None: without end")
    path: str = Field(default="", description="only paths that begin like this")
    method: Literal["", "GET", "POST", "DELETE"] = ""
    seed: int = 0
    retry_after: float = Field(default=1, ge=0, description="what a 429 asks for, in seconds")
    hang_seconds: float = Field(default=0, ge=0)
    delay_seconds: float = Field(default=1, ge=0)


@dataclass
class ActiveFault:
    """A fault with its random numbers and how often it has struck."""

    fault: Fault
    dice: random.Random
    hits: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Whether the fault strikes a request.

        Every request of its kind draws a number, so that other faults do not shift the sequence.
        """
        fault = self.fault
        if not path.startswith(fault.path) or fault.method not in ("", method):
            return False
        chosen = self.dice.random() < fault.share
        return chosen and (fault.times is None or self.hits < fault.times)


@dataclass
class Faults:
    """The active faults. The same faults and requests, in the same order, give the same failures."""

    active: list[ActiveFault] = field(default_factory=list)

    def arrange(self, faults: Sequence[Fault]) -> None:
        """Replace all faults."""
        self.active = [ActiveFault(fault, random.Random(fault.seed)) for fault in faults]  # noqa: S311

    def draw(self, method: str, path: str) -> Fault | None:
        """The first fault that strikes a request, or None."""
        struck = [fault for fault in self.active if fault.strikes(method, path)]
        if not struck:
            return None
        struck[0].hits += 1
        return struck[0].fault


async def act(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with the fault. Raises Dropped when the fault gives no answer."""
    match fault.action:
        case "429":
            wait = {"Retry-After": f"{fault.retry_after:g}"}
            await JSONResponse({"status": 429, "message": "Too many requests"}, 429, wait)(
                scope, receive, send
            )
        case "500":
            await JSONResponse({"status": 500, "message": "Internal server error"}, 500)(scope, receive, send)
        case "refuse_past":
            await JSONResponse({"status": 400, "message": PAST}, 400)(scope, receive, send)
        case "slow":
            await asyncio.sleep(fault.delay_seconds)
            await app(scope, receive, send)
        case "lost":
            await app(scope, receive, _swallow)
            await _hang(receive, fault.hang_seconds)
            await _drop(send)


async def _swallow(message: Message) -> None:
    """Discards an answer."""


async def _hang(receive: Receive, seconds: float) -> None:
    """Wait until the client gives up, at most ``seconds``."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(gone(), seconds)


async def _drop(send: Send) -> None:
    # A server answers 500 for an application that fails before its answer has begun, and closes the
    # connection for one that fails within it.
    body = json.dumps({"data": {}}).encode()
    length = str(len(body) + 1).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    raise Dropped("the simulator lost this answer, as it was told to")
