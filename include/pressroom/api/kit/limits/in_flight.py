"""Calls without a login that are at work, from one address and from all together.

A rate counts calls, not how long they take: a body may come a byte at a time, and a call may wait for the
database. So a body is read first, within a time, and only then one of the places for work is taken.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
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
        finally:
            self._begun[address] -= 1
            if not self._begun[address]:
                del self._begun[address]

    async def _work_on(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body = await Request(scope, receive).body()
                await stack.enter_async_context(self._work.place(address))
            except ClientDisconnect:
                return
            except TimeoutError:
                refusal = _refused(408, f"the body took more than {BODY_SECONDS:g} seconds to come")
            except HTTPException as error:  # it is too large
                refusal = Problem(error.status_code, error.detail)
            except Problem as problem:
                refusal = problem
            else:
                await self.app(scope, _again(body, receive), send)
                return
            await refusal.response()(scope, receive, send)


def _refused(status: int, why: str) -> Problem:
    return Problem(status, why, remedy="send it again in 2 seconds", headers={"Retry-After": "2"})


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
