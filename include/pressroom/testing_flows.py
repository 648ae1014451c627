"""Stand-ins for what items reach outside: sources, targets, networks and webhooks in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import Field

from pressroom.adapters.conditions.evaluate import compile as read_condition
from pressroom.adapters.targets.metricool.arguments import MetricoolArguments
from pressroom.domain.errors import ConfigurationError, PastDate
from pressroom.domain.fetching import FetchSettings
from pressroom.domain.flows import Condition
from pressroom.domain.packets import FindClaimed, SourceItem
from pressroom.domain.publishing import (
    NO_SETTINGS,
    Content,
    Delivery,
    Piece,
    Placed,
    Publication,
    PublicationStatus,
    Submission,
    Target,
    TargetArguments,
    TargetLimits,
)
from pressroom.domain.social import Clock, Platform
from pressroom.pipelines.tools import Destination


class PostArguments(TargetArguments):
    """What a FakeTarget can be told."""

    settable: ClassVar[frozenset[str]] = frozenset({"board"})

    text: str = Field(min_length=1, max_length=280)
    title: str = ""
    board: str = ""


class FakeTarget:
    """A target in a dict: key → piece. ``errors``: raised by one call to publish after another."""

    description = "Posts a short text."
    arguments: type[PostArguments] = PostArguments
    settle_seconds = 0.0

    def __init__(
        self,
        handler: str = "fake",
        connection: str = "pressroom_fake",
        *,
        pictures: int | None = None,
        errors: Sequence[Exception] = (),
    ) -> None:
        self.handler, self.connection = handler, connection
        limits = TargetLimits(text_chars=280, pictures=pictures)
        self.arguments = type("PostArguments", (PostArguments,), {"limits": limits})
        self.errors = list(errors)
        self.pieces: dict[str, Piece[PostArguments]] = {}
        self.calls = 0

    def from_content(self, content: Content) -> PostArguments:
        """Title and text as they are, the text cut to what is taken."""
        return PostArguments(text=content.text[:280] or content.title, title=content.title)

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """It always works."""

    async def publish(self, piece: Piece[PostArguments]) -> Placed:
        """Keep it; or raise the next error."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        self.pieces[piece.key] = piece
        return self._placed(piece.key)

    async def find(self, piece: Piece[PostArguments]) -> Placed | None:
        """By its key."""
        return self._placed(piece.key) if piece.key in self.pieces else None

    async def unpublish(self, external_id: str) -> bool:
        """Forget it."""
        self.pieces.pop(external_id, None)
        return True

    def _placed(self, key: str) -> Placed:
        return Placed(key, f"https://{self.handler}.example/{key}")


class FakeNetworks:
    """A target of missions in a dict: id → piece. ``missing``: networks that are not connected, and why.

    Posts whose time has come by ``clock`` are out, and can no longer be taken back.
    """

    handler = "metricool"
    connection = "pressroom_metricool"
    description = "Posts at a time."
    arguments: type[MetricoolArguments] = MetricoolArguments
    settle_seconds = 0.0

    def __init__(self, clock: Clock, missing: Mapping[Platform, str] | None = None) -> None:
        self.clock = clock
        self.missing = dict(missing or {})
        self.posts: dict[str, Piece[MetricoolArguments]] = {}

    def from_content(self, content: Content) -> MetricoolArguments:
        """The title, on LinkedIn."""
        return MetricoolArguments(network=Platform.LINKEDIN, text=content.title)

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """Raises ConfigurationError for a network that is missing."""
        network = settings.get("network")
        if network in self.missing:
            raise ConfigurationError(self.missing[network])

    async def publish(self, piece: Piece[MetricoolArguments]) -> Placed:
        """Keep it under the next number. Raises PastDate."""
        if piece.at is not None and piece.at <= await self.clock.now():
            raise PastDate(f"{piece.at:%Y-%m-%d %H:%M} is over")
        return await self.placed(self.keep(piece))

    async def find(self, piece: Piece[MetricoolArguments]) -> Placed | None:
        """By network, text and time; the oldest."""
        sought = (piece.arguments.network, piece.arguments.parts, piece.at)
        for external_id, kept in self.posts.items():
            if (kept.arguments.network, kept.arguments.parts, kept.at) == sought:
                return await self.placed(external_id)
        return None

    async def unpublish(self, external_id: str) -> bool:
        """Forget it, unless it is out."""
        if external_id in self.posts and await self._out(external_id):
            return False
        self.posts.pop(external_id, None)
        return True

    def keep(self, piece: Piece[MetricoolArguments]) -> str:
        """Add a post. Returns its id."""
        external_id = str(len(self.posts) + 1)
        self.posts[external_id] = piece
        return external_id

    async def placed(self, external_id: str) -> Placed:
        """Where a post stands."""
        out = await self._out(external_id)
        public = f"https://x.example/{external_id}" if out else ""
        delivery = Delivery.PUBLISHED if out else Delivery.PENDING
        return Placed(external_id, public, delivery, preview_url=f"https://preview.example/{external_id}")

    async def _out(self, external_id: str) -> bool:
        at = self.posts[external_id].at
        return at is None or at <= await self.clock.now()


class FakeOutside:
    """What items reach outside, in memory. ``sources``: what every fetch gives; ``told``: (connection,
    event, payload).

    ``deaf``: the error that telling anybody raises. ``networks``: where missions post. Other targets are made
    when they are asked for, by handler and connection.
    """

    def __init__(
        self,
        sources: Sequence[SourceItem] = (),
        deaf: Exception | None = None,
        networks: FakeNetworks | None = None,
    ) -> None:
        self.networks = networks
        self.sources = list(sources)
        self.deaf = deaf
        self.taken: set[str] = set()
        self.targets: dict[tuple[str, str], FakeTarget] = {}
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self.published: list[tuple[str, str, str]] = []
        """(handler, content, hash) of everything that was to be published."""

    def condition(self, text: str) -> Condition:
        """The real thing: conditions reach nothing outside."""
        return read_condition(text)

    async def fetch(self, source: FetchSettings, known: FindClaimed) -> Sequence[SourceItem]:
        """Those that are not known, as many as the cap allows."""
        over = set(await known([item.source_id for item in self.sources]))
        return [item for item in self.sources if item.source_id not in over][: source.cap]

    async def known(self, ids: Sequence[str], also: Sequence[str] = ()) -> Collection[str]:
        """Those in ``taken``."""
        return self.taken & {*ids, *also}

    def target(self, to: Destination) -> Target[Any]:
        """One for each handler and connection. Raises ConfigurationError for the handler ``nowhere``."""
        if self.networks is not None and to.to == self.networks.handler:
            return self.networks
        if to.to == "nowhere":
            raise ConfigurationError(f"there is no connection {to.connection_id!r}")
        key = (to.to, to.connection_id)
        return self.targets.setdefault(key, FakeTarget(*key))

    async def publish(self, to: Destination, submission: Submission[Any]) -> Publication:
        """Straight to the target, without a ledger."""
        piece = submission.piece
        placed = await self.target(to).publish(piece)
        self.published.append((to.to, submission.content, submission.content_hash))
        return Publication(
            len(self.published), 1, submission.content, to.target_name,
            PublicationStatus.ACCEPTED, submission.content_hash, piece.at or datetime(2027, 1, 1, tzinfo=UTC),
            placed.external_id,
            public_url=placed.url,
        )  # fmt: skip

    async def notify(self, connection: str, event: str, payload: Mapping[str, Any]) -> None:
        """Keep it; or raise ``deaf``."""
        if self.deaf is not None:
            raise self.deaf
        self.told.append((connection, event, payload))
