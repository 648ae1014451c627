"""A publication: one piece of content on one target, with a life of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pressroom.domain.social import Media, Platform, Submission


class PublicationStatus(StrEnum):
    """Where a publication stands.

    ``planned`` → ``attempting`` (intent is on record, a call may be under way) → ``accepted`` (the target has
    it) → ``confirmed`` (it was seen in public). ``failed``: refused for good. ``unknown``: nobody could find
    out whether the target has it; an operator settles it. ``withdrawn``: taken back before it was out.
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


class Publisher(Protocol):
    """Publishes exactly once, however often it is asked."""

    async def publish(self, content: str, content_hash: str, post: Submission) -> Publication:
        """Bring the content to its target, or find that it is there already.

        Raises PastDate when the time is over and the target does not have it, TimeTaken when something else
        of the workflow appears there at that time, TransientError when another try may help, PermanentError
        when the target refuses it.
        """
        ...


def as_sent(post: Submission) -> dict[str, Any]:
    """A submission as JSON, without its time: what the ledger keeps to look for it later."""
    return {
        "platform": post.platform.value,
        "parts": list(post.parts),
        "timezone": post.timezone,
        "media": [{"url": one.url, "alt": one.alt} for one in post.media],
        "options": dict(post.options),
    }


def from_sent(sent: Mapping[str, Any], at: datetime) -> Submission:
    """The submission behind what ``as_sent`` made, at a time."""
    return Submission(
        platform=Platform(sent["platform"]),
        parts=tuple(sent["parts"]),
        at=at,
        timezone=sent["timezone"],
        media=tuple(Media(**one) for one in sent["media"]),
        options=sent["options"],
    )
