"""A run's activity log as server-sent events: each line once, in order, also after a lost connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from pressroom.api.kit.access import Scope
from pressroom.api.kit.views import LogLineView
from pressroom.domain.text import to_json
from pressroom.engine.runs import reports
from pressroom.engine.runs.reports import LogFilter, LogLine

LINES = 500
"""Lines read at once."""
LOOK_SECONDS = 0.5
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


async def events(scope: Scope, run_id: int, after: int, chosen: LogFilter) -> AsyncIterator[bytes]:
    """The chosen lines after that number as they come, until the run is over: then an event ``end``.

    They end early, and without that event, when the caller's key is revoked or the caller is no member any
    more.

    A run numbers its events in order, so a reader who has one event has missed none before it.
    """
    began = spoke = time.monotonic()
    while time.monotonic() - began < LONGEST_SECONDS:
        seen = await run_in_threadpool(_read, scope, run_id, after, chosen)
        if seen is None:
            return  # who connects again is told why
        live, lines = seen
        for line in lines:
            after = line.id
            yield format_sse_event(
                event="log",
                data_str=LogLineView.model_validate(vars(line)).model_dump_json(),
                id=str(line.id),
            )
        if lines:
            spoke = time.monotonic()
            if len(lines) == LINES:
                continue
        elif time.monotonic() - spoke > SILENCE_SECONDS:
            spoke = time.monotonic()
            yield KEEPALIVE_COMMENT
        if not live:
            yield format_sse_event(event="end", data_str=to_json({"last": after}))
            return
        await asyncio.sleep(LOOK_SECONDS)


def _read(scope: Scope, run_id: int, after: int, chosen: LogFilter) -> tuple[bool, list[LogLine]] | None:
    """(whether the run goes on, the next lines); None when the caller may not read any more."""
    with scope.transaction() as tx:
        if not scope.reads_still(tx):
            return None
        # The state is read before the lines, so that nothing written before the end is missed.
        live = bool(tx.value("log_state", run=run_id))
        return live, reports.log_tail(tx, run_id, LINES, after, chosen)
