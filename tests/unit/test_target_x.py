"""The X adapter against a server that holds to X's rules, and against every failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from authlib.oauth1.rfc5849 import client_auth
from pydantic import ValidationError

from pressroom.adapters.targets.x.account import XSettings
from pressroom.adapters.targets.x.target import XArguments, XTarget, comparable, weight
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Content, Picture, Piece, Target
from tests.support.strict_server import served
from tests.support.strict_x import TOKEN, StrictX
from tests.support.target_errors import (
    check_caught,
    picture,
)

TEXT = "Tom & Jerry <3 bread: https://example.com/bread?a=1&b=2 #baking 🎉"


def settings(**extra: Any) -> XSettings:
    return XSettings.from_connection("mine", password=TOKEN, extra=extra)


def target(server: StrictX, **extra: Any) -> XTarget:
    return XTarget(settings(**extra), transport=server.transport, now=lambda: server.now)


def piece(text: str = TEXT, pictures: list[Picture] | None = None) -> Piece[XArguments]:
    return Piece("post:1", XArguments(text=text), pictures or [])


def test_it_is_a_target() -> None:
    mine: Target[XArguments] = XTarget(settings(settle_seconds=4))
    assert (mine.handler, mine.connection, mine.settle_seconds) == ("x", "mine", 4)
    assert mine.arguments.limits.text_chars == 280


async def test_a_post_is_published_found_and_taken_back() -> None:
    server = StrictX()
    async with target(server) as x:
        await x.check()
        assert await x.find(piece()) is None
        placed = await x.publish(piece())
        assert placed.url == f"https://x.com/i/web/status/{placed.external_id}"
        assert await x.find(piece()) == placed
        assert await x.find(piece("Another text")) is None
        assert await x.unpublish(placed.external_id)
        assert await x.unpublish(placed.external_id)
        assert await x.find(piece()) is None
        with pytest.raises(PermanentError, match="not the id of a post"):
            await x.unpublish("4242/likes")
    assert server.count("GET", "/2/users/me") == 1


@pytest.mark.parametrize("pending", [0, 2])
async def test_pictures_and_what_they_show_arrive(pending: int) -> None:
    server = StrictX(pending=pending)
    async with target(server, made_with_ai=True) as x:
        mine = piece(pictures=[picture(alt="a loaf"), picture(kind="BMP")])
        placed = await x.publish(mine)
        # The link that X adds for the pictures is none of the text's.
        assert await x.find(mine) == placed
    (post,) = server.posts
    assert [server.media[id]["alt"] for id in post["media"]] == ["a loaf", ""]
    assert post["ai"] is True


async def test_over_a_real_connection() -> None:
    server = StrictX()
    with served(server) as url:
        mine = XSettings.from_connection("mine", host=url, password=TOKEN)
        async with XTarget(mine, now=lambda: server.now) as x:
            placed = await x.publish(piece(pictures=[picture()]))
            assert await x.find(piece()) == placed


async def test_pictures_that_x_does_not_take_are_refused() -> None:
    server = StrictX()
    async with target(server) as x:
        with pytest.raises(PermanentError, match="no picture"):
            await x.publish(piece(pictures=[picture(), Picture(b"x", "image/png")]))
    assert server.journal == []


async def test_a_failed_upload_has_published_nothing() -> None:
    server = StrictX()
    server.faults = [("POST", "/2/media/upload", "lost")]
    async with target(server) as x:
        with pytest.raises(TransientError) as caught:
            await x.publish(piece(pictures=[picture()]))
    assert type(caught.value) is TransientError
    assert server.posts == []


async def test_a_lost_post_is_found_and_not_sent_again() -> None:
    server = StrictX()
    server.faults = [("POST", "/2/tweets", "lost")]
    async with target(server) as x:
        with pytest.raises(UnknownOutcome):
            await x.publish(piece())
        found = await x.find(piece())
        assert found is not None
        # Who does not look and sends again gets the same post: X refuses the duplicate.
        assert await x.publish(piece()) == found
    assert len(server.posts) == 1


async def test_a_duplicate_of_long_ago_is_adopted_and_one_that_is_not_there_refused() -> None:
    server = StrictX()
    async with target(server) as x:
        placed = await x.publish(piece())
        server.now += timedelta(days=30)
        assert await x.find(piece()) is None
        assert await x.publish(piece()) == placed
        server.posts[0]["text"] = "as somebody edited it"
        with pytest.raises(PermanentError, match=r"duplicate content\.; and it is not among") as caught:
            await x.publish(piece())
    check_caught(caught, PermanentError, TOKEN)


async def test_a_post_is_found_on_a_later_page() -> None:
    server = StrictX()
    async with target(server) as x:
        placed = await x.publish(piece())
        for number in range(250):
            server.posts.insert(0, {**server.posts[0], "id": str(number), "text": f"No. {number}"})
        assert await x.find(piece()) == placed
    assert server.count("GET", "/2/users/4242/tweets") == 3


async def test_the_earlier_name_of_the_fields_is_understood_too() -> None:
    server = StrictX(fields="tweet.fields")
    async with target(server) as x:
        placed = await x.publish(piece())
        assert await x.find(piece()) == placed
        assert await x.find(piece()) == placed
    assert server.count("GET", "/2/users/4242/tweets") == 3


def signature(monkeypatch: pytest.MonkeyPatch, method: str, url: str) -> str:
    """The Authorization of a request, with nonce and time of the protocol's own example."""
    monkeypatch.setattr(client_auth, "generate_nonce", lambda: "kllo9940pd9333jh")
    monkeypatch.setattr(client_auth, "generate_timestamp", lambda: "1191242096")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    extra = {"consumer_key": "dpf43f3p2l4k3l03", "consumer_secret": "kd94hf93k423kf44"}
    own = XSettings.from_connection(
        "mine", password="nnch734d00sl2jdk", extra={**extra, "token_secret": "pfkkdhi9sl3r4s00"}
    )
    assert own.auth is not None
    assert "kd94hf93k423kf44" not in f"{own!r} {own.auth!r}"
    request = httpx.Request(method, url, json={"text": "Bread"} if method == "POST" else None)
    next(own.auth.auth_flow(request))
    assert request.content == (b'{"text":"Bread"}' if method == "POST" else b"")
    return str(request.headers["Authorization"])


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        (
            "GET",
            "http://photos.example.net/photos?file=vacation.jpg&size=original",
            "tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D",
        ),
        ("POST", "https://api.x.com/2/tweets", "HEboxz1rsalk%2BVnWJ%2FEDNeaeGhE%3D"),
        ("POST", "https://api.x.com/p?a=b%20c&a=%C3%BC&e=&x=1%2B2", "gWqdmGNhaIIPK2QmjV2UspbUbCE%3D"),
    ],
    ids=["the protocol's own example", "a JSON body", "a query with everything"],
)
def test_oauth1_signs_method_address_and_query(
    monkeypatch: pytest.MonkeyPatch, method: str, url: str, expected: str
) -> None:
    header = signature(monkeypatch, method, url)
    assert f'oauth_signature="{expected}"' in header
    assert "oauth_body_hash" not in header
    assert "kd94hf93k423kf44" not in header


