"""Metricool as a target: posts on any network that it serves, so also on LinkedIn, Facebook and Instagram.

Metricool schedules. A piece without a time is scheduled for two minutes from now, and when its answer is lost
it is looked for by network and text, among what is to go out within the hour or went out in the last days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self, Unpack

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from pressroom.adapters.connection import ConnectionFields
from pressroom.adapters.targets.metricool.analytics import outside_id
from pressroom.adapters.targets.metricool.api import Metricool
from pressroom.adapters.targets.metricool.settings import MetricoolSettings
from pressroom.adapters.targets.text import cut, is_web_link, post_of, web_link
from pressroom.domain.errors import ConfigurationError, PermanentError
from pressroom.domain.platforms import Draft, length_of, rules, violations
from pressroom.domain.social import Delivery, Media, Platform, Receipt, Submission
from pressroom.domain.targets import Content, Picture, Piece, Placed, TargetLimits

SOON = timedelta(minutes=2)
_BACK, _AHEAD = timedelta(days=7), timedelta(hours=1)
LINK = 2048
# Where a link is a field of its own; elsewhere it stands in the text.
_LINK_FIELD = {Platform.PINTEREST: "link", Platform.LINKEDIN: "article"}


class MetricoolTargetSettings(BaseModel):
    """A connection to Metricool, and the network that posts go to when they name none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metricool: MetricoolSettings
    network: Platform | None = None

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> Self:
        """As ``MetricoolSettings.from_connection``; extra can have ``network``, too."""
        extra = dict(fields.get("extra") or {})
        named = extra.pop("network", None)
        try:
            network = None if named is None else Platform(named)
        except ValueError:
            raise ConfigurationError(
                f"connection {connection_id!r}: network: Metricool posts to {', '.join(Platform)} here"
            ) from None
        fields["extra"] = extra
        metricool = MetricoolSettings.from_connection(connection_id, **fields)
        return cls(metricool=metricool, network=network)


