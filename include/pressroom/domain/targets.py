"""The port to places where content is published: sites, networks, webhooks.

A target's ``arguments`` are what it can be told: an AI step fills them in by a tool call, and
``from_content`` makes them of an article without any decision. Adapters map every foreign object and error to
the types here and in ``domain.errors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from pressroom.domain.errors import PermanentError
from pressroom.domain.social import Delivery

Arguments = TypeVar("Arguments", bound=BaseModel)

UPDATES_IN_PLACE = frozenset({"static_site", "wordpress", "bluesky"})
"""Handlers whose ``publish`` changes what is there under the same key. The others would add a second one."""


@dataclass(frozen=True)
class Picture:
    """An image with its bytes. ``url``: http(s) address under which others find it, '' when there is none."""

    data: bytes
    media_type: str
    alt: str = ""
    url: str = ""


@dataclass(frozen=True)
class Content:
    """What there is to publish, whoever made it: an article, or an item of a flow.

    ``html`` is clean; ``text`` is the same without markup; ``link``: where it came from or belongs, '' if
    nowhere.
    """

    title: str
    text: str
    html: str = ""
    excerpt: str = ""
    slug: str = ""
    tags: Sequence[str] = ()
    categories: Sequence[str] = ()
    link: str = ""
    language: str = "en"


@dataclass(frozen=True)
class Piece(Generic[Arguments]):
    """One publication, ready to go. ``key`` is unique for the content and the same at every try: an adapter
    leaves it at the target where the target has room for it, and looks for it there. ``at``: when it shall
    appear, aware; None: at once.
    """

    key: str
    arguments: Arguments
    pictures: Sequence[Picture] = ()
    at: datetime | None = None


@dataclass(frozen=True)
class Placed:
    """A piece that the target has. ``url``: where people see it, '' while nobody does."""

    external_id: str
    url: str = ""
    delivery: Delivery = Delivery.PUBLISHED
    detail: str = ""


@dataclass(frozen=True)
class TargetLimits:
    """What a target permits. None: it does not say. ``text_chars`` by the target's own way of counting."""

    title_chars: int | None = None
    text_chars: int | None = None
    pictures: int | None = None
    picture_bytes: int | None = None
    picture_required: bool = False
    requests_per_minute: int | None = None
    schedules: bool = field(default=False)


class Target(Protocol[Arguments]):
    """A place to publish to, behind one connection.

    ``handler``: which adapter it is, as flows and sites name it; ``connection``: the Airflow connection, ''
    when it needs none; ``description``: for the model, what publishing here means. ``settle_seconds``: how
    long after a call without an answer the piece may still turn up there. Every method raises TransientError
    (UnknownOutcome when it may have happened), ConfigurationError or PermanentError, never a foreign error.
    """

    handler: str
    connection: str
    description: str
    arguments: type[Arguments]
    limits: TargetLimits
    settle_seconds: float

    def from_content(self, content: Content) -> Arguments:
        """The arguments that publish the content as it is, cut to the limits where that is possible."""
        ...

    async def check(self) -> None:
        """See that the credentials work. Raises ConfigurationError when they do not."""
        ...

    async def publish(self, piece: Piece[Arguments]) -> Placed:
        """Publish, or update in place what was published under the same key."""
        ...

    async def find(self, piece: Piece[Arguments]) -> Placed | None:
        """The piece, if the target has it."""
        ...

    async def unpublish(self, external_id: str) -> bool:
        """Take it back. False when that is not possible any more; True too when it is not there."""
        ...


def arguments_of(target: Target[Any], given: Mapping[str, Any], name: str) -> BaseModel:
    """What a target is told. Raises PermanentError, naming the target so, with all that is wrong."""
    try:
        found: BaseModel = target.arguments.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        )
        raise PermanentError(f"{name} does not take that: {wrong}") from None
    return found
