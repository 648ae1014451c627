"""Metricool: schedules posts on social platforms and reads what came of them.

It has no key under which a repeated request is recognised, so whoever sends again looks first: ``find``.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import httpx

from pressroom.adapters.targets.metricool.analytics import (
    FOLLOWERS,
    FOLLOWERS_OF_X,
    Known,
    Row,
    growth,
    outside_id,
    row,
    timeline,
)
from pressroom.adapters.targets.metricool.client import Calls
from pressroom.adapters.targets.metricool.settings import MetricoolSettings
from pressroom.adapters.targets.metricool.wire import (
    Scheduled,
    apportioned,
    creation,
    instant,
    matching,
    near,
    receipt,
    scheduled,
)
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError, UnknownOutcome
from pressroom.domain.social import Delivery, Measured, Media, Platform, Receipt, Submission

__all__ = ["Metricool", "MetricoolClock", "MetricoolSettings"]

log = logging.getLogger(__name__)

POSTS = "/v2/scheduler/posts"
DAY = timedelta(days=1)
# The last parts of a media file's path, which are its name in the media store: ab/cd/<hash>.png


class Metricool:
    """Scheduler and Analytics over one connection. Use as an async context manager.

    ``transport`` takes the network's place in tests.
    """

    def __init__(
        self, settings: MetricoolSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.settle_seconds = settings.settle_seconds
        self.simulated = settings.simulator
        self._settings = settings
        self._calls = Calls(settings, transport=transport)
        self._hosted: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._calls.close()

    async def check(self, platforms: Sequence[Platform]) -> Mapping[Platform, str]:
        """What keeps each platform from being posted to; a platform that is ready is not in it.

        Raises ConfigurationError when the token is wrong or the brand is none of the user's.
        """
        where = f"connection {self._settings.connection!r}"
        brands = self._calls.listed(await self._calls.get("/v2/settings/brands"))
        brand = next((one for one in brands if str(one.get("id")) == str(self._settings.blog_id)), None)
        if brand is None:
            raise ConfigurationError(f"{where}: blog_id: the user has no brand {self._settings.blog_id}")
        networks = brand.get("networksData")
        connected = networks if isinstance(networks, dict) else {}
        missing: dict[Platform, str] = {}
        for platform in platforms:
            if not connected.get(f"{platform}Data"):
                missing[platform] = f"{where}: the brand has no {platform} account connected in Metricool"
            elif platform is Platform.PINTEREST and not self._settings.pinterest_board:
                missing[platform] = f"{where}: pinterest_board: put the id of a board in extra"
        return missing

    async def submit(self, post: Submission) -> Receipt:
        """Schedule.

        Raises UnknownOutcome when it may or may not have been accepted, PastDate when ``at`` is over.
        """
        self._check_board(post)
        creation(post, (), "")  # whatever is wrong with the post shows before anything is sent
        media = await asyncio.gather(*(self._host(one) for one in post.media))
        answer = await self._calls.create(POSTS, creation(post, media, self._settings.pinterest_board))
        entry = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(entry, dict) or entry.get("id") is None:
            raise UnknownOutcome(
                f"connection {self._settings.connection!r}: Metricool answered, but not with the post's id"
            )
        given = scheduled({"publicationDate": post.at.isoformat(), **entry})
        # Without a readable time it is scheduled nevertheless: the id is what counts.
        return self._receipt(given) if given else Receipt(str(entry["id"]))

    async def find(self, post: Submission) -> Receipt | None:
        """The post with this platform, text and time, if the scheduler has it.

        A post whose time has come may be gone from the scheduler's list, so it is also looked for among what
        the platform has published.
        """
        found = matching(await self._list(post.at - DAY, post.at + DAY), post)
        if found is not None:
            return self._receipt(found)
        if await self.now() < post.at:
            return None
        for reported in await self._rows(post.platform, post.at - DAY, post.at + DAY):
            texts = (post.parts[0], "\n\n".join(post.parts))
            if near(reported.at, post.at) and any(reported.says(text) for text in texts):
                identity = outside_id(post.platform, reported.id)
                return Receipt(identity, Delivery.PUBLISHED, public_url=reported.url)
        return None

    async def status(self, start: datetime, end: datetime) -> Mapping[str, Receipt]:
        """Every post scheduled between the two times, by external id."""
        entries = await self._list(start, end)
        return {entry.id: self._receipt(entry) for entry in entries if start <= entry.at <= end}

    async def withdraw(self, external_id: str) -> bool:
        """Delete a post that is not out yet. False when it is out already; True too when it is not there."""
        if not external_id.isdecimal():  # only the network knows it: it is out
            return False
        answer = await self._calls.delete(f"{POSTS}/{external_id}")
        if answer is None or (isinstance(answer, dict) and answer.get("data") is True):
            return True
        left = await self._calls.get_if_there(f"{POSTS}/{external_id}")
        entry = left.get("data") if isinstance(left, dict) else None
        if not entry:
            return True
        there = scheduled(entry) if isinstance(entry, dict) else None
        if there is not None and self._receipt(there).delivery is Delivery.PUBLISHED:
            return False
        raise TransientError(
            f"connection {self._settings.connection!r}: Metricool has not deleted post {external_id}, "
            "and it is not out"
        )

    async def posts(self, platform: Platform, start: datetime, end: datetime) -> Sequence[Measured]:
        """Every post of the platform published between the two times; a thread counts as one.

        Posts go by the scheduler's ids where it knows them. Platforms report new followers for an account
        only: what it gained since ``start`` is divided among the posts by their engagements.
        """
        reported = [one for one in await self._rows(platform, start, end) if start <= one.at <= end]
        if not reported:
            return []
        known = Known.of(platform, await self._list(start - DAY, end + DAY))
        threads: dict[str, list[Row]] = {}
        for one in reported:
            threads.setdefault(known.id(one), []).append(one)
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
        answer = await self._calls.get(f"{self._settings.origin}/simulator/clock")
        at = instant(answer.get("now")) if isinstance(answer, dict) else None
        if at is None:
            raise self._calls.strange()
        return at

    async def _list(self, start: datetime, end: datetime) -> list[Scheduled]:
        # The extended range holds what is already out, too.
        entries = await self._calls.pages(
            POSTS, start=_local(start), end=_local(end), timezone="UTC", extendedRange="true"
        )
        return [one for entry in entries if (one := scheduled(entry)) is not None]

    async def _rows(self, platform: Platform, start: datetime, end: datetime) -> list[Row]:
        """What the platform reports for these days and the ones around: its days may be in another zone."""
        first, last = start - DAY, end + DAY
        if platform is Platform.TWITTER:
            entries = await self._calls.pages("/stats/twitter/posts", start=_day(first), end=_day(last))
        else:
            path, zone = f"/v2/analytics/posts/{platform}", {"timezone": "UTC"}
            entries = await self._calls.pages(path, **{"from": _local(first), "to": _local(last), **zone})
        return [one for entry in entries if (one := row(platform, entry)) is not None]

    async def _gained(self, platform: Platform, start: datetime, end: datetime) -> int:
        """Followers that the account has won between the two times. 0 where Metricool does not tell."""
        first, last = start - DAY, end + DAY
        try:
            if platform is Platform.TWITTER:
                path = f"/stats/timeline/{FOLLOWERS_OF_X}"
                answer = await self._calls.get(path, start=_day(first), end=_day(last), timezone="UTC")
            else:
                # LinkedIn's timelines have a name of their own for what the others call the subject.
                subject = "metricType" if platform is Platform.LINKEDIN else "subject"
                params: dict[str, Any] = {"network": str(platform), "metric": FOLLOWERS[platform]}
                params |= {"from": f"{_local(first)}+00:00", "to": f"{_local(last)}+00:00", "timezone": "UTC"}
                answer = await self._calls.get("/v2/analytics/timelines", **params, **{subject: "account"})
        except PermanentError as error:
            log.warning("Followers of %s are not counted: %s", platform, error)
            return 0
        return growth(timeline(answer))

    async def _host(self, media: Media) -> str:
        """The URL of a picture at Metricool, which posts only what it hosts."""
        url = media.url
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigurationError(
                f"connection {self._settings.connection!r}: Metricool fetches pictures from the web, and this"
                f" one has the address {urlsplit(url).scheme}:…"
            )
        if url not in self._hosted:
            text = (await self._calls.text("/actions/normalize/image/url", url=url)).strip()
            self._hosted[url] = _hosted(text, self._calls.strange())
        return self._hosted[url]

    def _check_board(self, post: Submission) -> None:
        board = post.options.get("board") or self._settings.pinterest_board
        if post.platform is Platform.PINTEREST and not board:
            raise ConfigurationError(
                f"connection {self._settings.connection!r}: pinterest_board: put the id of a board in extra"
            )

    def _receipt(self, entry: Scheduled) -> Receipt:
        if self._settings.simulator:
            return receipt(entry, f"{self._settings.origin}/simulator/posts/{entry.id}")
        query = {"blogId": self._settings.blog_id, "openWithPostUuid": entry.uuid}
        if not entry.uuid:
            del query["openWithPostUuid"]
        return receipt(entry, f"{self._settings.origin}/planner/calendar?{urlencode(query)}")


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
        async with Metricool(self._settings, transport=self._transport) as metricool:
            return await metricool.now()


def _hosted(text: str, strange: TransientError) -> str:
    """The URL in the answer, which is that URL alone, or JSON around it. Raises ``strange`` for others."""
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = text
    if isinstance(found, dict):
        inner = found.get("data", found)
        found = inner.get("url") if isinstance(inner, dict) else inner
    if not isinstance(found, str) or not found.startswith(("http://", "https://")):
        raise strange
    return found


def _local(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%d")
