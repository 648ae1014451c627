"""Publishing: a piece, the port to the target that it goes to, and the publication that records it.

A target's ``arguments`` are what it can be told: an AI step fills them in by a tool call, ``from_content``
makes them of an article without any decision, and a mission makes them of a post. Adapters map every foreign
object and error to the types here and in ``domain.errors``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from pressroom.domain.errors import ApprovalVoid, ConfigurationError, PermanentError
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.text import differences

UPDATES_IN_PLACE = frozenset({"static_site", "wordpress", "bluesky"})
"""Handlers whose ``publish`` changes what is there under the same key. The others would add a second one."""

NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})
CLOCKS_DIFFER = timedelta(minutes=1)


@dataclass(frozen=True)
class Picture:
    """An image. ``url``: the http(s) address under which others find it, '' when there is none.

    ``data`` is empty where the target fetches pictures by their address.
    """

    data: bytes = b""
    media_type: str = ""
    alt: str = ""
    url: str = ""


@dataclass(frozen=True)
class Content:
    """The content to publish: an article, or an item of a flow.

    ``html`` is clean; ``text`` is the same without markup; ``meta_description``: what search engines show;
    ``link``: where it came from or belongs, '' if nowhere.
    """

    title: str
    text: str
    html: str = ""
    excerpt: str = ""
    meta_description: str = ""
    slug: str = ""
    tags: Sequence[str] = ()
    categories: Sequence[str] = ()
    link: str = ""
    language: str = "en"


class Delivery(StrEnum):
    """Where a piece stands at the target."""

    PENDING = "pending"
    PUBLISHED = "published"
    FAILED = "failed"


@dataclass(frozen=True)
class TargetLimits:
    """What a target permits. None: it does not say.

    ``text_chars`` bounds the argument ``text_field``, by the target's own way of counting: ``length``, which
    ``counted`` says in words. ``picture_types``: what it takes, empty for any; others are converted.
    ``picture_urls``: it fetches pictures from their public URL.
    ``requests_per_minute``: of all workers together. ``schedules``: whether it takes pieces for later.
    """

    title_chars: int | None = None
    text_chars: int | None = None
    text_field: str = "text"
    length: Callable[[str], int] = len
    counted: str = "characters"
    pictures: int | None = None
    picture_bytes: int | None = None
    picture_types: Sequence[str] = ()
    picture_required: bool = False
    picture_urls: bool = False
    requests_per_minute: int | None = None
    schedules: bool = False


class TargetArguments(BaseModel):
    """What a target can be told. The base of every target's arguments: it holds the declared limits.

    ``settable``: the arguments that a definition may fix. The others are the content's, which people review.
    ``places``: those that say where within the target a piece appears: one content has a piece in each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    limits: ClassVar[TargetLimits] = TargetLimits()
    settable: ClassVar[frozenset[str]] = frozenset()
    places: ClassVar[Sequence[str]] = ()

    @property
    def place(self) -> str:
        """Where within the target the piece appears, such as a network or a board; '' for the usual place."""
        return " ".join(filter(None, (str(getattr(self, name)) for name in self.places)))

    @classmethod
    def limits_for(cls, settings: Mapping[str, Any]) -> TargetLimits:
        """The limits of a piece with these arguments, as far as they are known."""
        del settings
        return cls.limits

    @classmethod
    def refused_settings(cls, settings: Collection[str]) -> Iterator[tuple[str, str]]:
        """The names among a definition's settings that it must not fix, each with the reason."""
        may = f"settings can hold {', '.join(sorted(cls.settable)) or 'nothing'} here"
        for name in settings:
            if name not in cls.model_fields:
                yield name, f"there is no setting {name!r}: {may}"
            elif name not in cls.settable:
                yield name, f"{name} is part of the content that people approve: {may}"

    @field_validator("*")
    @classmethod
    def _keeps_the_limits(cls, value: Any, field: ValidationInfo) -> Any:
        limits = cls.limits
        bounds = {
            "title": (limits.title_chars, len, "characters"),
            limits.text_field: (limits.text_chars, limits.length, limits.counted),
        }
        most, length, counted = bounds.get(str(field.field_name), (None, len, ""))
        if most is not None and (size := length(value)) > most:
            raise ValueError(f"has {size} {counted}, and {most} are the most")
        return value


