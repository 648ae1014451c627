"""Who calls is found out first, before anything of a request's body is read, and what it moves is counted."""

from __future__ import annotations

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pressroom.api.kit.callers import identify, remember_caller
from pressroom.api.kit.problems import Problem, problem_of
from pressroom.domain.errors import PressroomError


class Doors:
    """Lets in callers with a login, each as often as it may call; the others get their error at once."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            caller = await identify(Request(scope))
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        except PressroomError as error:
            await problem_of(error).response()(scope, receive, send)
            return
        remember_caller(scope, caller)
        rates = scope["app"].state.admission.rates
        announced, read, written = "content-length" in Request(scope).headers, 0, 0

        async def reading() -> Message:
            nonlocal read
            part = await receive()
            read += len(part.get("body", b""))
            return part

        async def writing(part: Message) -> None:
            nonlocal written
            written += len(part.get("body", b""))
            await send(part)

        try:
            await self.app(scope, reading, writing)
        finally:
            size = written if announced else written + read
            rates.add(caller.purse, rates.further(size))
