"""A signed word to somebody: its receiver can check it, and its secret is in no message."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pressroom.adapters.http.notify import NotifySettings, notify
from pressroom.adapters.http.signing import verify
from pressroom.domain.errors import ConfigurationError, PressroomError

SECRET = "s3cr3t-of-the-hook"
URL = "https://hooks.example/in?key=also-secret"

Handler = Callable[[httpx.Request], httpx.Response]


def settings(**changes: Any) -> NotifySettings:
    given = {"host": URL, "password": SECRET, **changes}
    return NotifySettings.from_connection("chat", **given)


def send(handler: Handler, **payload: Any) -> None:
    asyncio.run(notify(settings(), "ping", payload, transport=httpx.MockTransport(handler)))


def failure(handler: Handler) -> PressroomError:
    with pytest.raises(PressroomError) as caught:
        send(handler, message="hello")
    assert SECRET not in str(caught.value)
    assert "also-secret" not in str(caught.value)
    assert "hooks.example" not in str(caught.value)
    assert caught.value.__cause__ is None  # a log would show what hangs on it
    return caught.value


def test_what_is_sent_is_signed_and_says_what_it_is() -> None:
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    send(take, message="hällo", published=[{"url": "https://example.org/1"}])
    [request] = seen
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["Pressroom-Event"] == "ping"
    assert request.headers["Content-Type"] == "application/json"
    body = request.read()
    assert json.loads(body) == {
        "event": "ping", "message": "hällo", "published": [{"url": "https://example.org/1"}],
    }  # fmt: skip
    assert verify(request.headers, body, SECRET) == request.headers["webhook-id"]
    assert verify(request.headers, body + b" ", SECRET) is None
    assert verify(request.headers, body, "another") is None
    assert abs(time.time() - int(request.headers["webhook-timestamp"])) < 5
    send(take, message="hällo")
    assert len({one.headers["webhook-id"] for one in seen}) == 2
    assert SECRET not in str(dict(request.headers))


def test_a_server_that_echoes_gives_nothing_away() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, text=f"wrong secret {SECRET}, said {request.read().decode()}" + "x" * 5000)

    error = failure(echo)
    assert len(str(error)) < 300


@pytest.mark.parametrize("password", [None, "", "  "])
def test_without_a_secret_nothing_can_be_signed(password: str | None) -> None:
    with pytest.raises(ConfigurationError, match="'chat': password: there is no secret to sign with"):
        settings(password=password)


@pytest.mark.parametrize(
    "wrong",
    [{"host": None}, {"host": ""}, {"extra": {"timeout": 5}}, {"extra": {"timeout_seconds": 0}},
     {"host": "ftp://hooks.example"}],
)  # fmt: skip
def test_a_connection_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="'chat'") as caught:
        settings(**wrong)
    assert SECRET not in str(caught.value)


def test_settings_show_no_secret() -> None:
    assert SECRET not in repr(settings())
    assert settings(extra={"timeout_seconds": 3}).timeout_seconds == 3
