"""What Metricool says in ways of its own; what all services have in common is in test_every_service."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from pressroom.domain.errors import (
    PastDate,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)
from tests.support.metricool_world import TOKEN, post, scripted

PAST_WORDS = {"message": "Invalid value 'DateTimeInfo(…)'. Given datetime cannot be in the past."}
ANSWERS: list[tuple[int, Any, type[PressroomError], type[PressroomError]]] = [
    (400, PAST_WORDS, PastDate, PastDate),
    (400, {"errors": {"publicationDate": "cannot be in the past"}}, PastDate, PastDate),
    (409, PAST_WORDS, PermanentError, PermanentError),
    (200, {"data": {}}, UnknownOutcome, TransientError),
    (200, {"data": True}, UnknownOutcome, TransientError),
]


@pytest.mark.parametrize("creates", [True, False], ids=["create", "read"])
@pytest.mark.parametrize(("status", "body", "on_create", "on_read"), ANSWERS)
async def test_answers_that_are_none(
    status: int, body: Any, on_create: type[PressroomError], on_read: type[PressroomError], creates: bool
) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        content = body if isinstance(body, str) else json.dumps(body)
        return httpx.Response(status, text=content)

    async with scripted(handler) as metricool:
        with pytest.raises(PressroomError) as caught:
            await (metricool.publish(post()) if creates else metricool.find(post()))
    assert type(caught.value) is (on_create if creates else on_read)
    assert "'social'" in str(caught.value)


async def test_a_refusal_has_the_servers_words_and_no_token() -> None:
    words = f"no: X-Mc-Auth: {TOKEN} and userToken={TOKEN}&x=1 and {TOKEN}"
    async with scripted(lambda _: httpx.Response(400, json={"message": words})) as metricool:
        with pytest.raises(PermanentError, match=r"answered 400: no: ") as caught:
            await metricool.publish(post())
    assert TOKEN not in str(caught.value)
    async with scripted(lambda _: httpx.Response(502, html=f"<p>{TOKEN}</p>")) as metricool:
        with pytest.raises(UnknownOutcome) as unknown:
            await metricool.publish(post())
    assert "<p>" not in str(unknown.value)
    async with scripted(lambda _: httpx.Response(400, json={"reason": f"no {TOKEN}"})) as metricool:
        with pytest.raises(PermanentError, match='"reason": "no ') as other:
            await metricool.publish(post())
    assert TOKEN not in str(other.value)
