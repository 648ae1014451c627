"""Shares of what all accounts use together: who has much waits for who has less, and the last is never taken
by those who have some.

A place is given while the owner has fewer than are free. So one owner alone gets half of the places, a second
one half of the rest, and somebody who has none gets one at once. Who has to wait does so in the event loop: a
wait holds neither a thread nor a connection to the database.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from pressroom.api.kit.problems import Problem

T = TypeVar("T")

MOST_WAITING = 100
"""Calls of one owner that may wait at a time."""
PATIENCE_SECONDS = 10.0
RETRY_SECONDS = 2


class Shares:
    """``total`` places. ``doing``: what the holders of a place do, for the error."""

    def __init__(
        self, total: int, doing: str, *, most_waiting: int = MOST_WAITING, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._free = total
        self._doing, self._most_waiting, self._patience = doing, most_waiting, patience
        self._held: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def place(self, owner: Hashable) -> AsyncIterator[None]:
        """Hold a place for the owner. Raises Problem 429 when the owner has too many calls that wait, or
        one waits for too long.
        """
        await self._take(owner)
        try:
            yield
        finally:
            self._give_back(owner)

    async def _take(self, owner: Hashable) -> None:
        if owner not in self._waiting and self._may(owner):
            self._hold(owner)
            return
        queue = self._waiting.setdefault(owner, deque())
        if len(queue) >= self._most_waiting:
            raise self._refused(f"{self._most_waiting} more of its calls wait")
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # the place came at the same moment
                self._give_back(owner)
            self._leave(owner, turn)
            if isinstance(error, TimeoutError):
                raise self._refused(f"none of them ended within {self._patience:g} seconds") from None
            raise

    def _may(self, owner: Hashable) -> bool:
        return self._held[owner] < self._free

    def _hold(self, owner: Hashable) -> None:
        self._held[owner] += 1
        self._free -= 1

    def _give_back(self, owner: Hashable) -> None:
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._free += 1
        self._call_next()

    def _call_next(self) -> None:
        """Give what is free to those who wait: first to who has least."""
        while self._waiting:
            owner = min(self._waiting, key=lambda each: self._held[each])
            if not self._may(owner):
                return
            turn = self._waiting[owner].popleft()
            if not self._waiting[owner]:
                del self._waiting[owner]
            if not turn.done():
                self._hold(owner)
                turn.set_result(None)

    def _leave(self, owner: Hashable, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(owner)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[owner]

    def _refused(self, why: str) -> Problem:
        return Problem(
            429, f"too many calls of this account are {self._doing} at once: {why}",
            remedy=f"send fewer at a time, and this one again in {RETRY_SECONDS} seconds",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )  # fmt: skip


class Lent(Generic[T]):
    """Things that one call at a time works with. ``doing``: what for, for the error."""

    PATIENCE_SECONDS = 30.0

    def __init__(self, things: Sequence[T], doing: str) -> None:
        self._things = list(things)
        self._shares = Shares(len(things), doing, patience=self.PATIENCE_SECONDS)

    @asynccontextmanager
    async def one(self, owner: Hashable) -> AsyncIterator[T]:
        """The one that was used last, because it is warm. Raises Problem 429 as ``Shares.place`` does."""
        async with self._shares.place(owner):
            thing = self._things.pop()
            try:
                yield thing
            finally:
                self._things.append(thing)
