"""Every exception class of the SDK has its place in our tree, and none brings a key along."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any, cast

import httpx2
import openai
import openai._exceptions as sdk
import pytest

from pressroom.adapters.http.errors import retry_after, scrub
from pressroom.adapters.models.openai_errors import translate
from pressroom.domain.errors import (
    ConfigurationError,
    FilteredAnswer,
    OutOfMoney,
    PermanentError,
    PressroomError,
    RequestRefused,
    ServiceDown,
    TransientError,
    TruncatedAnswer,
    UnknownOutcome,
)

KEY = "sk-proj-abcdefghijklmnop123456"
REQUEST = httpx2.Request(
    "POST", "https://api.example/v1/chat/completions", headers={"Authorization": f"Bearer {KEY}"}
)


def status_error(
    kind: type[openai.APIStatusError],
    status: int,
    *,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> openai.APIStatusError:
    body = {"message": f"refused, your key {KEY} and Authorization: Bearer {KEY}", "code": code, "type": None}
    response = httpx2.Response(status, request=REQUEST, headers=headers)
    return kind(f"Error code: {status} - {KEY}", response=response, body=body)


def completion() -> Any:
    class Completion:
        usage = None

    return Completion()


EXPECTED: dict[type[Exception], tuple[Exception, type[PressroomError]]] = {
    openai.APITimeoutError: (openai.APITimeoutError(REQUEST), UnknownOutcome),
    openai.APIConnectionError: (openai.APIConnectionError(request=REQUEST), ServiceDown),
    openai.APIResponseValidationError: (
        openai.APIResponseValidationError(httpx2.Response(200, request=REQUEST), None),
        TransientError,
    ),
    openai.APIError: (openai.APIError("broken stream", REQUEST, body=None), TransientError),
    openai.APIStatusError: (status_error(openai.APIStatusError, 418), RequestRefused),
    openai.BadRequestError: (status_error(openai.BadRequestError, 400), RequestRefused),
    openai.AuthenticationError: (status_error(openai.AuthenticationError, 401), ConfigurationError),
    openai.OAuthError: (
        openai.OAuthError(response=httpx2.Response(401, request=REQUEST), body={"error": "invalid_grant"}),
        ConfigurationError,
    ),
    openai.PermissionDeniedError: (status_error(openai.PermissionDeniedError, 403), ConfigurationError),
    openai.NotFoundError: (status_error(openai.NotFoundError, 404), ConfigurationError),
    openai.ConflictError: (status_error(openai.ConflictError, 409), TransientError),
    openai.UnprocessableEntityError: (status_error(openai.UnprocessableEntityError, 422), RequestRefused),
    openai.RateLimitError: (status_error(openai.RateLimitError, 429), TransientError),
    openai.InternalServerError: (status_error(openai.InternalServerError, 503), ServiceDown),
    openai.LengthFinishReasonError: (
        openai.LengthFinishReasonError(completion=completion()),
        TruncatedAnswer,
    ),
    openai.ContentFilterFinishReasonError: (openai.ContentFilterFinishReasonError(), FilteredAnswer),
    openai.OpenAIError: (openai.OpenAIError(f"no credentials, not even {KEY}"), ConfigurationError),
    sdk.SubjectTokenProviderError: (sdk.SubjectTokenProviderError("no token"), ConfigurationError),
    openai.InvalidWebhookSignatureError: (openai.InvalidWebhookSignatureError("bad"), PermanentError),
    openai.WebSocketConnectionClosedError: (
        openai.WebSocketConnectionClosedError("closed", unsent_messages=[]),
        PermanentError,
    ),
    openai.WebSocketQueueFullError: (openai.WebSocketQueueFullError("full"), PermanentError),
    openai._AmbiguousModuleClientUsageError: (
        cast(Any, openai._AmbiguousModuleClientUsageError)(),
        ConfigurationError,
    ),
}


def every_sdk_class() -> set[type[Exception]]:
    found = {
        value for space in (openai, sdk) for value in list(vars(space).values()) if isinstance(value, type)
    }
    return {kind for kind in found if issubclass(kind, Exception) and kind.__module__.startswith("openai")}


def test_no_class_of_the_sdk_is_forgotten() -> None:
    assert {kind.__name__ for kind in every_sdk_class()} == {kind.__name__ for kind in EXPECTED}


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_each_class_has_its_place_and_keeps_no_secret(kind: type[Exception]) -> None:
    error, wanted = EXPECTED[kind]
    ours = translate(error, connection="pressroom_text", secret=KEY)
    assert type(ours) is wanted
    assert KEY not in str(ours)
    assert KEY not in str(translate(error, connection="pressroom_text"))
    assert "pressroom_text" in str(ours)


@pytest.mark.parametrize(
    ("kind", "status", "code", "wanted"),
    [
        (openai.RateLimitError, 429, "insufficient_quota", OutOfMoney),
        (openai.RateLimitError, 429, "rate_limit_exceeded", TransientError),
        (openai.BadRequestError, 400, "billing_hard_limit_reached", OutOfMoney),
        (openai.BadRequestError, 400, "content_filter", FilteredAnswer),
        (openai.BadRequestError, 400, "moderation_blocked", FilteredAnswer),
        (openai.BadRequestError, 400, "context_length_exceeded", RequestRefused),
        (openai.APIStatusError, 402, None, OutOfMoney),
        (openai.APIStatusError, 408, None, TransientError),
        (openai.InternalServerError, 500, None, ServiceDown),
    ],
)
def test_status_and_code_decide(
    kind: type[openai.APIStatusError], status: int, code: str | None, wanted: type[PressroomError]
) -> None:
    assert type(translate(status_error(kind, status, code=code), connection="c")) is wanted


def test_broken_json_is_worth_another_try() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    assert isinstance(translate(caught.value, connection="c"), TransientError)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "9999999999"}, 86400.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_passed_on(headers: dict[str, str], seconds: float | None) -> None:
    ours = translate(status_error(openai.RateLimitError, 429, headers=headers), connection="c")
    assert isinstance(ours, TransientError)
    assert ours.retry_after == seconds


def test_retry_after_as_a_date() -> None:
    now = time.time()
    assert retry_after({"retry-after": formatdate(now + 40, usegmt=True)}, now=now) == pytest.approx(
        40, abs=1.5
    )
    assert retry_after({"retry-after": formatdate(now - 40, usegmt=True)}, now=now) == 0


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}.",
        "Incorrect API key provided: sk-abcd****************wxyz.",
        f"headers: Authorization: Bearer {KEY}",
        "x-api-key: hunter2hunter2",
        "bearer hunter2hunter2 was refused",
    ],
)
def test_scrubbed_text_holds_no_key(text: str) -> None:
    clean = scrub(text)
    assert "hunter2" not in clean
    assert "abcd" not in clean
    assert "[hidden]" in clean


def test_what_a_terminal_obeys_or_postgres_refuses_is_not_shown() -> None:
    assert scrub("no\x00 room\x1b[31m \ud800 at\u202e all\n") == "no room[31m at all"
