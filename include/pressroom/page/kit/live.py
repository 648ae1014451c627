"""Server-sent events that say that something changed; the page then asks for what it shows.

What a page has missed, because its connection was cut off or there never was one, it catches up with by the
same requests, so nothing depends on an event's arrival.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from pressroom.api.kit.streaming import LONGEST_SECONDS, SILENCE_SECONDS, event_stream

LOOK_SECONDS = 1.0


def stream(mark: Callable[[], str | None]) -> StreamingResponse:
    """An event ``changed`` whenever the mark is another. ``mark``: blocks; a cheap statement; None when the
    viewer may not read any more, which ends the stream.
    """
    return event_stream(_changes(mark))


async def _changes(mark: Callable[[], str | None]) -> AsyncIterator[bytes]:
    began = spoke = time.monotonic()
    seen = await run_in_threadpool(mark)
    yield KEEPALIVE_COMMENT  # the browser counts the stream as open by its first bytes
    while time.monotonic() - began < LONGEST_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        now = await run_in_threadpool(mark)
        if now is None:
            return
        if now != seen:
            seen, spoke = now, time.monotonic()
            yield format_sse_event(event="changed", data_str=now)
        elif time.monotonic() - spoke > SILENCE_SECONDS:
            spoke = time.monotonic()
            yield KEEPALIVE_COMMENT