class MetricoolArguments(BaseModel):
    """A post on one network, within that network's rules."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    network: Platform = Field(description="where it is posted")
    text: str = Field(min_length=1, description="the post, hashtags in it")
    title: str = Field(default="", description="the pin's title; Pinterest only")
    link: Annotated[str, AfterValidator(is_web_link)] = Field(
        default="", max_length=LINK, description="the web page that the post leads to"
    )
    board: str = Field(
        default="",
        pattern=r"^\d*$",
        description="id of the pin's board; Pinterest only; empty: the usual one",
    )

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Self:
        pin = self.network is Platform.PINTEREST
        if not pin and (self.title or self.board):
            raise ValueError(f"{rules(self.network).name} has no title and no board")
        draft = Draft(self.network, rules(self.network).formats[0], [self.whole], self.title)
        broken = [one for one in violations(draft) if one.rule != "media_required"]
        if broken:
            raise ValueError("; ".join(one.detail for one in broken))
        return self

    @property
    def whole(self) -> str:
        """The text as it appears, with the link in it where the network has no field for it."""
        if not self.link or self.link in self.text or self.network is Platform.PINTEREST:
            return self.text
        return f"{self.text}\n\n{self.link}"

    @property
    def options(self) -> dict[str, str]:
        """What its network alone knows."""
        field = _LINK_FIELD.get(self.network)
        told = {"title": self.title, "board": self.board} | ({field: self.link} if field else {})
        return {name: value for name, value in told.items() if value}


def arguments_for(network: Platform | None) -> type[MetricoolArguments]:
    """The arguments of posts on one network, with its bounds in their schema; of any network for None."""
    if network is None:
        return MetricoolArguments
    own = rules(network)
    text = Field(
        min_length=1, description="the post, hashtags in it", json_schema_extra={"maxLength": own.text}
    )
    title = Field(default="", max_length=own.title, description="the pin's title; Pinterest only")
    fields: dict[str, Any] = {
        "network": (Literal[network], Field(default=network, description="where it is posted")),
        "text": (str, text),
        "title": (str, title),
    }
    return create_model(f"{own.name}Arguments", __base__=MetricoolArguments, **fields)


class MetricoolTarget:
    """A Target. Use as an async context manager; ``transport`` takes the network's place in tests."""

    handler = "metricool"

    def __init__(
        self, settings: MetricoolTargetSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.connection = settings.metricool.connection
        self.settle_seconds = settings.metricool.settle_seconds
        self.network = settings.network
        self.arguments = arguments_for(self.network)
        self.limits = _limits(self.network)
        where = rules(self.network).name if self.network else "a social network"
        self.description = f"A post on {where}, which Metricool publishes at its time."
        self._metricool = _Desk(settings.metricool, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._metricool.__aexit__()

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
        text = post_of(replace(content, link=link), own.text, lambda one: length_of(network, one))
        return self.arguments(network=network, text=text, link=link if network in _LINK_FIELD else "")

    async def check(self) -> None:
        """Raises ConfigurationError when the token is wrong, or the brand lacks the network."""
        missing = await self._metricool.check([self.network] if self.network else [])
        for reason in missing.values():
            raise ConfigurationError(reason)

    async def publish(self, piece: Piece[MetricoolArguments]) -> Placed:
        """Schedule the post.

        Raises UnknownOutcome when it may have been accepted, PastDate when its time is over.
        """
        at = piece.at or await self._metricool.now() + SOON
        return _placed(await self._metricool.submit(_submission(piece, at)))

    async def find(self, piece: Piece[MetricoolArguments]) -> Placed | None:
        """The post with this network, text and time; without a time, the oldest that may be it."""
        if piece.at is not None:
            receipt = await self._metricool.find(_submission(piece, piece.at))
        else:
            receipt = await self._metricool.find_around(_submission(piece, await self._metricool.now()))
        return _placed(receipt) if receipt else None

    async def unpublish(self, external_id: str) -> bool:
        """Delete a post that is not out yet. False when it is out already; True too when it is not there."""
        return await self._metricool.withdraw(external_id)


class _Desk(Metricool):
    """Metricool, which also finds a post of whose time only the day is known."""

    async def find_around(self, post: Submission) -> Receipt | None:
        """The oldest post with this platform and text from a week before its time to an hour after."""
        start, end = post.at - _BACK, post.at + _AHEAD
        entries = [one for one in await self._list(start, end) if start <= one.at <= end]
        for entry in sorted(entries, key=lambda one: one.at):
            if entry.is_of(replace(post, at=entry.at)):
                return self._receipt(entry)
        rows = [one for one in await self._rows(post.platform, start, end) if start <= one.at <= end]
        for row in sorted(rows, key=lambda one: one.at):
            if row.says(post.parts[0]):
                identity = outside_id(post.platform, row.id)
                return Receipt(identity, Delivery.PUBLISHED, public_url=row.url)
        return None


def _limits(network: Platform | None) -> TargetLimits:
    if network is None:
        return TargetLimits(schedules=True)
    own = rules(network)
    return TargetLimits(
        title_chars=own.title,
        text_chars=own.text,
        pictures=own.media_most,
        picture_required=own.media_required,
        schedules=True,
    )


def _submission(piece: Piece[MetricoolArguments], at: datetime) -> Submission:
    told = piece.arguments
    in_field = told.network in _LINK_FIELD
    return Submission(
        platform=told.network,
        parts=[told.text if in_field else told.whole],
        at=at,
        media=_media(told.network, piece.pictures),
        options=told.options,
    )


def _media(network: Platform, pictures: Sequence[Picture]) -> list[Media]:
    own = rules(network)
    if own.media_required and not pictures:
        raise PermanentError(f"{own.name} takes no post without a picture")
    if len(pictures) > own.media_most:
        raise PermanentError(f"{len(pictures)} pictures are too many: {own.name} takes {own.media_most}")
    if not all(picture.url for picture in pictures):
        raise PermanentError("Metricool fetches pictures from the web, and one of these has no address")
    return [Media(picture.url, cut(picture.alt, own.alt)) for picture in pictures]


def _placed(receipt: Receipt) -> Placed:
    return Placed(receipt.external_id, receipt.public_url, receipt.delivery, receipt.detail)
