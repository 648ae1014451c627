"""Server-sent events that say that something changed; the page then asks for what it shows.

What a page has missed, because its connection was cut off or there never was one, it catches up with by the
same requests, so nothing depends on an event's arrival.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from fastapi.responses import Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from pressroom.api.kit.access import Scope
from pressroom.api.kit.limits.mark_watch import MarkQuestion, mark_of
from pressroom.api.kit.streaming import LONGEST_SECONDS, event_stream, must_open, silence

CROWD = 100
"""Pages that an account has open. Each asks for its part when it hears of a change: so many at once would be
refused, and while a run writes a line a second they would do nothing else.
"""
SPREAD_SECONDS, REST_SECONDS = 0.7, 5.0
"""In a crowd, pages hear of a change within this time of each other, and of the next one so much later."""


def stream(scopes: Sequence[Scope], workflow_id: int | None = None) -> Response:
    """An event ``changed`` whenever something changed in one of these accounts, or of the workflow.

    It ends when the viewer may not read one of them any more. Blocks. Raises QuotaExceeded.
    """
    if not scopes:
        return Response(status_code=204)  # browsers do not come again for it
    asked = []
    with scopes[0].store.transaction() as tx:
        for scope in scopes:
            own = tx.for_account(scope.account_id)
            must_open(scope, own)
            reader, seen = scope.caller.reader, mark_of(own, workflow_id)
            asked.append(MarkQuestion(scope.account_id, reader, workflow_id, seen))
    return event_stream(_changes(scopes, asked))


rest = asyncio.sleep


def _crowd(scopes: Sequence[Scope]) -> float:
    """How far an account has as many pages open as have to take turns: 0 to 1."""
    most = max(scope.admission.streams.count(scope.owner) for scope in scopes)
    return min(1.0, most / CROWD)


async def _changes(scopes: Sequence[Scope], asked: Sequence[MarkQuestion]) -> AsyncIterator[bytes]:
    ends = time.monotonic() + LONGEST_SECONDS
    marks, store = scopes[0].admission.marks, scopes[0].store
    with scopes[0].admission.streams.counted(*(scope.owner for scope in scopes)):
        yield KEEPALIVE_COMMENT  # the browser counts the stream as open by its first bytes
        waiting = {marks.ask(store, each): each for each in asked}
        try:
            while (left := ends - time.monotonic()) > 0:
                done, _ = await asyncio.wait(
                    waiting, timeout=silence(left), return_when=asyncio.FIRST_COMPLETED
                )
                for answer in done:
                    mark = answer.result()
                    if mark is None:
                        return
                    question = replace(waiting.pop(answer), seen=mark)
                    waiting[marks.ask(store, question)] = question
                if not done:
                    yield KEEPALIVE_COMMENT
                    continue
                crowd = _crowd(scopes)
                await rest(random.uniform(0, SPREAD_SECONDS) * crowd)  # noqa: S311
                yield format_sse_event(event="changed", data_str=question.seen)
                await rest(REST_SECONDS * crowd)
        finally:
            for answer in waiting:
                if not answer.cancel() and not answer.cancelled():
                    answer.exception()  # it is the same as the one that is raised
