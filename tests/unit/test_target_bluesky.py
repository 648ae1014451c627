"""The Bluesky adapter against a server that holds to the protocol's rules, and against every failure."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image

from pressroom.adapters.targets.bluesky.account import BlueskySettings
from pressroom.adapters.targets.bluesky.target import BlueskyArguments, BlueskyTarget, record_key
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Picture, Piece, Target
from tests.support.strict_bluesky import DID, LOGIN, PASSWORD, StrictBluesky
from tests.support.target_errors import (
    FINAL,
    SETUP,
    Handler,
    Kinds,
    answering,
    check_caught,
    picture,
)

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
TEXT = "Grüße 🎉 #écologie: https://example.com/a_(b). (#no) #2026 #baking!"
JWT = "SECRETJWT"


def settings(**extra: Any) -> BlueskySettings:
    return BlueskySettings.from_connection("mine", login=LOGIN, password=PASSWORD, extra=extra)


def target(server: StrictBluesky, **extra: Any) -> BlueskyTarget:
    return BlueskyTarget(settings(**extra), transport=server.transport, now=lambda: NOW)


def piece(
    text: str = TEXT, pictures: list[Picture] | None = None, *, key: str = "post:1", **told: Any
) -> Piece[BlueskyArguments]:
    return Piece(key, BlueskyArguments(text=text, **told), pictures or [])


def scripted(handler: Handler) -> BlueskyTarget:
    """The sign-in is answered, no record is there before; all else by the handler."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("createSession"):
            jwts = {"accessJwt": f"a.{JWT}.1", "refreshJwt": f"r.{JWT}.1"}
            return httpx.Response(200, json={"did": DID, "handle": LOGIN, **jwts})
        return handler(request)

    return BlueskyTarget(settings(), transport=httpx.MockTransport(handle))


