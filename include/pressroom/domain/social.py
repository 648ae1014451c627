"""The ports to social platforms: what is scheduled, what came of it, and what time it is.

Adapters map every foreign object and error to the types here and in ``domain.errors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Platform(StrEnum):
    """Networks that a mission can post to, under the names that people use for them."""

    TWITTER = "twitter"
    LINKEDIN = "linkedin"
    FACEBOOK = "facebook"
    INSTAGRAM = "instagram"
    THREADS = "threads"
    BLUESKY = "bluesky"
    PINTEREST = "pinterest"


@dataclass(frozen=True)
class Media:
    """A picture that a platform can fetch. ``url``: http(s)."""

    url: str
    alt: str = ""


@dataclass(frozen=True)
class Submission:
    """A post as it is handed to a scheduler, in its final form.

    ``parts``: the texts of a thread in order, one for a single post. ``at``: when it shall appear, aware.
    ``timezone``: the IANA zone in which people read ``at``. ``options``: what one platform alone knows, by
    our names: ``title``, ``link``, ``board`` (Pinterest), ``article`` (LinkedIn).
    """

    platform: Platform
    parts: Sequence[str]
    at: datetime
    timezone: str = "UTC"
    media: Sequence[Media] = ()
    options: Mapping[str, str] = field(default_factory=dict)


class Delivery(StrEnum):
    """Where a scheduled post stands at the other side."""

    PENDING = "pending"
    PUBLISHED = "published"
    FAILED = "failed"


@dataclass(frozen=True)
class Receipt:
    """A post that the scheduler has. ``external_id``: its id there; URLs are '' while there is none."""

    external_id: str
    delivery: Delivery = Delivery.PENDING
    preview_url: str = ""
    public_url: str = ""
    detail: str = ""


class Scheduler(Protocol):
    """Schedules posts on platforms.

    ``settle_seconds``: how long after a call without an answer the post may still turn up at the other side,
    so that "it is not there" means nothing before that.
    Every method raises TransientError, ConfigurationError or PermanentError, never a foreign error.
    ``simulated`` is shown wherever its results are.
    """

    settle_seconds: float
    simulated: bool

    async def check(self, platforms: Sequence[Platform]) -> Mapping[Platform, str]:
        """What keeps each platform from being posted to; a platform that is ready is not in it.

        Raises ConfigurationError when the credentials are wrong.
        """
        ...

    async def submit(self, post: Submission) -> Receipt:
        """Schedule. Raises UnknownOutcome when it may or may not have been accepted, PastDate when ``at`` is
        over.
        """
        ...

    async def find(self, post: Submission) -> Receipt | None:
        """The post with this platform, text and time, if the scheduler has it."""
        ...

    async def status(self, start: datetime, end: datetime) -> Mapping[str, Receipt]:
        """Every post scheduled between the two times, by external id."""
        ...

    async def withdraw(self, external_id: str) -> bool:
        """Delete a post that is not out yet. False when it is out already; True too when it is not there."""
        ...


@dataclass(frozen=True)
class Measured:
    """What one post has reached so far. Counts; ``published_at`` aware."""

    external_id: str
    platform: Platform
    published_at: datetime
    impressions: int = 0
    engagements: int = 0
    link_clicks: int = 0
    new_followers: int = 0


class Analytics(Protocol):
    """Reads what became of published posts. Errors as in ``Scheduler``."""

    async def posts(self, platform: Platform, start: datetime, end: datetime) -> Sequence[Measured]:
        """Every post of the platform published between the two times."""
        ...


class Clock(Protocol):
    """What time it is. With the simulator, its time, which can be advanced."""

    async def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...
