"""A webhook gets a signed piece under one key, and every answer of its has a place in our tree."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from pressroom.adapters.http.service import WORDS_BYTES
from pressroom.adapters.http.signing import verify
from pressroom.adapters.targets.article import LinkedArticleArguments
from pressroom.adapters.targets.webhook import Webhook, WebhookSettings
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Content, Picture, Piece, Placed

SECRET = "TOPSECRETVALUE"
URL = "https://hooks.test/T0P/secretpath?token=QUERYTOKEN"
NOW = 0
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second in which a test begins: a receiver takes no signature that is minutes old."""
    monkeypatch.setattr(f"{__name__}.NOW", int(time.time()))


def settings(**extra: Any) -> WebhookSettings:
    return WebhookSettings.from_connection("hook", host=URL, password=SECRET, extra=extra)


def webhook(handler: Handler, **extra: Any) -> Webhook:
    return Webhook(
        settings(**extra),
        transport=httpx.MockTransport(handler),
        now=lambda: datetime.fromtimestamp(NOW + 0.9, UTC),
    )


def piece(**changes: Any) -> Piece[LinkedArticleArguments]:
    arguments = LinkedArticleArguments(
        title="A title",
        html="<h2>Grüße</h2><p>Text<script>x()</script></p>",
        excerpt="Short",
        tags=["a"],
        categories=["News"],
        link="https://source.test/1",
    )
    return Piece(**{"key": "site/1 article:7", "arguments": arguments, **changes})


async def test_the_piece_goes_out_signed_and_under_its_key() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"id": 17, "url": "https://there.test/17"})

    at = datetime(2027, 1, 2, 3, 4, tzinfo=UTC)
    pictures = [Picture(b"x", "image/png", "Alt", "https://media.test/1.png")]
    async with webhook(handler) as target:
        placed = await target.publish(piece(at=at, pictures=pictures))
    assert placed == Placed("17", "https://there.test/17")
    (request,) = seen
    assert str(request.url) == URL
    assert request.headers["Idempotency-Key"] == "site/1%20article:7"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["webhook-timestamp"] == str(NOW)
    assert verify(request.headers, request.content, SECRET) == request.headers["webhook-id"]
    assert json.loads(request.content) == {
        "key": "site/1 article:7",
        "title": "A title",
        "html": "<h2>Grüße</h2><p>Text</p>",
        "text": "Grüße\nText",
        "excerpt": "Short",
        "meta_description": "Short",
        "slug": "",
        "tags": ["a"],
        "categories": ["News"],
        "link": "https://source.test/1",
        "at": "2027-01-02T03:04:00+00:00",
        "pictures": [{"url": "https://media.test/1.png", "alt": "Alt", "media_type": "image/png"}],
    }


async def test_the_question_before_it_is_sent_again_is_not_the_same_message() -> None:
    ids: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        ids.append(request.headers["webhook-id"])
        return httpx.Response(404 if request.method == "GET" else 200)

    async with webhook(handler, find_url="https://hooks.test/{key}") as target:
        await target.publish(piece())
        for _ in range(2):
            assert await target.find(piece()) is None
        await target.publish(piece())
    assert ids[0] == ids[3]
    assert len(set(ids)) == 3


async def test_a_picture_in_the_text_stays_and_others_do_not() -> None:
    bodies: list[dict[str, Any]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200)

    own = Picture(b"x", "image/png", "Alt", "https://media.test/1.png")
    html = f'<p><img src="{own.url}"><img src="https://stranger.test/2.png"></p>'
    arguments = LinkedArticleArguments(title="t", html=html, link="javascript:alert(1)")
    async with webhook(handler) as target:
        await target.publish(Piece("k", arguments, [own]))
    assert bodies[0]["html"] == f'<p><img src="{own.url}" alt="Alt"></p>'
    assert bodies[0]["link"] == ""


async def test_a_picture_without_an_address_is_no_secret_omission() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise AssertionError("sent")

    async with webhook(handler) as target:
        with pytest.raises(ConfigurationError, match="pressroom_media_public_url"):
            await target.publish(piece(pictures=[Picture(b"x", "image/png")]))


@pytest.mark.parametrize(
    ("answer", "placed"),
    [
        (httpx.Response(204), Placed("k")),
        (httpx.Response(200, text="ok"), Placed("k")),
        (httpx.Response(200, json=["x"]), Placed("k")),
        (httpx.Response(200, json={"id": None, "url": "javascript:x"}), Placed("k")),
        (httpx.Response(200, json={"id": True}), Placed("k")),
        (httpx.Response(202, json={"id": " a\nb "}), Placed("a b")),
        (httpx.Response(200, json={"id": 0, "url": "http://a.test/"}), Placed("0", "http://a.test/")),
    ],
)
async def test_any_success_is_one(answer: httpx.Response, placed: Placed) -> None:
    async with webhook(lambda _: answer) as target:
        assert await target.publish(piece(key="k")) == placed


async def test_no_more_of_an_answer_is_read_than_is_needed() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield b"x" * 1000

    async with webhook(lambda _: httpx.Response(200, content=endless())) as target:
        assert await target.publish(piece(key="k")) == Placed("k")
    assert read <= WORDS_BYTES + 1000


