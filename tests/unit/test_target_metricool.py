"""Metricool as a target, against the simulator and against every failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from pressroom.adapters.targets.metricool.arguments import MetricoolArguments, arguments_for
from pressroom.adapters.targets.metricool.client import MetricoolSettings
from pressroom.adapters.targets.metricool.target import MetricoolTarget
from pressroom.domain.errors import (
    ConfigurationError,
    PastDate,
    PermanentError,
    PressroomError,
    UnknownOutcome,
)
from pressroom.domain.platforms import rules
from pressroom.domain.publishing import Content, Delivery, Picture, Piece, Target
from pressroom.domain.social import Platform
from tests.support.metricool_world import AT, NOW, TOKEN, World
from tests.support.target_errors import (
    ANSWERS,
    SETUP,
    UNANSWERED,
    Handler,
    Kinds,
    answering,
    check_caught,
    failing,
    picture,
)

PICTURE = picture(url="https://cdn.example.com/1.png", alt="a loaf")


def settings(network: str | None = "linkedin", **changes: Any) -> MetricoolSettings:
    extra = {"user_id": 7, "blog_id": 42, **changes} | ({"network": network} if network else {})
    return MetricoolSettings.from_connection(
        "mine", host="http://metricool.test", password=TOKEN, extra=extra
    )


def simulated(world: World, network: Platform | None = None) -> MetricoolTarget:
    return MetricoolTarget(world.settings.model_copy(update={"network": network}), transport=world.transport)


def scripted(handler: Handler) -> MetricoolTarget:
    return MetricoolTarget(settings(), transport=httpx.MockTransport(handler))


def piece(
    network: Platform = Platform.LINKEDIN,
    text: str = "Hello world",
    *,
    at: Any = None,
    pictures: list[Picture] | None = None,
    **told: Any,
) -> Piece[MetricoolArguments]:
    if network is Platform.PINTEREST:
        told = {"title": "Bread", **told}
    if pictures is None:
        pictures = [PICTURE] if rules(network).media_required else []
    return Piece("post:1", MetricoolArguments(network=network, text=text, **told), pictures, at)


def test_it_is_a_target() -> None:
    mine: Target[MetricoolArguments] = MetricoolTarget(settings(settle_seconds=4))
    assert (mine.handler, mine.connection, mine.settle_seconds) == ("metricool", "mine", 4)
    assert "LinkedIn" in mine.description


def test_the_limits_are_the_networks() -> None:
    assert MetricoolArguments.limits_for({"network": "instagram"}).picture_required
    assert MetricoolArguments.limits_for({"network": "twitter"}).pictures == 4
    assert MetricoolArguments.limits_for({}).pictures is None
    assert arguments_for(Platform.PINTEREST).limits_for({}).picture_required
    assert all(MetricoolArguments.limits_for({"network": network}).schedules for network in Platform)


@pytest.mark.parametrize("at", [None, AT], ids=["at once", "later"])
@pytest.mark.parametrize("network", Platform)
async def test_a_post_is_scheduled_found_and_taken_back(network: Platform, at: Any) -> None:
    world = World()
    mine = piece(network, at=at, link="https://example.com/bread")
    async with simulated(world, network) as target:
        await target.check()
        assert await target.find(mine) is None
        placed = await target.publish(mine)
        assert (placed.delivery, placed.url) == (Delivery.PENDING, "")
        assert await target.find(mine) == placed
        (kept,) = world.desk.everything()
        assert kept.at == (at or NOW + timedelta(minutes=2))
        assert await target.unpublish(placed.external_id)
        assert await target.unpublish(placed.external_id)
        assert await target.find(mine) is None


@pytest.mark.parametrize("at", [None, AT], ids=["at once", "later"])
async def test_a_post_that_is_out_has_its_address_and_stays(at: Any) -> None:
    world = World()
    async with simulated(world, Platform.LINKEDIN) as target:
        placed = await target.publish(piece(at=at))
        world.advance(hours=49)
        found = await target.find(piece(at=at))
        assert found is not None
        assert (found.external_id, found.delivery) == (placed.external_id, Delivery.PUBLISHED)
        assert found.url.startswith("http")
        assert not await target.unpublish(placed.external_id)


@pytest.mark.parametrize("at", [None, AT], ids=["at once", "later"])
async def test_a_lost_post_is_found_and_not_sent_again(at: Any) -> None:
    world = World()
    await world.faults({"action": "lost", "method": "POST"})
    async with simulated(world, Platform.LINKEDIN) as target:
        with pytest.raises(UnknownOutcome):
            await target.publish(piece(at=at))
        found = await target.find(piece(at=at))
        assert found is not None
        assert [str(kept.id) for kept in world.desk.everything()] == [found.external_id]
        assert await target.find(piece(text="Another", at=at)) is None
        assert await target.find(piece(Platform.FACEBOOK, at=at)) is None


async def test_without_a_time_only_what_is_near_counts() -> None:
    world = World()
    async with simulated(world, Platform.LINKEDIN) as target:
        await target.publish(piece(at=NOW + timedelta(hours=3)))
        assert await target.find(piece()) is None
        first = await target.publish(piece())
        await target.publish(piece(at=NOW + timedelta(minutes=30)))
        found = await target.find(piece())
        assert found is not None
        assert found.external_id == first.external_id
        world.advance(days=30)
        assert await target.find(piece()) is None


async def test_one_that_only_the_network_knows_is_found() -> None:
    rows = [
        {
            "postId": f"urn:li:share:{hours}",
            "created": (datetime.now(UTC) - timedelta(hours=hours)).isoformat(),
        }
        for hours in (4, 5, 24 * 8)
    ]

    def handler(request: httpx.Request) -> httpx.Response:
        listed = [{**row, "comment": "Hello world", "text": "Hello world"} for row in rows]
        return httpx.Response(200, json={"data": listed if "analytics" in request.url.path else []})

    async with scripted(handler) as target:
        placed = await target.find(piece())
        assert placed is not None
        assert placed.delivery is Delivery.PUBLISHED
        assert placed.external_id.endswith(":5")
        del rows[:2]
        assert await target.find(piece()) is None


async def test_what_a_post_says_arrives() -> None:
    world = World()
    async with simulated(world) as target:
        link = "https://example.com/bread"
        await target.publish(piece(Platform.TWITTER, "Look", link=link))
        await target.publish(piece(Platform.FACEBOOK, f"Look: {link}", link=link))
        await target.publish(piece(Platform.LINKEDIN, "Look", link=link))
        await target.publish(piece(Platform.PINTEREST, "Look", link=link, board="77"))
    bodies = {kept.body["providers"][0]["network"]: kept.body for kept in world.desk.everything()}
    assert bodies["twitter"]["text"] == f"Look\n\n{link}"
    assert bodies["facebook"]["text"] == f"Look: {link}"
    assert bodies["linkedin"]["text"] == f"Look\n\n{link}"
    assert bodies["pinterest"]["text"] == "Look"
    pin = bodies["pinterest"]["pinterestData"]
    assert (pin["boardId"], pin["pinTitle"], pin["pinLink"]) == ("77", "Bread", link)


async def test_a_past_time_is_one() -> None:
    async with simulated(World(), Platform.LINKEDIN) as target:
        with pytest.raises(PastDate):
            await target.publish(piece(at=NOW - timedelta(hours=1)))


async def test_a_picture_needs_an_address() -> None:
    world = World()
    async with simulated(world) as target:
        with pytest.raises(PermanentError, match="no address"):
            await target.publish(piece(pictures=[picture()]))
    assert world.desk.everything() == []


async def test_the_check_names_a_network_that_is_not_connected() -> None:
    world = World(networks=(Platform.TWITTER,))
    async with simulated(world, Platform.TWITTER) as target:
        await target.check()
    async with simulated(world) as target:
        await target.check()
    async with simulated(world, Platform.LINKEDIN) as target:
        with pytest.raises(ConfigurationError, match="no linkedin account"):
            await target.check()
    async with scripted(answering(401, {"message": "no"})) as target:
        with pytest.raises(ConfigurationError):
            await target.check()


@pytest.mark.parametrize("network", Platform)
def test_content_is_cut_to_the_networks_limits(network: Platform) -> None:
    target = MetricoolTarget(settings(network.value))
    content = Content(title="Bread", text="Flour, water, 塩 🎉. " * 5000, link="https://example.com/bread")
    told = target.from_content(content)
    assert told.network is network
    assert told.link in ("", content.link)
    assert target.arguments.model_validate(told.model_dump()) == told
    assert content.link in (told.link or told.text)


def test_content_needs_a_network() -> None:
    with pytest.raises(ConfigurationError, match="network"):
        MetricoolTarget(settings(None)).from_content(Content(title="Bread", text="x"))


def test_a_networks_arguments_have_its_bounds_in_their_schema() -> None:
    bounds = {network: arguments_for(network).model_json_schema()["properties"] for network in Platform}
    assert bounds[Platform.TWITTER]["text"]["maxLength"] == 280
    assert bounds[Platform.PINTEREST]["title"]["maxLength"] == 100
    assert bounds[Platform.LINKEDIN]["network"]["const"] == "linkedin"
    assert arguments_for(Platform.LINKEDIN)(text="x").network is Platform.LINKEDIN  # type: ignore[call-arg]
    assert arguments_for(None) is MetricoolArguments


@pytest.mark.parametrize(
    ("network", "told", "words"),
    [
        ("twitter", {"text": "x" * 281}, "1 longer"),
        ("twitter", {"text": "x" * 270, "link": "https://example.com"}, "longer"),
        ("bluesky", {"text": "x" * 301}, "longer"),
        ("instagram", {"text": "#a " * 31}, "hashtags"),
        ("pinterest", {"text": "x", "title": "x" * 101}, "title|100"),
        ("pinterest", {"text": "x", "board": "Recipes"}, "pattern"),
        ("linkedin", {"text": "x", "title": "x"}, "no title"),
        ("linkedin", {"text": "x", "link": "example"}, "web address"),
        ("linkedin", {"text": ""}, "at least 1"),
        ("linkedin", {"text": "x", "network": "facebook"}, "linkedin"),
        ("linkedin", {"text": "x", "color": "red"}, "Extra"),
    ],
)
def test_arguments_keep_the_networks_rules(network: str, told: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        arguments_for(Platform(network)).model_validate(told)


def test_a_connection_is_read() -> None:
    found = settings("bluesky", timeout_seconds=5)
    assert (found.network, found.timeout_seconds) == (Platform.BLUESKY, 5)
    for wrong in ("myspace", 7):
        with pytest.raises(ConfigurationError, match="'mine': network"):
            settings(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="did you mean 'blog_id'"):
        settings(blogid=1)
    assert TOKEN not in f"{found!r} {found.model_dump_json()}"


@pytest.mark.parametrize("at", [None, AT], ids=["at once", "later"])
@pytest.mark.parametrize("publishes", [True, False], ids=["publish", "find"])
@pytest.mark.parametrize("kind", UNANSWERED, ids=lambda kind: kind.__name__)
async def test_errors_without_an_answer(kind: type[Exception], publishes: bool, at: Any) -> None:
    async with scripted(failing(kind, TOKEN)) as target:
        with pytest.raises(PressroomError) as caught:
            await (target.publish(piece(at=at)) if publishes else target.find(piece(at=at)))
    check_caught(caught, UNANSWERED[kind][0 if publishes else 1], TOKEN)


@pytest.mark.parametrize("publishes", [True, False], ids=["publish", "find"])
@pytest.mark.parametrize(("status", "body", "kinds"), [*ANSWERS[:-1], (403, "", SETUP)])
async def test_answers_that_are_none(status: int, body: Any, kinds: Kinds, publishes: bool) -> None:
    async with scripted(answering(status, body)) as target:
        with pytest.raises(PressroomError) as caught:
            await (target.publish(piece()) if publishes else target.find(piece()))
    check_caught(caught, kinds[0 if publishes else 1], TOKEN)
