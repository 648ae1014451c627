"""A run's activity log as server-sent events: each line once, in order, also after a lost connection."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from pressroom.api.kit.access import Scope
from pressroom.api.kit.limits.log_watch import LINES, LogQuestion
from pressroom.api.kit.views import LogLineView
from pressroom.domain.text import to_json
from pressroom.engine.runs.reports import LogFilter
from pressroom.store.database import Tx
from pressroom.store.quotas import quotas_of

SILENCE_SECONDS = 15.0
LONGEST_SECONDS = 600.0
"""After this long the client has to connect again, so that its login is checked again."""

EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["log", "end"]},
        "id": {"type": "string", "description": "the line's number"},
        "data": {"type": "string", "description": "JSON: a line of the log, or the number of the last one"},
    },
    "required": ["event", "data"],
}
"""An event, as a JSON schema."""


def event_stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    """The answer that sends events as they come: nothing on the way keeps or gathers them."""
    return StreamingResponse(
        events, media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )  # fmt: skip


def must_open(scope: Scope, tx: Tx) -> None:
    """Raises QuotaExceeded when the account has as many streams open as it may: of logs and of the page."""
    quotas_of(tx).must_open(scope.admission.streams.count(scope.owner) + 1)


def silence(left: float) -> float:
    """How many seconds a stream may be silent, with so many left of it. At odds, so that streams which were
    opened together do not speak at the same moment.
    """
    return min(left, SILENCE_SECONDS * random.uniform(0.5, 1))  # noqa: S311  # no secret


async def events(scope: Scope, run_id: int, after: int, chosen: LogFilter) -> AsyncIterator[bytes]:
    """The chosen lines after that number as they come, until the run is over: then an event ``end``.

    They end early, and without that event, when the caller's key is revoked or the caller is no member any
    more.

    A run numbers its events in order, so a reader who has one event has missed none before it.
    """
    ends = time.monotonic() + LONGEST_SECONDS
    with scope.admission.streams.counted(scope.owner):
        while (left := ends - time.monotonic()) > 0:
            asked = LogQuestion(scope.account_id, scope.caller.reader, run_id, after, chosen)
            try:
                async with asyncio.timeout(silence(left)):
                    news = await scope.admission.logs.ask(scope.store, asked)
            except TimeoutError:
                yield KEEPALIVE_COMMENT
                continue
            if news is None:
                return  # who connects again is told why
            for line in news.lines:
                after = line.id
                yield format_sse_event(
                    event="log",
                    data_str=LogLineView.model_validate(vars(line)).model_dump_json(),
                    id=str(line.id),
                )
            if not news.live and len(news.lines) < LINES:
                yield format_sse_event(event="end", data_str=to_json({"last": after}))
                return
