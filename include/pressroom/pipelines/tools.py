"""The collaborators of a stage."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pressroom.domain.definitions import Account, BrandContext, Site
from pressroom.domain.fetching import FetchSettings
from pressroom.domain.flows import Condition, Flow
from pressroom.domain.missions import Mission
from pressroom.domain.model import Embeddings, ImageProvider, MediaStore, Text
from pressroom.domain.packets import FindClaimed, SourceItem
from pressroom.domain.publishing import Publication, Submission, Target
from pressroom.domain.social import Clock, Metrics


@dataclass(frozen=True)
class Social:
    """What a mission's stages read of its platforms."""

    metrics: Metrics
    clock: Clock


class Destination(Protocol):
    """Where something is published: a publish step of a flow, a target of a site, a platform of a mission."""

    @property
    def to(self) -> str:
        """The handler's name."""
        ...

    @property
    def connection_id(self) -> str:
        """The Airflow connection."""
        ...

    @property
    def target_name(self) -> str:
        """How the publication ledger names the target."""
        ...


class Outside(Protocol):
    """What an item reaches outside: sources, targets, and receivers of webhooks."""

    def condition(self, text: str) -> Condition:
        """Reads a condition. Raises DefinitionError."""
        ...

    async def fetch(self, source: FetchSettings, known: FindClaimed) -> Sequence[SourceItem]:
        """The newest items that are not known. Raises TransientError or PermanentError."""
        ...

    def target(self, to: Destination) -> Target[Any]:
        """The target, opened. Raises ConfigurationError."""
        ...

    async def publish(self, to: Destination, submission: Submission[Any]) -> Publication:
        """Publish exactly once, however often it is asked: bring the piece to its target, or find it there.

        Raises PastDate when the time is over and the target does not have it, TimeTaken when something else
        of the workflow appears there at that time, TransientError when another try may help, PermanentError
        when the target refuses it.
        """
        ...

    async def notify(self, connection: str, event: str, payload: Mapping[str, Any]) -> None:
        """Send a signed webhook. Raises what went wrong with it."""
        ...

    def known(self, ids: Sequence[str], also: Sequence[str] = ()) -> Awaitable[Collection[str]]:
        """Returns which source ids of its feed the flow has claimed, as ``FindClaimed``."""
        ...


class Tools(Protocol):
    """A stage's collaborators, as arguments: a unit test hands in fakes.

    Each is opened when a stage first asks for it, and raises ConfigurationError when its connection is
    missing or wrong. ``text``, ``images``, ``embeddings``, ``social`` and ``outside`` are bound to the item,
    so that what they spend and publish is booked to it. ``site``, ``mission`` and ``flow``: the workflow, for
    a stage of that kind; the others raise TypeError.
    """

    @property
    def account(self) -> Account: ...
    @property
    def brand(self) -> BrandContext | None: ...
    @property
    def site(self) -> Site: ...
    @property
    def mission(self) -> Mission: ...
    @property
    def flow(self) -> Flow: ...
    @property
    def run_id(self) -> int: ...
    @property
    def text(self) -> Text: ...
    @property
    def images(self) -> ImageProvider: ...
    @property
    def media(self) -> MediaStore: ...
    @property
    def embeddings(self) -> Embeddings: ...
    @property
    def social(self) -> Social: ...
    @property
    def outside(self) -> Outside: ...