async def test_what_was_taken_stays_taken_when_the_rest_of_the_answer_is_lost() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b'{"id": "1'
        raise httpx.ReadError("lost")

    async with webhook(lambda _: httpx.Response(200, content=broken())) as target:
        assert await target.publish(piece(key="k")) == Placed("k")


@pytest.mark.parametrize(
    ("status", "on_send", "on_find"),
    [
        (404, ConfigurationError, None),
        (409, TransientError, TransientError),
        (410, ConfigurationError, ConfigurationError),
        (503, UnknownOutcome, TransientError),
    ],
)
async def test_answers_that_are_no_success(
    status: int, on_send: type[PressroomError], on_find: type[PressroomError] | None
) -> None:
    words = {"message": f"no {SECRET} at {URL} or /T0P/secretpath with token=QUERYTOKEN"}
    answer = httpx.Response(status, json=words, headers={"Retry-After": "7"})
    async with webhook(lambda _: answer, find_url="https://hooks.test/find/{key}") as target:
        with pytest.raises(PressroomError) as caught:
            await target.publish(piece())
        if on_find is None:
            assert await target.find(piece()) is None
        else:
            with pytest.raises(on_find) as looked:
                await target.find(piece())
            assert type(looked.value) is on_find
    assert type(caught.value) is on_send
    text = str(caught.value)
    assert text.startswith(f"connection 'hook': the receiver answered {status}: no [hidden]")
    assert not [part for part in (SECRET, "secretpath", "QUERYTOKEN") if part in text]
    if isinstance(caught.value, TransientError):
        assert caught.value.retry_after == 7


async def test_a_page_of_html_is_not_repeated() -> None:
    async with webhook(lambda _: httpx.Response(500, text="<html>Oops</html>")) as target:
        with pytest.raises(UnknownOutcome) as caught:
            await target.publish(piece())
    assert "Oops" not in str(caught.value)


async def test_a_receiver_that_can_be_asked_is_asked() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "x", "url": "https://there.test/x"})

    async with webhook(handler, find_url="https://hooks.test/find/{key}?a=1") as target:
        assert await target.find(piece()) == Placed("x", "https://there.test/x")
    assert str(seen[0].url) == "https://hooks.test/find/site%2F1%20article%3A7?a=1"
    assert verify(seen[0].headers, b"", SECRET)


async def test_without_that_only_one_that_takes_a_key_once_is_sent_to_again() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise AssertionError("asked")

    async with webhook(handler) as target:
        assert await target.find(piece()) is None
    async with webhook(handler, idempotent=False) as target:
        with pytest.raises(PermanentError, match="find_url"):
            await target.find(piece())


async def test_nothing_is_taken_back() -> None:
    async with webhook(lambda _: httpx.Response(200)) as target:
        await target.check()
        assert await target.unpublish("17") is False


def test_content_becomes_arguments() -> None:
    content = Content(
        title=" A  title ",
        text="First.\n\nSecond <b>.",
        slug="a-title",
        tags=["x", " "],
        link="https://a.test/",
        excerpt="e" * 600,
    )
    made = webhook(lambda _: httpx.Response(200)).from_content(content)
    assert made.html == "<p>First.</p>\n<p>Second &lt;b&gt;.</p>"
    assert (made.title, made.tags, made.link, len(made.excerpt)) == ("A title", ["x"], "https://a.test/", 500)


def test_content_without_a_title_gets_one_and_none_at_all_is_refused() -> None:
    target = webhook(lambda _: httpx.Response(200))
    assert target.from_content(Content(title="", text="Hello there")).title == "Hello there"
    for nothing in (Content(title="", text=" "), Content(title="x", text="")):
        with pytest.raises(PermanentError, match="nothing to publish"):
            target.from_content(nothing)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"password": ""}, "password"),
        ({"password": "whsec_my-secret!"}, "password: the secret begins with whsec_"),
        ({"host": ""}, "web address"),
        ({"host": "ftp://a.test"}, "web address"),
        ({"host": "https://ann:pw@a.test"}, "not in the host"),
        ({"host": "https://a.test:port"}, "web address"),
        ({"host": "https://a b.test"}, "web address"),
        ({"extra": {"findurl": "x"}}, "did you mean 'find_url'"),
        ({"extra": {"url": "https://b.test"}}, "unknown key 'url'"),
        ({"extra": {"find_url": "https://a.test/find"}}, "find_url"),
        ({"extra": {"find_url": "{key}"}}, "find_url"),
        ({"extra": {"timeout_seconds": SECRET}}, "timeout_seconds"),
        ({"extra": {"idempotent": "perhaps"}}, "idempotent"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_shown(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        WebhookSettings.from_connection("hook", **{"host": URL, "password": SECRET, **fields})
    assert "'hook'" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_connection_is_read() -> None:
    found = WebhookSettings.from_connection(
        "hook", host="hooks.test/in?x=1", schema="http", port=8080, login="n", password=SECRET
    )
    assert found.url == "http://hooks.test:8080/in?x=1"
    assert SECRET not in repr(found)
    assert (found.idempotent, found.settle_seconds) == (True, 10)