Arguments = TypeVar("Arguments", bound=TargetArguments)


@dataclass(frozen=True)
class Piece(Generic[Arguments]):
    """One publication, ready to go. ``key`` is unique for the content and the same at every try: an adapter
    leaves it at the target where the target has room for it, and looks for it there. ``at``: when it is to
    appear, aware; None: at once. ``account``: whose it is, for targets that several accounts share.

    ``known``: as what the target has it, or is going to have it, by the ledger; None when it does not know.
    ``noted`` tells the ledger so: see ``note``.
    """

    key: str
    arguments: Arguments
    pictures: Sequence[Picture] = ()
    at: datetime | None = None
    account: str = ""
    known: Placed | None = None
    noted: Callable[[Placed], Awaitable[None]] | None = field(default=None, compare=False, repr=False)

    async def note(self, placed: Placed) -> None:
        """Put on record as what the target is going to have the piece: where this try dies, the next one
        finds it by that.
        """
        if self.noted is not None:
            await self.noted(placed)

    def check(self, target: str, now: datetime) -> None:
        """Raises PermanentError, in the name of the target, when its limits do not permit the piece."""
        limits, number = self.arguments.limits_for(dict(self.arguments)), len(self.pictures)
        if limits.picture_required and not number:
            raise PermanentError(f"{target} takes nothing without a picture, and there is none")
        if limits.pictures is not None and number > limits.pictures:
            raise PermanentError(f"{number} pictures are too many: {target} takes {limits.pictures}")
        if not limits.schedules and self.at is not None and self.at > now + CLOCKS_DIFFER:
            raise PermanentError(
                f"{target} publishes at once, and this is to appear at {self.at.isoformat()}: publish it then"
            )

    @property
    def on_record(self) -> dict[str, Any]:
        """The piece as JSON, without its pictures and its time. ``recalled`` reads it."""
        arguments = self.arguments.model_dump(mode="json")
        return {"key": self.key, "arguments": arguments, "timed": self.at is not None}


@dataclass(frozen=True)
class Approval:
    """What somebody approved, and what is about to be sent: all that decides the final arguments, as JSON.

    ``approved`` is empty when it is not on record.
    """

    approved: Mapping[str, Any]
    sending: Mapping[str, Any]

    def must_hold(self, target: str) -> None:
        """Raises ApprovalVoid, which names what changed."""
        changed = list(differences(self.approved, self.sending))
        if changed:
            raise ApprovalVoid(
                f"what {target} would get has changed since it was approved"
                f" ({shorten(', '.join(changed), 200)}): review it again"
            )


@dataclass(frozen=True)
class Submission(Generic[Arguments]):
    """A piece of a workflow, to be published once. ``content`` and ``content_hash`` as in ``Publication``.

    ``update``: a target that can do so is given what has another hash than what it has. ``alone``: nothing
    else of the workflow may appear there at that time. ``approval``: None when nobody had to approve.
    """

    content: str
    content_hash: str
    piece: Piece[Arguments]
    update: bool = False
    alone: bool = False
    approval: Approval | None = None


@dataclass(frozen=True)
class Placed:
    """A piece that the target has. ``external_id``: its id there; ``url``: where people see it, '' while
    nobody does; ``preview_url``: where its owner sees it, '' if nowhere.
    """

    external_id: str
    url: str = ""
    delivery: Delivery = Delivery.PUBLISHED
    detail: str = ""
    preview_url: str = ""


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
    settle_seconds: float

    def from_content(self, content: Content) -> Arguments:
        """The arguments that publish the content as it is, cut to the limits where that is possible."""
        ...

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """Check that the credentials work, and that what the settings name exists: a board, a network.

        ``settings``: arguments that every piece is to have. Raises ConfigurationError, with the remedy.
        """
        ...

    async def publish(self, piece: Piece[Arguments]) -> Placed:
        """Publish, or update in place what was published under the same key.

        Raises PastDate when ``at`` is over.
        """
        ...

    async def find(self, piece: Piece[Arguments]) -> Placed | None:
        """The piece, if the target has it."""
        ...

    async def unpublish(self, external_id: str) -> bool:
        """Take it back. False when that is not possible any more; True too when it is not there."""
        ...


