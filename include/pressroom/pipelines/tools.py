"""What a stage reaches: its collaborators, as arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pressroom.domain.fetching import FetchSettings
from pressroom.domain.flows import Condition
from pressroom.domain.model import ImageProvider, MediaStore, Similarity, Text
from pressroom.domain.packets import Known, SourceItem
from pressroom.domain.publishing import Publication, Publisher
from pressroom.domain.run import OfWorkflow
from pressroom.domain.social import Analytics, Clock, Scheduler
from pressroom.domain.targets import Piece, Target


@dataclass(frozen=True)
class Social:
    """What a mission's stages reach the platforms with. ``publisher`` is bound to the item."""

    scheduler: Scheduler
    analytics: Analytics
    clock: Clock
    publisher: Publisher


class Destination(Protocol):
    """Where something is published: a publish step of a flow, or a target of a site."""

    @property
    def to(self) -> str:
        """The handler's name."""
        ...

    @property
    def connection_id(self) -> str:
        """The Airflow connection."""
        ...


class Wires(Protocol):
    """What items reach the outside with. ``run_id``: the run that they are worked on for."""

    run_id: int

    def condition(self, text: str) -> Condition:
        """Reads a condition. Raises DefinitionError."""
        ...

    async def fetch(self, source: FetchSettings, known: Known) -> Sequence[SourceItem]:
        """The newest items that are not known. Raises TransientError or PermanentError."""
        ...

    def target(self, to: Destination) -> Target[Any]:
        """The target, opened. Raises ConfigurationError."""
        ...

    async def publish(
        self, to: Destination, content: str, content_hash: str, piece: Piece[Any], *, update: bool = False
    ) -> Publication:
        """Once, however often it is asked. Errors as in ``Publisher``.

        ``update``: a target that can do so is given what has another hash than what it has.
        """
        ...

    async def tell(self, connection: str, event: str, payload: Mapping[str, Any]) -> None:
        """Send a signed webhook. Raises what went wrong with it."""
        ...

    def known(self, ids: Sequence[str]) -> Awaitable[Collection[str]]:
        """Which source ids the flow has taken up."""
        ...


@dataclass(frozen=True)
class Watching(OfWorkflow):
    """What a stage that only watches needs. ``connected``: None where a pipeline posts to no platform."""

    connected: Social | None

    @property
    def social(self) -> Social:
        """``connected``, for stages that cannot do without. Raises TypeError when it is None."""
        if self.connected is None:
            raise TypeError(f"{self.workflow.kind} {self.workflow.slug} is connected to no platform")
        return self.connected


@dataclass(frozen=True)
class Tools(Watching):
    """A stage's collaborators, as arguments: a unit test hands in fakes.

    ``text`` and ``images`` are already bound to the item, so that what they spend is booked to it.
    """

    text: Text
    images: ImageProvider
    media: MediaStore
    similarity: Similarity
    wired: Wires | None = None

    @property
    def wires(self) -> Wires:
        """``wired``, for stages that cannot do without. Raises TypeError when it is None."""
        if self.wired is None:
            raise TypeError(f"{self.workflow.kind} {self.workflow.slug} has no wires to the outside")
        return self.wired
