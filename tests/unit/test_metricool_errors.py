"""Every way a call to Metricool can fail has its place in our tree, and none brings the token along."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx
import pytest

from pressroom.domain.errors import (
    ConfigurationError,
    PastDate,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)
from tests.support.metricool_world import TOKEN, post, scripted
from tests.support.target_errors import UNANSWERED, leaves

REQUEST = httpx.Request("POST", "http://metricool.test/v2/scheduler/posts")
EXPECTED = UNANSWERED


def test_every_transport_error_is_in_the_table() -> None:
    assert set(EXPECTED) == set(leaves(httpx.RequestError))


@pytest.mark.parametrize("creates", [True, False], ids=["create", "read"])
@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
async def test_errors_without_an_answer(kind: type[Exception], creates: bool) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise cast("Any", kind)(f"{TOKEN} {request.url}", request=request)

    async with scripted(handler) as metricool:
        with pytest.raises(PressroomError) as caught:
            await (metricool.publish(post()) if creates else metricool.find(post()))
    assert type(caught.value) is EXPECTED[kind][0 if creates else 1]
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


PAST_WORDS = {"message": "Invalid value 'DateTimeInfo(…)'. Given datetime cannot be in the past."}
ANSWERS: list[tuple[int, Any, type[PressroomError], type[PressroomError]]] = [
    (301, "", ConfigurationError, ConfigurationError),
    (400, {"message": 'Unrecognized field "x"'}, PermanentError, PermanentError),
    (400, PAST_WORDS, PastDate, PastDate),
    (401, {"message": "Unauthorized"}, ConfigurationError, ConfigurationError),
    (402, "", ConfigurationError, ConfigurationError),
    (403, "", ConfigurationError, ConfigurationError),
    (404, "", PermanentError, PermanentError),
    (408, "", UnknownOutcome, TransientError),
    (409, PAST_WORDS, PermanentError, PermanentError),
    (422, {"detail": "no"}, PermanentError, PermanentError),
    (425, "", UnknownOutcome, TransientError),
    (429, "", TransientError, TransientError),
    (500, {"error": "oops"}, UnknownOutcome, TransientError),
    (502, "<html>bad</html>", UnknownOutcome, TransientError),
    (503, "", UnknownOutcome, TransientError),
    (504, "", UnknownOutcome, TransientError),
    (200, "not json", UnknownOutcome, TransientError),
    (200, {"data": {}}, UnknownOutcome, TransientError),
    (200, {"data": True}, UnknownOutcome, TransientError),
    (200, "[1]", UnknownOutcome, TransientError),
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


async def test_a_429_says_how_long_to_wait() -> None:
    async with scripted(lambda _: httpx.Response(429, headers={"Retry-After": "17"})) as metricool:
        with pytest.raises(TransientError) as caught:
            await metricool.publish(post())
    assert caught.value.retry_after == 17


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
