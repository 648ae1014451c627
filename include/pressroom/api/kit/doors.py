"""Who calls is found out first, before anything of a request's body is read, and what it moves is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fastapi import Request, Response
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pressroom.api.kit.callers import Caller, identify, remember_caller
from pressroom.api.kit.problems import Problem, problem_of
from pressroom.domain.errors import PressroomError


def _as_problem(_: Request, problem: Problem) -> Response:
    return problem.response()


class Doors:
    """Lets in callers who can be identified, each as often as it may call; the others get their error.

    ``refused``: the answer to those. ``open_to``: beginnings of the paths that need no login. ``identify``:
    says who sends a request, and counts the call.
    """

    def __init__(
        self,
        app: ASGIApp,
        refused: Callable[[Request, Problem], Response] = _as_problem,
        open_to: Sequence[str] = (),
        identify: Callable[[Request], Awaitable[Caller]] = identify,
    ) -> None:
        self.app, self._refused, self._open_to = app, refused, tuple(open_to)
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or get_route_path(scope).startswith(self._open_to):
            await self.app(scope, receive, send)
            return
        try:
            caller = await self._identify(Request(scope))
        except Problem as problem:
            await self._refused(Request(scope), problem)(scope, receive, send)
            return
        except PressroomError as error:
            await self._refused(Request(scope), problem_of(error))(scope, receive, send)
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
