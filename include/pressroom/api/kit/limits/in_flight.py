"""Calls without a login that are at work, from one address and from all together.

A rate counts calls, not how long they take: a body may come a byte at a time, and a call may wait for the
database. So a body is read first, within a time, and only then one of the places for work is taken.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pressroom.api.kit.limits.rates import address_of
from pressroom.api.kit.limits.shares import Shares
from pressroom.api.kit.problems import Problem

MOST, MOST_OF_ONE = 200, 20
"""Calls that have begun: of all addresses, and of one."""
BODY_SECONDS = 15.0
"""How long a body may take to come."""


class InFlight:
    """``places``: calls that are at work at a time; they are shared out by address."""

    def __init__(self, app: ASGIApp, places: int) -> None:
        self.app = app
        self._begun: Counter[str] = Counter()
        self._work = Shares(places, "at work")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        address = address_of(Request(scope))
        if self._begun[address] >= MOST_OF_ONE or self._begun.total() >= MOST:
            await _refused(429, "too many calls have begun and not ended").response()(scope, receive, send)
            return
        self._begun[address] += 1
        try:
            await self._work_on(address, scope, receive, send)
        except _Refused as refused:
            await refused.problem.response()(scope, receive, send)
        finally:
            self._begun[address] -= 1
            if not self._begun[address]:
                del self._begun[address]

    async def _work_on(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._work.place(address))
            except Problem as problem:
                raise _Refused(problem) from None
            await self.app(scope, _again(body, receive), send)


class _Refused(Exception):  # it is an answer
    """Apart from a Problem of the app that is asked."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def _refused(status: int, why: str) -> Problem:
    return Problem(status, why, remedy="send it again in 2 seconds", headers={"Retry-After": "2"})


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises _Refused."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while (part := await receive())["type"] == "http.request":
                parts.append(part.get("body", b""))
                if not part.get("more_body", False):
                    break
    except TimeoutError:
        raise _Refused(_refused(408, f"the body took more than {BODY_SECONDS:g} seconds to come")) from None
    except HTTPException as error:  # it is too large
        raise _Refused(Problem(error.status_code, error.detail)) from None
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once
