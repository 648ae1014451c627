"""What a run needs of the outside, as its stages declare it: verified before anything is spent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pressroom.domain.fetching import FetchSettings
from pressroom.domain.missions import Mission
from pressroom.pipelines.tools import Destination


class Probe(Protocol):
    """Asks the outside whether it would do its part, by requests that cost and change nothing.

    Every method raises PermanentError with what is wrong and the remedy, TransientError when nobody can say
    now, and returns what a person should know although it holds nothing up; '' when there is nothing.
    """

    async def text(self) -> str:
        """The text model: its connection, its key, that it is offered, its price."""
        ...

    async def images(self) -> str:
        """The image provider, likewise."""
        ...

    async def embeddings(self) -> str:
        """The embedding model, likewise."""
        ...

    async def media(self) -> str:
        """That pictures can be stored."""
        ...

    async def target(self, to: Destination, settings: Mapping[str, Any]) -> str:
        """A target: its login, its rights, and what ``settings`` name there."""
        ...

    async def pictures(self, to: Destination) -> str:
        """That pictures have a public URL, if the target fetches them."""
        ...

    async def receiver(self, connection: str) -> str:
        """The form of a webhook's connection. Nothing is sent."""
        ...

    async def source(self, source: FetchSettings) -> str:
        """That the source may be read. An address on the web is not fetched."""
        ...


@dataclass(frozen=True)
class Need:
    """One thing that a run needs. ``name`` is the same for the same thing, whichever stage needs it.

    ``title``: what people call it; ``connection``: of Airflow, '' for what the workflow's settings name.
    ``optional``: the run goes on without it. ``partial``: some items fail without it, and the others go on.
    """

    name: str
    check: Callable[[Probe], Awaitable[str]]
    title: str
    connection: str = ""
    optional: bool = False
    partial: bool = False


TEXT = Need("text", lambda probe: probe.text(), "the model that writes")
IMAGES = Need("images", lambda probe: probe.images(), "who makes the pictures")
EMBEDDINGS = Need("embeddings", lambda probe: probe.embeddings(), "the embedding model")
MEDIA = Need("media", lambda probe: probe.media(), "the storage of pictures")


def target(to: Destination, settings: Mapping[str, Any], *, partial: bool = False) -> Need:
    """A place to publish to."""
    name = f"target {to.connection_id}/{to.to} {sorted(settings.items())}"
    return Need(
        name,
        lambda probe: probe.target(to, settings),
        f"the target {to.to}",
        to.connection_id,
        partial=partial,
    )


def pictures(to: Destination, *, partial: bool = False) -> Need:
    """What a place needs that gets pictures."""
    name = f"pictures {to.connection_id}/{to.to}"
    return Need(
        name, lambda probe: probe.pictures(to), f"pictures for {to.to}", to.connection_id, partial=partial
    )


def platforms(mission: Mission) -> list[Need]:
    """Where a mission posts, with pictures."""
    places = [(mission.place(name), name) for name in mission.platforms]
    checks = [target(place, {"network": name}) for place, name in places]
    return [*checks, *(pictures(place) for place, _ in places)]


def receiver(connection: str, *, optional: bool) -> Need:
    """Who is told something by a signed webhook."""
    name = f"receiver {connection}"
    return Need(name, lambda probe: probe.receiver(connection), "the receiver", connection, optional)


def source(settings: FetchSettings, *, optional: bool) -> Need:
    """Where items come from."""
    name = f"source {settings!r}"
    return Need(name, lambda probe: probe.source(settings), f"the {settings.type} source", optional=optional)
