"""The Pinterest adapter against a server that holds to Pinterest's rules, and against every failure."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from pressroom.adapters.targets.pinterest import PinterestArguments, PinterestSettings, PinterestTarget
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Content, Picture, Piece, Target
from tests.support.strict_pinterest import TOKEN, StrictPinterest
from tests.support.target_errors import (
    Handler,
    answering,
    picture,
)


def settings(**extra: Any) -> PinterestSettings:
    return PinterestSettings.from_connection("mine", password=TOKEN, extra={"board": "Recipes", **extra})


def target(server: StrictPinterest, **extra: Any) -> PinterestTarget:
    return PinterestTarget(settings(**extra), transport=server.transport)


def piece(pictures: list[Picture] | None = None, **arguments: Any) -> Piece[PinterestArguments]:
    told = {"title": "Bread", "description": "How to bake", "link": "https://example.com/bread", **arguments}
    return Piece("post:1", PinterestArguments(**told), [picture()] if pictures is None else pictures)


def scripted(handler: Handler) -> PinterestTarget:
    """Boards are answered; all else by the handler."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v5/boards":
            return httpx.Response(200, json={"items": [{"id": "11", "name": "Recipes"}], "bookmark": None})
        return handler(request)

    return PinterestTarget(settings(), transport=httpx.MockTransport(handle))


def test_it_is_a_target() -> None:
    mine: Target[PinterestArguments] = PinterestTarget(settings(settle_seconds=4))
    assert (mine.handler, mine.connection, mine.settle_seconds) == ("pinterest", "mine", 4)
    assert mine.arguments.limits.picture_required
    assert not mine.arguments.limits.schedules


async def test_a_pin_is_published_found_and_taken_back() -> None:
    server = StrictPinterest()
    async with target(server) as pinterest:
        await pinterest.check()
        assert await pinterest.find(piece()) is None
        placed = await pinterest.publish(piece())
        assert placed.url == f"https://www.pinterest.com/pin/{placed.external_id}/"
        assert await pinterest.find(piece()) == placed
        assert await pinterest.unpublish(placed.external_id)
        assert server.pins == []
        assert await pinterest.unpublish(placed.external_id)
        assert await pinterest.find(piece()) is None


async def test_what_a_pin_says_arrives() -> None:
    server = StrictPinterest()
    async with target(server) as pinterest:
        await pinterest.publish(piece([picture(alt="a loaf")], board="tools"))
        await pinterest.publish(piece(description="", link="", alt_text="mine", board="11"))
    first, second = reversed(server.pins)
    assert (first["title"], first["description"], first["link"]) == (
        "Bread",
        "How to bake",
        "https://example.com/bread",
    )
    assert (first["board_id"], first["alt_text"]) == ("12", "a loaf")
    assert (second["board_id"], second["alt_text"], second["link"]) == ("11", "mine", None)


