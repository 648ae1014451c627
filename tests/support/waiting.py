"""For asynchronous tests: waiting for a state, and seeing that the event loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

LOOK_SECONDS = 0.02


async def until(ready: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until it is so. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not ready():  # noqa: ASYNC110  # what it looks at is not of this event loop
            await asyncio.sleep(LOOK_SECONDS)


@dataclass
class Turns:
    """How often the event loop has come round."""

    number: int = 0


@asynccontextmanager
async def turns_counted() -> AsyncIterator[Turns]:
    """Count turns of the event loop, as what looks for cancel and pause and renews the lease would have."""
    turns = Turns()

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            turns.number += 1

    looking = asyncio.create_task(look())
    try:
        yield turns
    finally:
        looking.cancel()