def absent(handler: Handler) -> Handler:
    """No record is there; all else by the handler."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("getRecord"):
            return httpx.Response(400, json={"error": "RecordNotFound", "message": "Could not locate record"})
        return handler(request)

    return handle


def test_it_is_a_target() -> None:
    mine: Target[BlueskyArguments] = BlueskyTarget(settings(settle_seconds=4))
    assert (mine.handler, mine.connection, mine.settle_seconds) == ("bluesky", "mine", 4)
    assert mine.arguments.limits.picture_bytes == 1_000_000


async def test_a_post_is_published_found_and_taken_back() -> None:
    server = StrictBluesky()
    async with target(server) as bluesky:
        await bluesky.check()
        assert await bluesky.find(piece()) is None
        placed = await bluesky.publish(piece())
        key = record_key("post:1")
        assert placed.external_id == f"at://{DID}/app.bsky.feed.post/{key}"
        assert placed.url == f"https://bsky.app/profile/{LOGIN}/post/{key}"
        assert await bluesky.find(piece()) == placed
        assert await bluesky.find(piece(key="post:2")) is None
        assert await bluesky.unpublish(placed.external_id)
        assert server.records == {}
        assert await bluesky.unpublish(placed.external_id)
    assert server.sign_ins == 1


async def test_one_piece_is_one_record_however_often_it_is_sent() -> None:
    server = StrictBluesky()
    async with target(server) as bluesky:
        placed = await asyncio.gather(*(bluesky.publish(piece()) for _ in range(5)))
        assert len(set(placed)) == 1
        server.faults = [("POST", "/xrpc/com.atproto.repo.putRecord", "lost")]
        with pytest.raises(UnknownOutcome):
            await bluesky.publish(piece(key="post:2"))
        again = await bluesky.publish(piece(key="post:2"))
        assert await bluesky.find(piece(key="post:2")) == again
    assert sorted(server.records) == sorted([record_key("post:1"), record_key("post:2")])
    assert server.sign_ins == 1


async def test_a_changed_piece_takes_the_place_of_the_first_and_keeps_its_time() -> None:
    server = StrictBluesky()
    async with target(server) as bluesky:
        await bluesky.publish(piece())
    async with BlueskyTarget(settings(), transport=server.transport) as later:
        await later.publish(piece("Another text", language="de"))
    (record,) = server.records.values()
    assert (record["text"], record["langs"]) == ("Another text", ["de"])
    assert record["createdAt"] == "2026-11-24T10:00:00.000Z"
    assert "facets" not in record


@pytest.mark.parametrize("text", ["Links begin with https://.", "(https://)", "https:///x", "https://…"])
@pytest.mark.parametrize("language", ["en", "pt-BR", "zh-Hant-TW", "es-419"])
async def test_texts_about_links_and_every_language_are_taken(text: str, language: str) -> None:
    server = StrictBluesky()
    async with target(server) as bluesky:
        await bluesky.publish(piece(text, language=language))
    assert len(server.records) == 1


async def test_an_account_that_is_not_active_is_no_account_to_publish_with() -> None:
    server = StrictBluesky()
    server.status = "deactivated"
    async with target(server) as bluesky:
        for call in (bluesky.check(), bluesky.publish(piece()), bluesky.find(piece())):
            with pytest.raises(ConfigurationError, match="not active") as caught:
                await call
            check_caught(caught, ConfigurationError, JWT)


async def test_pictures_and_what_they_show_arrive() -> None:
    server = StrictBluesky()
    async with target(server) as bluesky:
        await bluesky.publish(piece(pictures=[picture(alt="a loaf"), picture(kind="BMP")]))
    (record,) = server.records.values()
    first, second = record["embed"]["images"]
    assert (first["alt"], first["aspectRatio"]) == ("a loaf", {"width": 40, "height": 30})
    assert (first["image"]["mimeType"], second["image"]["mimeType"]) == ("image/png", "image/jpeg")


async def test_a_large_picture_is_made_smaller() -> None:
    noise, out = Image.frombytes("RGB", (800, 600), random.Random(1).randbytes(1_440_000)), BytesIO()
    noise.save(out, "PNG")
    assert len(out.getvalue()) > 1_000_000
    server = StrictBluesky()
    async with target(server) as bluesky:
        await bluesky.publish(piece(pictures=[Picture(out.getvalue(), "image/png")]))
    (blob,) = server.blobs.values()
    assert blob["size"] <= 1_000_000


async def test_a_link_is_a_card_with_the_first_picture() -> None:
    server = StrictBluesky()
    link = {"link": "https://example.com/bread", "link_title": "Bread", "link_description": "How to"}
    async with target(server) as bluesky:
        await bluesky.publish(piece("Look", [picture(), picture(kind="JPEG")], **link))
        await bluesky.publish(piece("Look", key="post:2", link="https://example.com/bread"))
    with_picture, bare = (record["embed"]["external"] for record in server.records.values())
    assert with_picture.pop("thumb")["mimeType"] == "image/png"
    assert with_picture == {"uri": "https://example.com/bread", "title": "Bread", "description": "How to"}
    assert bare == {
        "uri": "https://example.com/bread",
        "title": "https://example.com/bread",
        "description": "",
    }
    assert len(server.blobs) == 1


async def test_pictures_that_bluesky_does_not_take_are_refused() -> None:
    server = StrictBluesky()
    async with target(server) as bluesky:
        with pytest.raises(PermanentError, match="no picture"):
            await bluesky.publish(piece(pictures=[Picture(b"x", "image/png")]))
    assert server.records == {}


async def test_a_session_that_is_over_is_renewed_once_for_all() -> None:
    server = StrictBluesky()
    async with target(server) as bluesky:
        await bluesky.check()
        server.expire()
        await asyncio.gather(*(bluesky.publish(piece(key=f"post:{n}")) for n in range(5)))
        assert server.sign_ins == 1
        assert server.count("POST", "/xrpc/com.atproto.server.refreshSession") == 1
        server.expire(refresh=True)
        await bluesky.publish(piece())
        assert server.sign_ins == 2
    assert len(server.records) == 5


async def test_a_session_that_is_over_at_once_is_no_endless_loop() -> None:
    over = answering(400, {"error": "ExpiredToken", "message": f"over: a.{JWT}.1"})
    async with scripted(over) as bluesky:
        with pytest.raises(TransientError, match="over") as caught:
            await bluesky.find(piece())
    check_caught(caught, TransientError, JWT, PASSWORD)


async def test_a_wrong_password_fails_the_check() -> None:
    wrong = BlueskySettings.from_connection("mine", login=LOGIN, password="OTHERWORD")
    async with BlueskyTarget(wrong, transport=StrictBluesky().transport) as bluesky:
        with pytest.raises(ConfigurationError, match="Invalid identifier or password") as caught:
            await bluesky.check()
    check_caught(caught, ConfigurationError, "OTHERWORD")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"did": DID, "handle": LOGIN, "accessJwt": "a"}, TransientError),
        (200, "x", TransientError),
        (400, {"error": "InvalidToken", "message": "no"}, ConfigurationError),
        (401, {"error": "AuthFactorTokenRequired", "message": "a code was sent"}, ConfigurationError),
        (400, {"error": "AccountTakedown", "message": "taken down"}, ConfigurationError),
        (429, {"error": "RateLimitExceeded"}, TransientError),
        (503, "", TransientError),
    ],
)
async def test_a_sign_in_that_fails(status: int, body: Any, kind: type[PressroomError]) -> None:
    async with BlueskyTarget(settings(), transport=httpx.MockTransport(answering(status, body))) as bluesky:
        with pytest.raises(PressroomError) as caught:
            await bluesky.check()
    check_caught(caught, kind, PASSWORD)


async def test_a_rate_limit_says_when_to_come_back() -> None:
    server = StrictBluesky()
    async with target(server) as bluesky:
        await bluesky.check()
        server.requests_left = 1
        with pytest.raises(TransientError) as caught:
            await bluesky.publish(piece())
    assert type(caught.value) is TransientError
    assert caught.value.retry_after == pytest.approx(90, abs=5)


async def test_nothing_of_others_is_deleted() -> None:
    server = StrictBluesky()
    async with target(server) as bluesky:
        for other in (
            "at://did:plc:other/app.bsky.feed.post/2222222222222",
            f"at://{DID}/app.bsky.graph.follow/x",
            "x",
        ):
            with pytest.raises(PermanentError, match="not a post of this account"):
                await bluesky.unpublish(other)
    assert server.count("POST", "/xrpc/com.atproto.repo.deleteRecord") == 0


async def test_an_account_without_a_valid_handle_goes_by_its_lasting_name() -> None:
    server = StrictBluesky()

    async def handle(request: httpx.Request) -> httpx.Response:
        answer = await server.transport.handle_async_request(request)
        body = (await answer.aread()).replace(LOGIN.encode(), b"handle.invalid")
        return httpx.Response(answer.status_code, content=body)

    async with BlueskyTarget(
        settings(app_url="https://deer.example/"), transport=httpx.MockTransport(handle)
    ) as it:
        placed = await it.publish(piece())
    assert placed.url == f"https://deer.example/profile/{DID}/post/{record_key('post:1')}"


OWN: list[tuple[int, Any, Kinds]] = [
    (400, {"error": "InvalidRequest", "message": "Invalid app.bsky.feed.post record"}, FINAL),
    (400, {"error": "BlobNotFound", "message": "Could not find blob"}, FINAL),
    (400, {"error": "AccountDeactivated", "message": "closed"}, SETUP),
    (401, {"error": "AuthenticationRequired", "message": "no"}, SETUP),
    (403, {"error": "Forbidden", "message": "scope"}, SETUP),
]


@pytest.mark.parametrize("publishes", [True, False], ids=["publish", "find"])
@pytest.mark.parametrize(("status", "body", "kinds"), OWN)
async def test_answers_that_are_none(status: int, body: Any, kinds: Kinds, publishes: bool) -> None:
    handler = answering(status, body)
    async with scripted(absent(handler) if publishes else handler) as bluesky:
        with pytest.raises(PressroomError) as caught:
            await (bluesky.publish(piece()) if publishes else bluesky.find(piece()))
    check_caught(caught, kinds[0 if publishes else 1], PASSWORD, JWT)
