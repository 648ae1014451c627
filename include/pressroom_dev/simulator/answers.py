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
        reached = self.reach(post, network, now - post.at)
        data = post.body.get("pinterestData") or {}
        return _ROWS[Platform(network)](
            {
                "id": network_id(post, network),
                "at": local(post.at, ZoneInfo("UTC")),
                "iso": post.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "text": post.parts[0],
                "url": f"{base}/simulator/posts/{post.id}",
                "title": data.get("pinTitle", ""),
                "board": data.get("boardId", ""),
                "link": data.get("pinLink", ""),
            },
            reached,
        )


def _shares(total: int) -> tuple[int, int, int]:
    """Engagements as likes, comments and shares."""
    return total - total // 4 - total // 8, total // 4, total // 8


def _twitter(post: Json, reach: Reach) -> Json:
    likes, comments, shares = _shares(reach.engagements)
    return {
        "id": int(post["id"]),
        "tweetId": post["id"],
        "createdAt": post["iso"],
        "text": post["text"],
        "impressions": reach.impressions,
        "interactions": reach.engagements,
        "favorites": likes + comments,
        "retweets": shares,
        "linkClicks": reach.link_clicks,
        "isRetweet": False,
    }


def _linkedin(post: Json, reach: Reach) -> Json:
    likes, comments, shares = _shares(reach.engagements)
    return {
        "postId": post["id"],
        "created": post["at"],
        "comment": post["text"],
        "url": post["url"],
        "impressions": reach.impressions,
        "likes": likes,
        "comments": comments,
        "shares": shares,
        "clicks": reach.link_clicks,
    }


def _facebook(post: Json, reach: Reach) -> Json:
    likes, comments, shares = _shares(reach.engagements)
    return {
        "postId": post["id"],
        "created": post["at"],
        "text": post["text"],
        "link": post["url"],
        "type": "POST",
        "impressions": reach.impressions,
        "reactions": likes,
        "comments": comments,
        "shares": shares,
        "linkclicks": reach.link_clicks,
    }


def _instagram(post: Json, reach: Reach) -> Json:
    likes, comments, saved = _shares(reach.engagements)
    return {
        "postId": post["id"],
        "publishedAt": post["at"],
        "content": post["text"],
        "url": post["url"],
        "impressions": reach.impressions,
        "interactions": reach.engagements,
        "likes": likes,
        "comments": comments,
        "saved": saved,
    }


def _threads(post: Json, reach: Reach) -> Json:
    likes, replies, reposts = _shares(reach.engagements)
    return {
        "id": post["id"],
        "publishedDate": post["at"],
        "text": post["text"],
        "permalink": post["url"],
        "views": reach.impressions,
        "likes": likes,
        "replies": replies,
        "reposts": reposts,
        "quotes": 0,
    }


def _bluesky(post: Json, reach: Reach) -> Json:
    likes, replies, reposts = _shares(reach.engagements)
    return {
        "postId": post["id"],
        "published": post["at"],
        "text": post["text"],
        "likes": likes,
        "replies": replies,
        "reposts": reposts,
        "quotes": 0,
    }


def _pinterest(post: Json, reach: Reach) -> Json:
    return {
        "id": post["id"],
        "createdAt": post["iso"],
        "description": post["text"],
        "title": post["title"],
        "link": post["link"],
        "boardId": post["board"],
        "impressions": reach.impressions,
        "saves": reach.engagements - reach.engagements // 2,
        "pinClicks": reach.engagements // 2,
        "outboundClicks": reach.link_clicks,
    }


_ROWS = {
    Platform.TWITTER: _twitter,
    Platform.LINKEDIN: _linkedin,
    Platform.FACEBOOK: _facebook,
    Platform.INSTAGRAM: _instagram,
    Platform.THREADS: _threads,
    Platform.BLUESKY: _bluesky,
    Platform.PINTEREST: _pinterest,
}
