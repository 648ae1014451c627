"""The simulator's answers: posts and their results in Metricool's form."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pressroom.domain.social import Platform
from pressroom_dev.simulator.audience import Audience, Reach, Seen
from pressroom_dev.simulator.scheduler import Post

Json = dict[str, Any]

FOLLOWERS_AT_FIRST = 1000
# After this a post wins hardly any follower, so the number is not computed again.
_SETTLED = timedelta(days=7)

# The name of its followers' timeline, per network.
FOLLOWER_METRICS = {
    Platform.LINKEDIN: "followers",
    Platform.FACEBOOK: "pagefollows",
    Platform.INSTAGRAM: "followers",
    Platform.THREADS: "followers_count",
    Platform.BLUESKY: "followers_count",
    Platform.PINTEREST: "followers",
}


def scheduled_post(post: Post, now: datetime, timezone: ZoneInfo, base: str) -> Json:
    """A post as the scheduler shows it, its time in a time zone. ``base``: the simulator's URL."""
    return {
        **post.body,
        "id": post.id,
        "uuid": post.uuid,
        "publicationDate": local(post.at, timezone),
        "creationDate": local(post.created, timezone),
        "providers": [_provider(post, network, now, base) for network in post.networks],
    }


def status(post: Post, now: datetime) -> str:
    """A post's status at its networks."""
    if post.is_out(now):
        return "PUBLISHED"
    return "PENDING" if post.automatic else "DRAFT"


def _provider(post: Post, network: str, now: datetime, base: str) -> Json:
    state = {"network": network, "status": status(post, now)}
    if not post.is_out(now):
        return state
    return {**state, "id": network_id(post, network), "publicUrl": f"{base}/simulator/posts/{post.id}"}


def network_id(post: Post, network: str) -> str:
    """The id that a network gives a published post. X uses numbers."""
    return str(10**15 + post.id) if network == Platform.TWITTER else f"simulated-{network}-{post.id}"


def local(at: datetime, timezone: ZoneInfo) -> Json:
    """A time in Metricool's form."""
    return {
        "dateTime": at.astimezone(timezone).strftime("%Y-%m-%dT%H:%M:%S"),
        "timezone": str(timezone),
    }


class Results:
    """The results of published posts with an audience."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._settled: dict[tuple[int, str], int] = {}

    def reach(self, post: Post, network: str, age: timedelta) -> Reach:
        """What a post has reached on a network at an age."""
        seen = Seen(
            platform=Platform(network),
            at=post.at,
            text="\n\n".join(post.parts),
            parts=len(post.parts),
            visual=bool(post.body.get("media")),
        )
        return self._audience.reach(seen, f"{network}:{post.id}", age)

    def followers(self, posts: Iterable[Post], network: str, at: datetime) -> int:
        """The followers of an account at a time, after these posts."""
        return FOLLOWERS_AT_FIRST + sum(self._won(post, network, at - post.at) for post in posts)

    def _won(self, post: Post, network: str, age: timedelta) -> int:
        if age < _SETTLED:
            return self.reach(post, network, age).new_followers
        key = (post.id, network)
        if key not in self._settled:
            self._settled[key] = self.reach(post, network, _SETTLED).new_followers
        return self._settled[key]

    def row(self, post: Post, network: str, now: datetime, base: str) -> Json:
        """A published post in its network's analytics."""
        data = post.body.get("pinterestData") or {}
        facts = {
            "id": network_id(post, network),
            "at": local(post.at, ZoneInfo("UTC")),
            "iso": post.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "text": post.parts[0],
            "url": f"{base}/simulator/posts/{post.id}",
            "title": data.get("pinTitle", ""),
            "board": data.get("boardId", ""),
            "link": data.get("pinLink", ""),
            **_counts(self.reach(post, network, now - post.at)),
        }
        names, fixed = _ROWS[Platform(network)]
        row = {name: facts[fact] for name, fact in names.items()} | fixed
        return row | {"id": int(row["id"])} if network == Platform.TWITTER else row


def _counts(reach: Reach) -> Json:
    """What networks count. Engagements are likes, comments and shares; on Pinterest saves and clicks."""
    all_of_them = reach.engagements
    comments, shares = all_of_them // 4, all_of_them // 8
    return {
        "impressions": reach.impressions,
        "engagements": all_of_them,
        "clicks": reach.link_clicks,
        "likes": all_of_them - comments - shares,
        "comments": comments,
        "shares": shares,
        "unshared": all_of_them - shares,
        "saves": all_of_them - all_of_them // 2,
        "pin_clicks": all_of_them // 2,
    }


_ROWS: dict[Platform, tuple[dict[str, str], Json]] = {
    Platform.TWITTER: (
        {
            "id": "id", "tweetId": "id", "createdAt": "iso", "text": "text", "impressions": "impressions",
            "interactions": "engagements", "favorites": "unshared", "retweets": "shares",
            "linkClicks": "clicks",
        },
        {"isRetweet": False},
    ),
    Platform.LINKEDIN: (
        {
            "postId": "id", "created": "at", "comment": "text", "url": "url", "impressions": "impressions",
            "likes": "likes", "comments": "comments", "shares": "shares", "clicks": "clicks",
        },
        {},
    ),
    Platform.FACEBOOK: (
        {
            "postId": "id", "created": "at", "text": "text", "link": "url", "impressions": "impressions",
            "reactions": "likes", "comments": "comments", "shares": "shares", "linkclicks": "clicks",
        },
        {"type": "POST"},
    ),
    Platform.INSTAGRAM: (
        {
            "postId": "id", "publishedAt": "at", "content": "text", "url": "url",
            "impressions": "impressions", "interactions": "engagements", "likes": "likes",
            "comments": "comments", "saved": "shares",
        },
        {},
    ),
    Platform.THREADS: (
        {
            "id": "id", "publishedDate": "at", "text": "text", "permalink": "url", "views": "impressions",
            "likes": "likes", "replies": "comments", "reposts": "shares",
        },
        {"quotes": 0},
    ),
    Platform.BLUESKY: (
        {
            "postId": "id", "published": "at", "text": "text", "likes": "likes", "replies": "comments",
            "reposts": "shares",
        },
        {"quotes": 0},
    ),
    Platform.PINTEREST: (
        {
            "id": "id", "createdAt": "iso", "description": "text", "title": "title", "link": "link",
            "boardId": "board", "impressions": "impressions", "saves": "saves", "pinClicks": "pin_clicks",
            "outboundClicks": "clicks",
        },
        {},
    ),
}  # fmt: skip
"""A network's names of what it reports, and what it reports of every post."""
