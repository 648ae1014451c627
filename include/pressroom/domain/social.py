"""Social platforms: their names, the port to what became of posts on them, and what time it is.

Adapters map every foreign object and error to the types here and in ``domain.errors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pressroom.domain.publishing import Placed


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
class Measured:
    """What one post has reached so far. Counts; ``published_at`` aware."""

    external_id: str
    platform: Platform
    published_at: datetime
    impressions: int = 0
    engagements: int = 0
    link_clicks: int = 0
    new_followers: int = 0


class Metrics(Protocol):
    """Reads what became of posts.

    Every method raises TransientError, ConfigurationError or PermanentError, never a foreign error.
    ``simulated`` is shown wherever its results are.
    """

    simulated: bool

    async def status(self, start: datetime, end: datetime) -> Mapping[str, Placed]:
        """Every post scheduled between the two times, by external id."""
        ...

    async def posts(self, platform: Platform, start: datetime, end: datetime) -> Sequence[Measured]:
        """Every post of the platform published between the two times."""
        ...


class Clock(Protocol):
    """What time it is. With the simulator, its time, which can be advanced."""

    async def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...
