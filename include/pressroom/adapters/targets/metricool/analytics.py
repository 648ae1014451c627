"""What Metricool reports of published posts: one shape a network, read by a table. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pressroom.adapters.targets.metricool.wire import ScheduledEntry, instant, loose, near
from pressroom.domain.social import Platform

Json = dict[str, Any]
Names = tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """Under which names a network's posts have what we want to know; of several, the first with a value.

    ``whole``: the count of engagements, where there is one; ``parts``: else the sum of these. A network that
    reports no impressions or clicks has no names for them, and the counts are 0.
    """

    id: Names
    at: str
    texts: Names
    url: Names = ()
    impressions: Names = ()
    whole: Names = ()
    parts: tuple[Names, ...] = ()
    clicks: Names = ()


SHAPES: Mapping[Platform, Shape] = {
    Platform.TWITTER: Shape(
        id=("tweetId", "idStr", "id"),
        at="createdAt",
        texts=("text",),
        impressions=("impressions",),
        whole=("interactions",),
        parts=(("favorites", "favoriteCount"), ("retweets", "retweetCount")),
        clicks=("linkClicks",),
    ),
    Platform.LINKEDIN: Shape(
        id=("postId",),
        at="created",
        texts=("comment", "description", "title"),
        url=("url",),
        impressions=("impressions",),
        parts=(("likes",), ("comments",), ("shares",)),
        clicks=("clicks",),
    ),
    Platform.FACEBOOK: Shape(
        id=("postId",),
        at="created",
        texts=("text",),
        url=("link",),
        impressions=("impressions", "impressionsUnique"),
        parts=(("reactions",), ("comments",), ("shares",)),
        clicks=("linkclicks", "clicks"),
    ),
    Platform.INSTAGRAM: Shape(
        id=("postId",),
        at="publishedAt",
        texts=("content",),
        url=("url",),
        impressions=("impressionsTotal", "impressions", "views", "reach"),
        whole=("interactions",),
        parts=(("likes",), ("comments",), ("saved",)),
    ),
    Platform.THREADS: Shape(
        id=("id",),
        at="publishedDate",
        texts=("text",),
        url=("permalink",),
        impressions=("views",),
        parts=(("likes",), ("replies",), ("reposts",), ("quotes",)),
    ),
    Platform.BLUESKY: Shape(
        id=("postId",),
        at="published",
        texts=("text",),
        parts=(("likes",), ("replies",), ("reposts",), ("quotes",)),
    ),
    Platform.PINTEREST: Shape(
        id=("id",),
        at="createdAt",
        texts=("description",),
        impressions=("impressions",),
        parts=(("saves",), ("pinClicks",)),
        clicks=("outboundClicks",),
    ),
}

# Networks report followers of an account, never of a post. X has another endpoint: FOLLOWERS_OF_X.
FOLLOWERS: Mapping[Platform, str] = {
    Platform.LINKEDIN: "followers",
    Platform.FACEBOOK: "pageFollows",
    Platform.INSTAGRAM: "followers",
    Platform.THREADS: "followers_count",
    Platform.BLUESKY: "followers_count",
    Platform.PINTEREST: "followers",
}
FOLLOWERS_OF_X = "twitterFollowers"


@dataclass(frozen=True)
class MetricsRow:
    """A published post as a network reports it. ``texts``: fields that can hold its text."""

    id: str
    at: datetime
    texts: tuple[str, ...]
    url: str
    impressions: int
    engagements: int
    clicks: int

    def says(self, text: str) -> bool:
        """Whether its text is this one, but for what a network changes."""
        wanted = loose(text)
        return any(loose(own) == wanted for own in self.texts)


def row(platform: Platform, entry: Mapping[str, Any]) -> MetricsRow | None:
    """What an entry says; None when it lacks an id or a time, or repeats what somebody else wrote."""
    shape = SHAPES[platform]
    identity, at = _first(entry, shape.id), instant(entry.get(shape.at))
    if identity is None or at is None or entry.get("isRetweet"):
        return None
    whole = _first(entry, shape.whole)
    engagements = (
        sum(_count(_first(entry, names)) for names in shape.parts) if whole is None else _count(whole)
    )
    return MetricsRow(
        id=str(identity),
        at=at,
        texts=tuple(str(entry[name]) for name in shape.texts if entry.get(name)) or ("",),
        url=str(_first(entry, shape.url) or ""),
        impressions=_count(_first(entry, shape.impressions)),
        engagements=engagements,
        clicks=_count(_first(entry, shape.clicks)),
    )


@dataclass
class EntryIndex:
    """The scheduler's entries of one platform, ready to be found by what a network reports."""

    platform: Platform
    by_place: dict[str, ScheduledEntry] = field(default_factory=dict)
    by_text: dict[str, list[ScheduledEntry]] = field(default_factory=dict)

    @classmethod
    def of(cls, platform: Platform, entries: Sequence[ScheduledEntry]) -> EntryIndex:
        """Index the entries that go to the platform."""
        index = cls(platform)
        for entry in entries:
            if entry.on(platform):
                index.by_place.update(dict.fromkeys(entry.shown, entry))
                index.by_text.setdefault(loose(entry.parts[0]), []).append(entry)
        return index

    def id(self, reported: MetricsRow) -> str:
        """The scheduler's id of a reported post: by the network's id or URL of it, else by text and time.

        A post that the scheduler does not know goes under the name of the network and its id there.
        """
        entry = self.by_place.get(reported.id) or self.by_place.get(reported.url)
        if entry is None:
            twins = [candidate for text in reported.texts for candidate in self.by_text.get(loose(text), ())]
            close = [twin for twin in twins if near(twin.at, reported.at)]
            entry = min(close, key=lambda candidate: abs(candidate.at - reported.at), default=None)
        return entry.id if entry else outside_id(self.platform, reported.id)


def outside_id(platform: Platform, identity: str) -> str:
    """The id of a post that only the network knows. The scheduler's own ids are numbers."""
    return f"{platform}:{identity}"


def growth(points: Sequence[tuple[datetime, float]]) -> int:
    """By how much a count rose from its first to its last point; 0 when it fell."""
    ordered = sorted(points)
    return max(0, round(ordered[-1][1] - ordered[0][1])) if ordered else 0


def timeline(answer: Any) -> list[tuple[datetime, float]]:
    """The points of a timeline: ``{data: [{values: [{dateTime, value}]}]}``, or pairs of time and value."""
    series = answer.get("data") if isinstance(answer, Mapping) else None
    if isinstance(series, list):
        first = next((entry for entry in series if isinstance(entry, Mapping)), {})
        pairs = [(value.get("dateTime"), value.get("value")) for value in first.get("values") or []]
    elif isinstance(answer, list):
        pairs = [(pair[0], pair[1]) for pair in answer if isinstance(pair, list) and len(pair) == 2]
    else:
        pairs = []
    points = []
    for at, value in pairs:
        when, number = instant(_number(at) if isinstance(at, str) and at.isdigit() else at), _number(value)
        if when is not None and number is not None:
            points.append((when, number))
    return points


def _first(entry: Mapping[str, Any], names: Names) -> Any:
    return next((entry[name] for name in names if entry.get(name) is not None), None)


def _count(value: Any) -> int:
    return max(0, int(_number(value) or 0))


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