def arguments_of(
    target: Target[Any], values: Mapping[str, Any], name: str, settings: Collection[str] = ()
) -> TargetArguments:
    """What a target is told. Raises PermanentError with the target's ``name`` and all that is wrong;
    ConfigurationError when some of it stands in the definition's ``settings``.
    """
    refused = [reason for _, reason in target.arguments.refused_settings(settings)]
    if refused:
        raise ConfigurationError(f"{name} does not take that: settings: {'; '.join(refused)}")
    try:
        arguments: TargetArguments = target.arguments.model_validate(values)
    except ValidationError as error:
        raise _refusal(error, name, settings) from None
    return arguments


def arguments_from(target: Target[Any], content: Content, name: str) -> TargetArguments:
    """What publishes the content on the target as it is. Raises PermanentError with the target's ``name``
    when the content lacks what the target needs.
    """
    try:
        arguments: TargetArguments = target.from_content(content)
    except ValidationError as error:
        raise _refusal(error, name) from None
    return arguments


def _refusal(error: ValidationError, name: str, settings: Collection[str] = ()) -> PermanentError:
    details = error.errors(include_url=False, include_input=False)
    wrong = "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details)
    from_settings = any(detail["loc"] and detail["loc"][0] in settings for detail in details)
    kind = ConfigurationError if from_settings else PermanentError
    return kind(f"{name} does not take that: {wrong}")


def recalled(target: Target[Any], record: Mapping[str, Any], at: datetime) -> Piece[Any] | None:
    """The piece that was sent, to be looked for: of what ``Piece.on_record`` made, and the time of that try.

    None when it is not on record, or the target's arguments are others by now.
    """
    try:
        arguments: TargetArguments = target.arguments.model_validate(record["arguments"])
    except (KeyError, ValidationError):
        return None
    return Piece(record["key"], arguments, at=at if record.get("timed") else None, known=known_by(record))


def known_by(record: Mapping[str, Any]) -> Placed | None:
    """As what a try noted that the target is going to have its piece; None when it noted nothing."""
    external_id = record.get("known_as")
    return Placed(str(external_id), str(record.get("known_at") or "")) if external_id else None


@dataclass(frozen=True)
class Place:
    """Where a piece goes. ``to``: the handler; ``target_name``: its name in the publication ledger."""

    to: str
    connection_id: str
    target_name: str


class PublicationStatus(StrEnum):
    """Where a publication stands.

    ``planned`` → ``attempting`` (intent is on record, a call may be under way) → ``accepted`` (the target has
    it) → ``confirmed`` (it was seen in public). ``failed``: refused for good. ``unknown``: nobody could find
    out whether the target has it; an operator settles it. ``withdrawn``: taken back.
    """

    PLANNED = "planned"
    ATTEMPTING = "attempting"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Publication:
    """A row of the publication ledger. ``content`` is kind and id (``post:12``), ``scheduled_for`` aware."""

    id: int
    run_id: int
    content: str
    target: str
    status: PublicationStatus
    content_hash: str
    scheduled_for: datetime
    external_id: str | None = None
    preview_url: str = ""
    public_url: str = ""
    attempts: int = 0
    error: str = ""
    attempted_at: datetime | None = None
    accepted_at: datetime | None = None
    confirmed_at: datetime | None = None

    @property
    def there(self) -> bool:
        """Whether the target is known to have it."""
        return self.status in (PublicationStatus.ACCEPTED, PublicationStatus.CONFIRMED)
