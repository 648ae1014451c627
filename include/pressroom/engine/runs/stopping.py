"""Stopping work at once: calls in flight are cut off, and the items behind them wait as before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class CutOff(Exception):
    """The work on an item was stopped before its end."""


class Stopper:
    """Cuts off the work that goes through it. A batch has one; a task that is killed uses the same.

    What a stopped call may have cost is booked where calls are made, when the cancellation reaches it.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.why = ""
        self._work: set[asyncio.Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self, why: str = "the task was killed") -> None:
        """Cut off what is in work, and whatever comes later. A signal handler or a thread may call it. The
        first reason counts.
        """
        self.why = self.why or why
        self.stopped = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cut_off)

    async def through(self, work: Awaitable[T]) -> T:
        """The result of the work. Raises CutOff when it is stopped before or meanwhile."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        self._work.add(task)
        if self.stopped:
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            if self.stopped and task.cancelled():
                raise CutOff from None
            raise
        finally:
            self._work.discard(task)

    def _cut_off(self) -> None:
        for task in self._work:
            task.cancel()