@pytest.mark.parametrize(
    ("pictures", "kind"),
    [
        ([picture()], "image_base64"),
        ([picture(url="https://cdn.example.com/1.png")], "image_url"),
        ([picture(url="http://localhost/1.png")], "image_base64"),
        ([picture(), picture(kind="WEBP")], "multiple_image_base64"),
        ([picture(url="https://cdn.example.com/1.png")] * 5, "multiple_image_urls"),
        ([picture(url="https://cdn.example.com/1.png"), picture()], "multiple_image_base64"),
    ],
)
async def test_pictures_go_by_address_where_pinterest_can_fetch_them(
    pictures: list[Picture], kind: str
) -> None:
    sent: list[dict[str, Any]] = []
    server = StrictPinterest()

    async def keep(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            sent.append(json.loads(request.content)["media_source"])
        return await server.transport.handle_async_request(request)

    async with PinterestTarget(settings(), transport=httpx.MockTransport(keep)) as pinterest:
        await pinterest.publish(piece(pictures))
    assert sent[0]["source_type"] == kind
    if kind == "image_base64":
        assert base64.b64decode(sent[0]["data"]) == pictures[0].data
    assert len(server.pins) == 1


async def test_a_pin_needs_a_picture_that_is_one() -> None:
    server = StrictPinterest()
    async with target(server) as pinterest:
        with pytest.raises(PermanentError, match="no picture"):
            await pinterest.publish(piece([Picture(b"x", "image/png")]))
    assert server.journal == []


async def test_a_lost_pin_is_found_and_not_sent_again() -> None:
    server = StrictPinterest()
    server.faults = [("POST", "/v5/pins", "lost")]
    async with target(server) as pinterest:
        with pytest.raises(UnknownOutcome):
            await pinterest.publish(piece())
        found = await pinterest.find(piece())
        assert found is not None
        assert found.external_id == server.pins[0]["id"]


async def test_a_pin_is_found_on_a_later_page_and_the_oldest_counts() -> None:
    server = StrictPinterest()
    async with target(server) as pinterest:
        first = await pinterest.publish(piece())
        await pinterest.publish(piece())
        # What is spaced otherwise is the same; another title, text, link or board is not.
        assert await pinterest.find(piece(description="How  to\nbake")) == first
        for name, value in {"title": "Cake", "description": "x", "link": "", "board": "Tools"}.items():
            assert await pinterest.find(piece(None, **{name: value})) is None
        server.pins[0:0] = [{**server.pins[0], "id": str(n), "title": f"No. {n}"} for n in range(600)]
        assert await pinterest.find(piece()) == first
    # Four short lists of board 11, and one of three pages.
    assert server.count("GET", "/v5/boards/11/pins") == 4 + 3


async def test_boards_go_by_name_or_id() -> None:
    server = StrictPinterest({"11": "Recipes", "12": "Twice", "13": "twice"})
    async with target(server) as pinterest:
        with pytest.raises(PermanentError, match="none named 'Recipies'; did you mean 'Recipes'"):
            await pinterest.publish(piece(board="Recipies"))
        with pytest.raises(PermanentError, match="use an id: 12, 13"):
            await pinterest.publish(piece(board="Twice"))
        await pinterest.publish(piece(board="13"))
        assert server.count("GET", "/v5/boards") == 1
    async with target(server, board="") as pinterest:
        await pinterest.check()
        with pytest.raises(PermanentError, match="names no board"):
            await pinterest.publish(piece())
    async with target(server, board="Gone") as pinterest:
        with pytest.raises(ConfigurationError, match="Gone"):
            await pinterest.check()


async def test_many_boards_are_read_over_all_pages() -> None:
    server = StrictPinterest({str(n): f"Board {n}" for n in range(600)})
    async with target(server, board="Board 599") as pinterest:
        await pinterest.publish(piece())
    assert server.pins[0]["board_id"] == "599"


async def test_a_wrong_token_fails_the_check() -> None:
    wrong = PinterestSettings.from_connection("mine", password="OTHERTOKEN")
    async with PinterestTarget(wrong, transport=StrictPinterest().transport) as pinterest:
        with pytest.raises(ConfigurationError, match="Authentication failed") as caught:
            await pinterest.check()
    assert "OTHERTOKEN" not in str(caught.value)


async def test_a_rate_limit_says_when_to_come_back() -> None:
    server = StrictPinterest()
    server.requests_left = 1
    async with target(server) as pinterest:
        with pytest.raises(TransientError) as caught:
            await pinterest.publish(piece())
    assert (type(caught.value), caught.value.retry_after) == (TransientError, 42)
    assert server.pins == []


async def test_nothing_but_a_pin_is_deleted() -> None:
    server = StrictPinterest()
    async with target(server) as pinterest:
        with pytest.raises(PermanentError, match="no id of a pin"):
            await pinterest.unpublish("../boards/11")
    assert server.journal == []


def test_arguments_are_bounded_and_their_schema_says_so() -> None:
    properties = PinterestArguments.model_json_schema()["properties"]
    bounds = {name: shape["maxLength"] for name, shape in properties.items()}
    assert bounds == {"title": 100, "description": 800, "link": 2048, "alt_text": 500, "board": 180}
    for wrong in (
        {"title": ""},
        {"title": "x" * 101},
        {"link": "bread"},
        {"color": "red"},
        {"alt_text": "x" * 501},
    ):
        with pytest.raises(ValidationError):
            PinterestArguments(**{"title": "Bread", **wrong})


def test_content_is_cut_to_the_limits() -> None:
    pinterest = PinterestTarget(settings())
    long = Content(title="T" * 150, text="word " * 400, link="https://example.com/1")
    told = pinterest.from_content(long)
    assert (len(told.title), told.link) == (100, "https://example.com/1")
    assert 790 < len(told.description) <= 800
    bare = pinterest.from_content(Content(title="", text="Only a text", link="urn:x"))
    assert (bare.title, bare.description, bare.link) == ("Only a text", "Only a text", "")


async def test_a_list_without_end_is_an_error() -> None:
    async with scripted(answering(200, {"items": [], "bookmark": "more"})) as pinterest:
        with pytest.raises(TransientError, match="does not end"):
            await pinterest.find(piece())
