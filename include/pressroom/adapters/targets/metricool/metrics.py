"""What Metricool tells of posts: where scheduled ones stand, what published ones reached, and its time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from pressroom.adapters.targets.metricool.analytics import (
    FOLLOWERS,
    FOLLOWERS_OF_X,
    EntryIndex,
    MetricsRow,
    growth,
    row,
    timeline,
)
from pressroom.adapters.targets.metricool.client import MetricoolClient, MetricoolSettings
from pressroom.adapters.targets.metricool.wire import ScheduledEntry, apportioned, instant, placed, scheduled
from pressroom.domain.errors import PermanentError
from pressroom.domain.publishing import Placed
from pressroom.domain.social import Measured, Platform

log = logging.getLogger(__name__)

POSTS = "/v2/scheduler/posts"
DAY = timedelta(days=1)


class MetricoolMetrics:
    """Metrics and Clock over one connection. Use as an async context manager.

    ``transport`` takes the network's place in tests.
    """

    def __init__(
        self, settings: MetricoolSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.simulated = settings.simulator
        self.calls = MetricoolClient(settings, transport=transport)
        self._settings = settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of its connections."""
        await self.calls.close()

    async def status(self, start: datetime, end: datetime) -> Mapping[str, Placed]:
        """Every post scheduled between the two times, by external id."""
        entries = await self.scheduled(start, end)
        return {entry.id: self.placed(entry) for entry in entries if start <= entry.at <= end}

    async def posts(self, platform: Platform, start: datetime, end: datetime) -> Sequence[Measured]:
        """Every post of the platform published between the two times; a thread counts as one.

        Posts go by the scheduler's ids where it knows them. Platforms report new followers for an account
        only: what it gained since ``start`` is divided among the posts by their engagements.
        """
        reported = [post for post in await self.published(platform, start, end) if start <= post.at <= end]
        if not reported:
            return []
        index = EntryIndex.of(platform, await self.scheduled(start - DAY, end + DAY))
        threads: dict[str, list[MetricsRow]] = {}
        for post in reported:
            threads.setdefault(index.id(post), []).append(post)
        engagements = [sum(part.engagements for part in parts) for parts in threads.values()]
        followers = apportioned(await self._gained(platform, start, end), engagements)
        return [
            Measured(
                external_id=identity,
                platform=platform,
                published_at=min(part.at for part in parts),
                impressions=sum(part.impressions for part in parts),
                engagements=engaged,
                link_clicks=sum(part.clicks for part in parts),
                new_followers=gained,
            )
            for (identity, parts), engaged, gained in zip(
                threads.items(), engagements, followers, strict=True
            )
        ]

    async def now(self) -> datetime:
        """The present in UTC: the simulator's when there is one, else the system's."""
        if not self._settings.simulator:
            return datetime.now(UTC)
        answer = await self.calls.get(f"{self._settings.origin}/simulator/clock")
        at = instant(answer.get("now")) if isinstance(answer, dict) else None
        if at is None:
            raise self.calls.strange()
        return at

    async def scheduled(self, start: datetime, end: datetime) -> list[ScheduledEntry]:
        """Every entry of the scheduler between the two times."""
        # The extended range holds what is already out, too.
        entries = await self.calls.pages(
            POSTS, start=_local(start), end=_local(end), timezone="UTC", extendedRange="true"
        )
        return [post for entry in entries if (post := scheduled(entry)) is not None]

    async def published(self, platform: Platform, start: datetime, end: datetime) -> list[MetricsRow]:
        """What the platform reports for these days and the ones around: its days may be in another zone."""
        first, last = start - DAY, end + DAY
        if platform is Platform.TWITTER:
            entries = await self.calls.pages("/stats/twitter/posts", start=_day(first), end=_day(last))
        else:
            path, zone = f"/v2/analytics/posts/{platform}", {"timezone": "UTC"}
            entries = await self.calls.pages(path, **{"from": _local(first), "to": _local(last), **zone})
        return [post for entry in entries if (post := row(platform, entry)) is not None]

    async def _gained(self, platform: Platform, start: datetime, end: datetime) -> int:
        """Followers that the account has won between the two times. 0 where Metricool does not tell."""
        first, last = start - DAY, end + DAY
        try:
            if platform is Platform.TWITTER:
                path = f"/stats/timeline/{FOLLOWERS_OF_X}"
                answer = await self.calls.get(path, start=_day(first), end=_day(last), timezone="UTC")
            else:
                # LinkedIn's timelines have a name of their own for what the others call the subject.
                subject = "metricType" if platform is Platform.LINKEDIN else "subject"
                params: dict[str, Any] = {"network": str(platform), "metric": FOLLOWERS[platform]}
                params |= {"from": f"{_local(first)}+00:00", "to": f"{_local(last)}+00:00", "timezone": "UTC"}
                answer = await self.calls.get("/v2/analytics/timelines", **params, **{subject: "account"})
        except PermanentError as error:
            log.warning("Followers of %s are not counted: %s", platform, error)
            return 0
        return growth(timeline(answer))

    def placed(self, entry: ScheduledEntry) -> Placed:
        """Where an entry of the scheduler stands."""
        if self._settings.simulator:
            return placed(entry, f"{self._settings.origin}/simulator/posts/{entry.id}")
        query = {"blogId": self._settings.blog_id, "openWithPostUuid": entry.uuid}
        if not entry.uuid:
            del query["openWithPostUuid"]
        return placed(entry, f"{self._settings.origin}/planner/calendar?{urlencode(query)}")


class MetricoolClock:
    """A Clock: the simulator's time when the connection is one, else the system's."""

    def __init__(
        self, settings: MetricoolSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._transport = transport

    async def now(self) -> datetime:
        """The present, aware, in UTC."""
        if not self._settings.simulator:
            return datetime.now(UTC)
        async with MetricoolMetrics(self._settings, transport=self._transport) as metrics:
            return await metrics.now()


def _local(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%d")
