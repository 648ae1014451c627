"""What the Metricool adapter sends, and to whom."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from pressroom.adapters.targets.metricool.client import MetricoolSettings
from pressroom.adapters.targets.metricool.target import MetricoolTarget
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    TransientError,
)
from pressroom.domain.publishing import Delivery, Picture, Placed
from pressroom.domain.social import Platform
from tests.support.metricool_world import AT, NOW, TOKEN, post, scripted, simulated


async def test_every_call_has_user_brand_and_token() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path.startswith("/actions"):
            return httpx.Response(200, text="https://hosted.example/1.png")
        if request.method == "POST":
            return httpx.Response(200, json={"data": {"id": 5, "uuid": "-12", "providers": []}})
        return httpx.Response(200, json={"data": True if request.method == "DELETE" else []})

    async with scripted(handler) as metricool:
        picture = Picture(url="https://a.example/1.png?a=b&c=d", alt="A picture")
        receipt = await metricool.publish(post(pictures=[picture, picture]))
        await metricool.find(post())
        await metricool.metrics.status(NOW, AT)
        await metricool.metrics.posts(Platform.TWITTER, NOW, AT)
        await metricool.unpublish("5")
    planner = "http://metricool.test/planner/calendar?blogId=42&openWithPostUuid=-12"
    assert receipt == Placed("5", delivery=Delivery.PENDING, preview_url=planner)
    for request in seen:
        assert (request.url.params["userId"], request.url.params["blogId"]) == ("7", "42")
        assert request.headers["X-Mc-Auth"] == TOKEN
    hosting = [request for request in seen if request.url.path == "/actions/normalize/image/url"]
    assert hosting[0].url.params["url"] == "https://a.example/1.png?a=b&c=d"
    sent = json.loads(next(request for request in seen if request.method == "POST").content)
    assert sent["media"] == ["https://hosted.example/1.png"] * 2
    assert sent["mediaAltText"] == ["A picture"] * 2


@pytest.mark.parametrize(
    "answer",
    ["https://h.example/1", '"https://h.example/1"', '{"url": "https://h.example/1"}',
     '{"data": {"url": "https://h.example/1"}}', '{"data": "https://h.example/1"}'],
)  # fmt: skip
async def test_a_hosted_address_comes_in_many_forms(answer: str) -> None:
    bodies = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, text=answer)
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json={"data": {"id": 5}})

    async with scripted(handler) as metricool:
        await metricool.publish(post(pictures=[Picture(url="https://a.example/1.png")]))
    assert bodies[0]["media"] == ["https://h.example/1"]


async def test_an_address_that_is_none_sends_no_post() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        return httpx.Response(200, text="OK")

    async with scripted(handler) as metricool:
        with pytest.raises(TransientError):
            await metricool.publish(post(pictures=[Picture(url="https://a.example/1.png")]))


async def test_a_picture_that_is_not_on_the_web_is_refused_before_anything_is_sent() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    async with scripted(handler) as metricool:
        with pytest.raises(ConfigurationError, match="'social': Metricool fetches pictures from the web"):
            await metricool.publish(post(pictures=[Picture(url="file:///srv/media/ab/cd/abcd.png")]))


async def test_a_list_is_read_over_its_pages_and_on_its_own_server_only() -> None:
    entry: dict[str, Any] = {"providers": [{"network": "linkedin", "status": "PENDING"}], "text": "x"}
    entry["publicationDate"] = {"dateTime": "2026-11-24T09:00:00", "timezone": "UTC"}
    following = ["/v2/scheduler/posts?cursor=2", "http://metricool.test/v2/scheduler/posts?cursor=3", None]

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.params["userId"] == "7"
        page = int(request.url.params.get("cursor", "1"))
        return httpx.Response(
            200, json={"data": [{**entry, "id": page}], "page": {"next": following[page - 1]}}
        )

    async with scripted(handler) as metricool:
        assert set(await metricool.metrics.status(NOW, AT)) == {"1", "2", "3"}
        for foreign in ("https://evil.example/next", "//evil.example/next", "opaque-cursor"):
            following[0] = foreign
            with pytest.raises(PermanentError):
                await metricool.metrics.status(NOW, AT)


async def test_a_simulator_must_be_known_to_be_one() -> None:
    async with simulated() as world:
        plain = MetricoolSettings.from_connection(
            "social",
            host="http://simulator.test",
            password="simulator",
            extra={"user_id": 7, "blog_id": 42},
        )
        async with MetricoolTarget(plain, transport=world.transport) as metricool:
            with pytest.raises(ConfigurationError, match="simulator"):
                await metricool.check()
    async with scripted(lambda _: httpx.Response(200, json={"data": []}), simulator=True) as metricool:
        with pytest.raises(ConfigurationError, match="the server is not one"):
            await metricool.check()
