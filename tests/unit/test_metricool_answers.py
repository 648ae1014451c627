"""How the Metricool adapter reads what the simulator does not say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pressroom.adapters.targets.metricool.analytics import SHAPES, row, timeline
from pressroom.domain.publishing import Delivery, Placed
from pressroom.domain.social import Platform
from tests.support.metricool_world import AT, NOW, Handler, post, scripted


def answering(**by_path: Any) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        for name, answer in by_path.items():
            if request.url.path.endswith(name.replace("__", "/")):
                return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)
        return httpx.Response(404)

    return handler


def listed(**changes: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "uuid": "-9",
        "text": "Hello world",
        "publicationDate": {"dateTime": "2026-11-24T10:00:00", "timezone": "Europe/Berlin"},
        "providers": [{"network": "linkedin", "status": "PENDING"}],
        **changes,
    }


@pytest.mark.parametrize(
    ("status", "delivery", "detail"),
    [
        ({"status": "PENDING"}, Delivery.PENDING, ""),
        ({"status": "PUBLISHING"}, Delivery.PENDING, ""),
        ({"status": "DRAFT"}, Delivery.PENDING, "it is a draft there"),
        ({"status": "PUBLISHED", "publicUrl": "https://l.example/1"}, Delivery.PUBLISHED, ""),
        ({"status": "ERROR", "detailedStatus": "Token expired"}, Delivery.FAILED, "Token expired"),
        ({"status": "ERROR"}, Delivery.FAILED, "the network refused it"),
        ({}, Delivery.PENDING, ""),
    ],
)
async def test_delivery_is_what_the_network_says(
    status: dict[str, Any], delivery: Delivery, detail: str
) -> None:
    entry = listed(providers=[{"network": "linkedin", **status}])
    async with scripted(answering(posts={"data": [entry]})) as metricool:
        receipt = (await metricool.metrics.status(NOW, AT))["5"]
    assert (receipt.delivery, receipt.detail) == (delivery, detail)
    assert receipt.url == status.get("publicUrl", "")


async def test_a_failed_part_of_a_thread_shows() -> None:
    child = listed(providers=[{"network": "twitter", "status": "ERROR", "detailedStatus": "Too long"}])
    entry = listed(providers=[{"network": "twitter", "status": "PUBLISHED"}], descendants=[child])
    async with scripted(answering(posts={"data": [entry]})) as metricool:
        receipt = (await metricool.metrics.status(NOW, AT))["5"]
    assert (receipt.delivery, receipt.detail) == (Delivery.PUBLISHED, "Too long")


async def test_the_oldest_of_two_equal_posts_is_the_one() -> None:
    entries = [listed(id=10), listed(id=9), listed(id=11)]
    async with scripted(answering(posts={"data": entries})) as metricool:
        found = await metricool.find(post())
    assert found is not None
    assert found.external_id == "9"


async def test_a_published_post_that_left_the_list_is_found_by_text_and_time() -> None:
    # In the past for the system's clock, so that the platform is asked.
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    tweet = {
        "tweetId": "77",
        "createdAt": (at + timedelta(minutes=2)).isoformat(),
        "text": "Tom &amp; Ann https://t.co/x",
    }
    mine = post(network=Platform.TWITTER, at=at, text="Tom & Ann https://a.example/long")
    async with scripted(answering(scheduler__posts={"data": []}, twitter__posts=[tweet])) as metricool:
        assert await metricool.find(mine) == Placed("twitter:77")
        assert await metricool.find(post(network=Platform.TWITTER, at=at, text="Tom")) is None
        early = post(network=Platform.TWITTER, at=at - timedelta(hours=2), text=mine.arguments.text)
        assert await metricool.find(early) is None


async def test_a_future_post_is_not_looked_for_among_what_is_out() -> None:
    async with scripted(answering(posts={"data": []})) as metricool:
        assert await metricool.find(post(at=datetime.now(UTC) + timedelta(days=1))) is None


async def test_results_are_joined_by_id_url_or_text_and_a_thread_is_one() -> None:
    def out(network_id: str = "", url: str = "") -> list[dict[str, str]]:
        return [{"network": "threads", "status": "PUBLISHED", "id": network_id, "publicUrl": url}]

    def reported(identity: str, text: str, views: int, **changes: Any) -> dict[str, Any]:
        when = {"dateTime": "2026-11-24T09:00:30", "timezone": "UTC"}
        return {"id": identity, "publishedDate": when, "text": text, "views": views, "likes": 1, **changes}

    entries = [
        listed(id=1, text="a", providers=out("n1"), descendants=[listed(providers=out("n1b"))]),
        listed(id=2, text="b", providers=out(url="https://t.example/2")),
        listed(id=3, text="c", providers=out()),
    ]
    rows = [
        reported("n1", "?", 10),
        reported("n1b", "?", 5),
        reported("x", "?", 20, permalink="https://t.example/2"),
        reported("y", "c", 30),
        reported("z", "c", 40, publishedDate={"dateTime": "2026-11-24T11:00:00", "timezone": "UTC"}),
        {"id": "no time", "text": "c"},
    ]
    handler = answering(scheduler__posts={"data": entries}, analytics__posts__threads={"data": rows})
    async with scripted(handler) as metricool:
        measured = await metricool.metrics.posts(Platform.THREADS, NOW, AT + timedelta(days=1))
    assert {one.external_id: (one.impressions, one.engagements) for one in measured} == {
        "1": (15, 2),
        "2": (20, 1),
        "3": (30, 1),
        "threads:z": (40, 1),
    }
    # Followers have no answer here: they are left out, and the rest is there.
    assert {one.new_followers for one in measured} == {0}


@pytest.mark.parametrize("platform", Platform)
def test_counts_that_are_missing_are_zero(platform: Platform) -> None:
    shape = SHAPES[platform]
    entry = {shape.id[0]: "1", shape.at: "2026-11-24T09:00:00"}
    found = row(platform, entry)
    assert found is not None
    assert (found.impressions, found.engagements, found.clicks) == (0, 0, 0)
    assert row(platform, {shape.id[0]: "1"}) is None
    assert row(platform, {shape.at: "2026-11-24T09:00:00"}) is None


def test_somebody_elses_tweet_is_not_ours() -> None:
    tweet = {"tweetId": "1", "createdAt": "2026-11-24T09:00:00Z", "isRetweet": True}
    assert row(Platform.TWITTER, tweet) is None


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        ({"data": [{"metric": "m", "values": [{"dateTime": "2026-11-24T09:00:00Z", "value": 3.0}]}]}, [3]),
        ([["1795510800000", "4"], [1795510800000, 5]], [4, 5]),
        (
            {
                "data": [
                    {"values": [{"dateTime": None, "value": 1}, {"dateTime": "2026-11-24", "value": None}]}
                ]
            },
            [],
        ),
        ({"data": []}, []),
        ([], []),
        ("?", []),
    ],
)
def test_timelines_come_in_two_forms(answer: Any, values: list[float]) -> None:
    points = timeline(answer)
    assert [value for _, value in points] == values
    assert all(at.date() == AT.date() for at, _ in points)
