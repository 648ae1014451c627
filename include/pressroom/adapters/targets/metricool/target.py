"""Metricool as a target: how a piece is scheduled, found again and taken back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from pressroom.adapters.targets.metricool.analytics import outside_id
from pressroom.adapters.targets.metricool.arguments import LINK, MetricoolArguments, arguments_for
from pressroom.adapters.targets.metricool.client import MetricoolSettings
from pressroom.adapters.targets.metricool.metrics import DAY, POSTS, MetricoolMetrics
from pressroom.adapters.targets.metricool.wire import creation, near, scheduled
from pressroom.adapters.targets.service import ServiceTarget
from pressroom.adapters.targets.text import cut, post_of, web_link
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError, UnknownOutcome
from pressroom.domain.platforms import length_of, rules
from pressroom.domain.publishing import (
    NO_SETTINGS,
    Content,
    Delivery,
    Piece,
    Placed,
)
from pressroom.domain.social import Platform

SOON = timedelta(minutes=2)
_BACK, _AHEAD = timedelta(days=7), timedelta(hours=1)
# Where a link is a field of its own, or makes the preview; elsewhere it stands in the text.
_LINK_FIELD = {Platform.PINTEREST, Platform.LINKEDIN}


class MetricoolTarget(ServiceTarget[MetricoolSettings, MetricoolMetrics]):
    """A Target. ``metrics``: what became of the posts, over the same connection."""

    handler = "metricool"
    arguments: type[MetricoolArguments] = MetricoolArguments

    def __init__(self, settings: MetricoolSettings, **others: Any) -> None:
        super().__init__(settings, **others)
        self.network = settings.network
        self.arguments = arguments_for(self.network)
        where = rules(self.network).name if self.network else "a social network"
        self.description = f"A post on {where}, which Metricool publishes at its time."
        self.metrics = self._api
        self._calls = self.metrics.calls
        self._hosted: dict[str, str] = {}

    @staticmethod
    def _client(settings: MetricoolSettings, transport: httpx.AsyncBaseTransport | None) -> MetricoolMetrics:
        return MetricoolMetrics(settings, transport=transport)

    def from_content(self, content: Content) -> MetricoolArguments:
        """The content on the connection's network. Raises ConfigurationError when it has none."""
        network = self.network
        if network is None:
            raise ConfigurationError(
                f"connection {self.connection!r}: network: put in extra, or in the settings, where to post"
            )
        own = rules(network)
        link = web_link(content.link) if len(content.link) <= LINK else ""
        if network is Platform.PINTEREST:
            title, text = cut(content.title, own.title or 100), cut(content.excerpt or content.text, own.text)
            return self.arguments(network=network, title=title, text=text or title, link=link)
        text = post_of(replace(content, link=link), own.text, lambda part: length_of(network, part))
        return self.arguments(network=network, text=text, link=link if network in _LINK_FIELD else "")

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """Check the token, the brand, and the network's account."""
        named = settings.get("network") or self.network
        if self.network is not None and named != self.network:
            raise ConfigurationError(
                f"{self._where}: network: it posts to {self.network} only; take network out of extra to post"
                f" to {named}"
            )
        brands = self._calls.listed(await self._calls.get("/v2/settings/brands"))
        brand = next(
            (candidate for candidate in brands if str(candidate.get("id")) == str(self._settings.blog_id)),
            None,
        )
        if brand is None:
            raise ConfigurationError(
                f"{self._where}: blog_id: the user has no brand {self._settings.blog_id}"
            )
        if named is None:
            return
        networks = brand.get("networksData")
        if not isinstance(networks, dict) or not networks.get(f"{named}Data"):
            raise ConfigurationError(
                f"{self._where}: the brand has no {named} account connected in Metricool: connect one there,"
                f" or take {named} out of the definition"
            )
        if named == Platform.PINTEREST and not settings.get("board"):
            self._board("")

    async def publish(self, piece: Piece[MetricoolArguments]) -> Placed:
        """Schedule the post.

        Raises UnknownOutcome when it may have been accepted, PastDate when its time is over.
        """
        post = piece.arguments
        board = self._board(post.board) if post.network is Platform.PINTEREST else ""
        if not all(picture.url for picture in piece.pictures):
            raise PermanentError(
                "Metricool fetches pictures from the web, and one of these has no address: set the Airflow"
                " variable pressroom_media_public_url"
            )
        at = piece.at or await self.metrics.now() + SOON
        hosted = await asyncio.gather(*(self._host(picture.url) for picture in piece.pictures))
        body = creation(post, at, piece.pictures, hosted, board)
        answer = await self._calls.create(POSTS, body)
        entry = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(entry, dict) or entry.get("id") is None:
            raise UnknownOutcome(f"{self._where}: Metricool answered, but not with the post's id")
        existing = scheduled({"publicationDate": at.isoformat(), **entry})
        # Without a readable time it is scheduled nevertheless: the id is what counts.
        return (
            self.metrics.placed(existing) if existing else Placed(str(entry["id"]), delivery=Delivery.PENDING)
        )

    async def find(self, piece: Piece[MetricoolArguments]) -> Placed | None:
        """The post with this network, text and time; without a time, the oldest that may be it.

        A post whose time has come may be gone from the scheduler's list, so it is also looked for among what
        the platform has published.
        """
        post = piece.arguments
        if piece.at is not None:
            start, end = piece.at - DAY, piece.at + DAY
        else:
            now = await self.metrics.now()
            start, end = now - _BACK, now + _AHEAD
        entries = [
            entry
            for entry in await self.metrics.scheduled(start, end)
            if start <= entry.at <= end and entry.is_of(post, piece.at)
        ]
        if entries:
            return self.metrics.placed(min(entries, key=lambda entry: (entry.at, len(entry.id), entry.id)))
        if piece.at is not None and await self.metrics.now() < piece.at:
            return None
        texts = (post.parts[0], "\n\n".join(post.parts))
        rows = [
            row
            for row in await self.metrics.published(post.network, start, end)
            if (near(row.at, piece.at) if piece.at else start <= row.at <= end)
            and any(row.says(text) for text in texts)
        ]
        if not rows:
            return None
        first = min(rows, key=lambda row: row.at)
        return Placed(outside_id(post.network, first.id), first.url)

    async def unpublish(self, external_id: str) -> bool:
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
        existing = scheduled(entry) if isinstance(entry, dict) else None
        if existing is not None and self.metrics.placed(existing).delivery is Delivery.PUBLISHED:
            return False
        raise TransientError(
            f"{self._where}: Metricool has not deleted post {external_id}, and it is not out"
        )

    async def _host(self, url: str) -> str:
        """The URL of a picture at Metricool, which posts only what it hosts."""
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigurationError(
                f"{self._where}: Metricool fetches pictures from the web, and this one has the address"
                f" {urlsplit(url).scheme}:…"
            )
        if url not in self._hosted:
            text = (await self._calls.text("/actions/normalize/image/url", url=url)).strip()
            self._hosted[url] = _hosted(text, self._calls.strange())
        return self._hosted[url]

    def _board(self, named: str) -> str:
        board = named or self._settings.pinterest_board
        if not board:
            raise ConfigurationError(f"{self._where}: pinterest_board: put the id of a board in extra")
        return board


def _hosted(text: str, strange: TransientError) -> str:
    """The URL in the answer, which is that URL alone, or JSON around it. Raises ``strange`` for others."""
    try:
        answer: Any = json.loads(text)
    except ValueError:
        answer = text
    if isinstance(answer, dict):
        inner = answer.get("data", answer)
        answer = inner.get("url") if isinstance(inner, dict) else inner
    if not isinstance(answer, str) or not answer.startswith(("http://", "https://")):
        raise strange
    return answer
