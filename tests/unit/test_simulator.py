"""The simulator takes and answers what Metricool does, as strictly."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from pressroom.domain.social import Platform
from tests.support.simulator_client import NOW, POSTS, QUERY, advance, body, create, listed, new_client


async def test_every_answer_says_that_it_is_simulated() -> None:
    async with new_client() as client:
        for path in ("/", "/simulator", "/v2/settings/brands", "/api/v2/settings/brands", "/nowhere"):
            assert (await client.get(path)).headers["x-pressroom-simulator"] == "true"
        about = (await client.get("/simulator")).json()
        assert about["simulator"] is True
        assert "simulator" in about["notice"]
        assert datetime.fromisoformat(about["now"]) == NOW


@pytest.mark.parametrize("given", [{"X-Mc-Auth": "wrong"}, {"X-Mc-Auth": ""}, {"Authorization": "Bearer no"}])
async def test_a_wrong_token_is_401(given: dict[str, str]) -> None:
    async with new_client() as client:
        answer = await client.get("/v2/settings/brands", headers={"X-Mc-Auth": "", **given})
        assert answer.status_code == 401


async def test_user_and_brand_are_needed() -> None:
    async with new_client() as client:
        client.params = httpx.QueryParams()
        for params in ({}, {"userId": "7"}, {"blogId": "42"}, {"userId": "7", "blogId": "x"}):
            assert (await client.get("/v2/settings/brands", params=params)).status_code == 400


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"publishDate": "x"}, 'Unrecognized field "publishDate"'),
        ({"linkedinData": {"kind": "post"}}, 'Unrecognized field "kind"'),
        ({"linkedinData": []}, "Cannot deserialize"),
        ({"text": " "}, "must have text or media"),
        ({"providers": []}, "provider"),
        ({"providers": [{"network": "myspace"}]}, "myspace"),
        ({"publicationDate": {"dateTime": "2026-11-23T08:00:00"}}, "Given datetime cannot be in the past"),
        ({"publicationDate": {"dateTime": "tomorrow"}}, "could not be parsed"),
        ({"publicationDate": {"dateTime": "2026-11-24T09:00:00", "timezone": "Mars/Base"}}, "Mars/Base"),
        ({"publicationDate": {"timezone": "UTC"}}, "dateTime"),
        ({"providers": [{"network": "instagram"}]}, "Media is required for instagram"),
        ({"providers": [{"network": "pinterest"}], "pinterestData": {"boardId": "1"}}, "Media is required"),
        ({"providers": [{"network": "pinterest"}], "media": ["https://a.example/1.png"]}, "board"),
        ({"media": [{"url": "https://a.example/1.png"}]}, "media"),
        ({"descendants": [{"text": ""}]}, "must have text or media"),
        ({"descendants": [{"words": "x"}]}, "Unrecognized field"),
    ],
)
async def test_what_is_wrong_with_a_post_is_a_400_that_says_so(changes: dict[str, Any], words: str) -> None:
    async with new_client() as client:
        answer = await client.post(POSTS, json=body(**changes))
        assert answer.status_code == 400
        assert words in answer.json()["message"]
        assert (await client.get("/simulator/posts")).json()["data"] == []


async def test_a_network_without_an_account_is_refused() -> None:
    async with new_client(networks=(Platform.TWITTER,)) as client:
        assert (await client.post(POSTS, json=body())).status_code == 400
        (brand,) = (await client.get("/v2/settings/brands")).json()["data"]
        assert list(brand["networksData"]) == ["twitterData"]


async def test_a_post_waits_comes_out_and_leaves_the_list() -> None:
    async with new_client() as client:
        post = await create(client)
        assert isinstance(post["id"], int)
        assert post["providers"] == [{"network": "linkedin", "status": "PENDING"}]
        assert [one["id"] for one in await listed(client)] == [post["id"]]

        await advance(client, hours=25)
        assert await listed(client) == []
        (out,) = await listed(client, extendedRange="true")
        (provider,) = out["providers"]
        assert provider["status"] == "PUBLISHED"
        page = await client.get(provider["publicUrl"])
        assert "Hello" in page.text
        assert "simulator" in page.text
        answer = await client.get(f"{POSTS}/{post['id']}")
        assert answer.json()["data"]["providers"] == [provider]


async def test_a_draft_never_comes_out() -> None:
    async with new_client() as client:
        await create(client, draft=True)
        await create(client, autoPublish=False)
        await advance(client, days=3)
        states = [one["providers"][0]["status"] for one in await listed(client, extendedRange="true")]
        assert states == ["DRAFT", "DRAFT"]


async def test_a_page_shows_a_text_as_text() -> None:
    async with new_client() as client:
        post = await create(client, text="<script>alert(1)</script>")
        page = (await client.get(f"/simulator/posts/{post['id']}")).text
        assert "<script>" not in page
        assert "&lt;script&gt;" in page


async def test_lists_are_in_the_time_zone_asked_for_and_wider_when_extended() -> None:
    async with new_client() as client:
        await create(client)
        (one,) = await listed(client, timezone="America/New_York")
        assert one["publicationDate"] == {"dateTime": "2026-11-24T04:00:00", "timezone": "America/New_York"}
        span = {"start": "2026-11-25T00:00:00", "end": "2026-11-26T00:00:00"}
        assert await listed(client, **span) == []
        assert len(await listed(client, **span, extendedRange="true")) == 1
        assert (await client.get(POSTS, params=QUERY)).status_code == 400


async def test_brands_do_not_see_each_other() -> None:
    async with new_client() as client:
        post = await create(client)
        client.params = httpx.QueryParams({**QUERY, "blogId": "43"})
        assert (await client.get(f"{POSTS}/{post['id']}")).status_code == 404
        assert (await client.delete(f"{POSTS}/{post['id']}")).status_code == 404


async def test_only_what_is_not_out_can_be_deleted() -> None:
    async with new_client() as client:
        early, late = await create(client), await create(client)
        assert (await client.delete(f"{POSTS}/{early['id']}")).json() == {"data": True}
        assert (await client.delete(f"{POSTS}/{early['id']}")).status_code == 404
        await advance(client, hours=25)
        assert (await client.delete(f"{POSTS}/{late['id']}")).json() == {"data": False}
        records = (await client.get("/simulator/posts")).json()["data"]
        assert [one["status"] for one in records] == ["DELETED", "PUBLISHED"]


ANALYTICS = {
    "linkedin": ("impressions", ("likes", "comments", "shares")),
    "facebook": ("impressions", ("reactions", "comments", "shares")),
    "instagram": ("impressions", ("likes", "comments", "saved")),
    "threads": ("views", ("likes", "replies", "reposts", "quotes")),
    "bluesky": (None, ("likes", "replies", "reposts", "quotes")),
    "pinterest": ("impressions", ("saves", "pinClicks")),
}


@pytest.mark.parametrize("network", ANALYTICS)
async def test_results_grow_with_age_and_only_for_what_is_out(network: str) -> None:
    impressions, engagements = ANALYTICS[network]
    span = {**QUERY, "from": "2026-11-24T00:00:00", "to": "2026-11-25T00:00:00"}
    async with new_client() as client:
        await create(
            client,
            providers=[{"network": network}],
            media=["https://a.example/1.png"],
            pinterestData={"boardId": "1"},
        )

        async def rows() -> list[dict[str, Any]]:
            answer = await client.get(f"/v2/analytics/posts/{network}", params=span)
            found: list[dict[str, Any]] = answer.json()["data"]
            return found

        assert await rows() == []
        await advance(client, hours=26)
        (young,) = await rows()
        await advance(client, hours=48)
        (old,) = await rows()
        assert old == (await rows())[0]
        totals = [sum(row[name] for name in engagements) for row in (young, old)]
        assert 0 < totals[0] < totals[1]
        if impressions:
            assert 0 < young[impressions] < old[impressions]
        assert (await client.get(f"/v2/analytics/posts/{network}")).status_code == 400


async def test_x_has_another_endpoint_and_followers_add_up() -> None:
    async with new_client() as client:
        await create(client, providers=[{"network": "twitter"}])
        assert (await client.get("/v2/analytics/posts/twitter")).status_code == 404
        await advance(client, hours=50)
        days = {**QUERY, "start": "20261123", "end": "20261127"}
        (tweet,) = (await client.get("/stats/twitter/posts", params=days)).json()
        assert tweet["interactions"] == tweet["favorites"] + tweet["retweets"] > 0
        points = (await client.get("/stats/timeline/twitterFollowers", params=days)).json()
        counts = [int(count) for _, count in points]
        assert counts == sorted(counts)
        assert counts[0] == 1000 < counts[-1]
        times = [int(at) for at, _ in points]
        assert times[-1] / 1000 == (NOW + timedelta(hours=50)).timestamp()

        timeline = {**QUERY, "from": "2026-11-23", "to": "2026-11-27", "network": "linkedin"}
        (series,) = (
            await client.get("/v2/analytics/timelines", params={**timeline, "metric": "followers"})
        ).json()["data"]
        assert {point["value"] for point in series["values"]} == {1000.0}
        answer = await client.get("/v2/analytics/timelines", params={**timeline, "metric": "likes"})
        assert answer.status_code == 400
