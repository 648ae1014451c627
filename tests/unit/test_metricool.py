"""The Metricool adapter against the simulator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from pressroom.adapters.targets.metricool.analytics import SHAPES
from pressroom.adapters.targets.metricool.arguments import MetricoolArguments
from pressroom.adapters.targets.metricool.metrics import MetricoolClock
from pressroom.adapters.targets.metricool.target import MetricoolTarget
from pressroom.domain.errors import (
    ConfigurationError,
    PastDate,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Delivery, Picture, Target
from pressroom.domain.social import Clock, Metrics, Platform
from tests.support.metricool_world import AT, NOW, post, scripted, settings, simulated


def test_it_is_what_the_ports_ask_for() -> None:
    made = MetricoolTarget(settings(extra={"settle_seconds": 4}))
    target: Target[MetricoolArguments] = made
    metrics: Metrics = made.metrics
    clock: Clock = MetricoolClock(settings())
    assert (target.settle_seconds, metrics.simulated) == (4, False)
    assert callable(clock.now)


async def test_check_names_what_is_missing() -> None:
    async with simulated(networks=(Platform.TWITTER, Platform.PINTEREST)) as world:
        for platform in (Platform.TWITTER, Platform.PINTEREST):
            await world.target.check({"network": platform})
        with pytest.raises(ConfigurationError, match="no linkedin account"):
            await world.target.check({"network": "linkedin"})


async def test_check_wants_the_brand_and_a_board() -> None:
    brands = {"data": [{"id": 42, "networksData": {"pinterestData": {"username": "x"}, "twitterData": None}}]}
    async with scripted(lambda _: httpx.Response(200, json=brands)) as metricool:
        with pytest.raises(ConfigurationError, match="pinterest_board"):
            await metricool.check({"network": Platform.PINTEREST})
        await metricool.check({"network": Platform.PINTEREST, "board": "9"})
        with pytest.raises(ConfigurationError, match="no twitter account"):
            await metricool.check({"network": Platform.TWITTER})
    async with scripted(lambda _: httpx.Response(200, json=brands), blog_id=43) as metricool:
        with pytest.raises(ConfigurationError, match="blog_id"):
            await metricool.check()


async def test_a_connection_for_one_network_posts_to_no_other() -> None:
    brands = {"data": [{"id": 42, "networksData": {"linkedinData": {"id": 1}, "twitterData": {"id": 2}}}]}
    async with scripted(lambda _: httpx.Response(200, json=brands), network="linkedin") as metricool:
        await metricool.check({"network": "linkedin"})
        with pytest.raises(ConfigurationError, match="posts to linkedin only"):
            await metricool.check({"network": "twitter"})


async def test_a_wrong_token_fails_the_check() -> None:
    async with simulated(token="another") as world:
        with pytest.raises(ConfigurationError, match="401"):
            await world.target.check()


@pytest.mark.parametrize("platform", Platform)
async def test_a_post_of_every_platform_is_scheduled_found_measured(platform: Platform) -> None:
    thread = ["Second part"] if platform in ("twitter", "threads", "bluesky") else []
    mine = post(
        "First part",
        network=platform,
        thread=thread,
        pictures=[Picture(url="https://a.example/1.png", alt="alt")],
    )
    async with simulated() as world:
        metricool = world.target
        receipt = await metricool.publish(mine)
        assert receipt.delivery is Delivery.PENDING
        assert receipt.preview_url == f"http://simulator.test/simulator/posts/{receipt.external_id}"
        assert await metricool.find(mine) == receipt
        assert await metricool.metrics.posts(platform, NOW, AT) == []

        world.advance(hours=49)
        found = await metricool.find(mine)
        assert found is not None
        assert found.external_id == receipt.external_id
        assert found.delivery is Delivery.PUBLISHED
        assert found.url
        (measured,) = await metricool.metrics.posts(platform, NOW, NOW + timedelta(hours=49))
        assert measured.external_id == receipt.external_id
        assert measured.published_at == AT
        assert measured.engagements > 0
        assert (measured.impressions > 0) is bool(SHAPES[platform].impressions)


async def test_the_clock_is_the_simulators() -> None:
    async with simulated() as world:
        clock = MetricoolClock(world.settings, transport=world.transport)
        assert await clock.now() == NOW
        world.advance(days=3)
        assert await clock.now() == NOW + timedelta(days=3)
        real = await MetricoolClock(settings()).now()
        assert abs(real - datetime.now(UTC)) < timedelta(seconds=5)


async def test_a_past_date_is_one() -> None:
    async with simulated() as world:
        with pytest.raises(PastDate):
            await world.target.publish(post(at=NOW))
        await world.faults({"action": "refuse_past"})
        with pytest.raises(PastDate):
            await world.target.publish(post())


async def test_a_lost_post_is_found_and_not_sent_again() -> None:
    async with simulated() as world:
        await world.faults({"action": "lost", "method": "POST"})
        mine = post(text="Lost  text\r\nwith lines")
        with pytest.raises(UnknownOutcome):
            await world.target.publish(mine)
        found = await world.target.find(mine)
        (kept,) = world.desk.everything()
        assert found is not None
        assert found.external_id == str(kept.id)


async def test_what_was_refused_is_not_found() -> None:
    async with simulated() as world:
        await world.faults(
            {"action": "429", "times": 1, "retry_after": 3}, {"action": "500", "method": "POST"}
        )
        with pytest.raises(TransientError) as caught:
            await world.target.publish(post())
        assert caught.value.retry_after == 3
        assert type(caught.value) is TransientError
        with pytest.raises(UnknownOutcome):
            await world.target.publish(post())
        assert await world.target.find(post()) is None


async def test_another_platform_time_or_text_is_another_post() -> None:
    async with simulated() as world:
        await world.target.publish(post())
        for other in (
            post(network=Platform.FACEBOOK),
            post(at=AT + timedelta(seconds=1)),
            post(text="Hello word"),
        ):
            assert await world.target.find(other) is None
        assert await world.target.find(post(at=AT.astimezone(), timezone="Asia/Tokyo")) is not None


async def test_every_hour_of_a_change_of_clocks_is_scheduled_as_itself() -> None:
    async with simulated() as world:
        first = datetime(2027, 10, 30, 22, 0, tzinfo=UTC)
        hours = [first + timedelta(minutes=30 * step) for step in range(12)]
        for at in hours:
            await world.target.publish(post(at=at, timezone="Europe/Berlin"))
        assert [kept.at for kept in world.desk.everything()] == hours
        assert len(await world.metrics.status(hours[0], hours[-1])) == len(hours)


async def test_status_covers_its_span() -> None:
    async with simulated() as world:
        early = await world.target.publish(post(at=NOW + timedelta(hours=1)))
        late = await world.target.publish(post(at=NOW + timedelta(hours=3)))
        await world.target.publish(post(at=NOW + timedelta(hours=5)))
        world.advance(hours=2)
        found = await world.metrics.status(NOW, NOW + timedelta(hours=4))
        assert {key: one.delivery for key, one in found.items()} == {
            early.external_id: Delivery.PUBLISHED,
            late.external_id: Delivery.PENDING,
        }


async def test_withdrawing_twice_is_withdrawing_once_and_what_is_out_stays() -> None:
    async with simulated() as world:
        gone, out = [await world.target.publish(post(text=text)) for text in ("one", "two")]
        assert await world.target.unpublish(gone.external_id) is True
        assert await world.target.unpublish(gone.external_id) is True
        assert await world.target.unpublish("999999") is True
        assert await world.target.find(post(text="one")) is None
        world.advance(days=2)
        assert await world.target.unpublish(out.external_id) is False
        assert await world.target.unpublish("linkedin:urn:li:share:1") is False


@pytest.mark.parametrize(
    ("left", "wanted"),
    [
        (httpx.Response(404), True),
        (httpx.Response(200, json={"data": None}), True),
        (httpx.Response(200, json={"data": {"id": 5, "status": "PUBLISHED"}}), False),
        (httpx.Response(200, json={"data": {"id": 5, "status": "PENDING"}}), None),
    ],
)
async def test_data_false_is_looked_into(left: httpx.Response, wanted: bool | None) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return httpx.Response(200, json={"data": False})
        body = left.json() if left.content else {}
        if body.get("data"):
            provider = {"network": "linkedin", "status": body["data"]["status"]}
            body["data"] |= {"providers": [provider], "publicationDate": {"dateTime": "2026-11-24T09:00:00"}}
        return httpx.Response(left.status_code, json=body)

    async with scripted(handler) as metricool:
        if wanted is None:
            with pytest.raises(TransientError, match="has not deleted"):
                await metricool.unpublish("5")
        else:
            assert await metricool.unpublish("5") is wanted


async def test_new_followers_of_an_account_are_divided_among_its_posts() -> None:
    async with simulated() as world:
        for hour in range(1, 9):
            at = NOW + timedelta(hours=hour)
            await world.target.publish(post(network=Platform.TWITTER, at=at, text=f"Post {hour}"))
        world.advance(days=3)
        measured = await world.metrics.posts(Platform.TWITTER, NOW, NOW + timedelta(days=3))
        results = world.desk.everything()
        assert len(measured) == len(results) == 8
        async with httpx.AsyncClient(
            transport=world.transport, headers={"X-Mc-Auth": "simulator"}, base_url="http://simulator.test"
        ) as client:
            params = {"userId": "7", "blogId": "42", "start": "20261122", "end": "20261127"}
            points = (await client.get("/stats/timeline/twitterFollowers", params=params)).json()
        assert sum(one.new_followers for one in measured) == int(points[-1][1]) - 1000 > 0


async def test_posts_outlive_the_simulators_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    async with simulated(path) as world:
        receipt = await world.target.publish(post())
    async with simulated(path) as world:
        assert await world.target.find(post()) == receipt