def test_what_is_not_https_is_not_signed() -> None:
    keys = {"consumer_key": "KEY", "consumer_secret": "SECRETCONSUMER", "token_secret": "SECRETUSER"}
    with pytest.raises(ConfigurationError, match="host must be an https address") as caught:
        XSettings.from_connection("mine", host="http://x.test", password=TOKEN, extra=keys)
    assert "SECRET" not in str(caught.value)


async def test_with_oauth1_every_request_is_signed() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"data": {"id": "4242"}})

    keys = {"consumer_key": "KEY", "consumer_secret": "SECRETCONSUMER", "token_secret": "SECRETUSER"}
    async with XTarget(settings(**keys), transport=httpx.MockTransport(handler)) as x:
        await x.check()
        await x.publish(piece())
    headers = [request.headers["authorization"] for request in seen]
    assert all(header.startswith("OAuth ") and f'oauth_token="{TOKEN}"' in header for header in headers)
    assert len(set(headers)) == 2
    assert not any("SECRETCONSUMER" in header or "SECRETUSER" in header for header in headers)


async def test_a_rate_limit_says_when_to_come_back() -> None:
    server = StrictX()
    server.requests_left = 0
    async with target(server) as x:
        with pytest.raises(TransientError) as caught:
            await x.publish(piece())
    assert type(caught.value) is TransientError
    assert caught.value.retry_after == pytest.approx(300, abs=5)


def test_the_weight_of_a_text_is_bounded() -> None:
    link = "https://example.com/" + "x" * 300
    assert weight(f"{link} 日本") == 23 + 1 + 4
    assert XArguments(text=f"{'x' * 250} {link}").text.endswith(link)
    assert XArguments.model_json_schema()["properties"]["text"]["maxLength"] == 280
    for wrong in ("", "   ", "x" * 281, "語" * 141):
        with pytest.raises(ValidationError):
            XArguments(text=wrong)
    with pytest.raises(ValidationError, match="Extra"):
        XArguments(text="x", color="red")  # type: ignore[call-arg]


def test_content_is_cut_to_the_limits() -> None:
    link = "https://example.com/" + "x" * 300
    told = XTarget(settings()).from_content(Content(title="Brot", text="日本語 🎉 " * 200, link=link))
    assert told.text.startswith("Brot\n\n日本語")
    assert told.text.endswith(link)
    assert 265 < weight(told.text) <= 280


def test_texts_are_compared_without_what_x_changes() -> None:
    assert comparable("Go to  https://example.com/ \n now") == comparable("Go to http://example.com now")
    assert comparable("https://example.com/a") != comparable("https://example.com/b")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"extra": {"consumer_key": "k"}}, "belong together"),
        ({"extra": {"consumer_key": "k", "consumer_secret": "SECRETC"}}, "belong together"),
        ({"extra": {"look_back_days": 0}}, "look_back_days"),
        ({"password": ""}, "password"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        XSettings.from_connection("mine", **{"password": TOKEN, **changes})
    check_caught(caught, ConfigurationError, TOKEN, "SECRETC")


def test_now_is_now() -> None:
    assert abs(XTarget(settings())._now() - datetime.now(UTC)) < timedelta(seconds=5)
