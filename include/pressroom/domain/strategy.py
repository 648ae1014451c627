"""The vocabulary of planning and learning: what a slot decides, what was observed, what is preferred.

A slot decides one level for each factor. What optimize learns are weights on those levels; what strategy
plans with are the same weights. Both sides, the benchmark and the simulator's tests share these types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from pressroom.domain.social import Platform

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FACTORS = ("weekday", "time", "format", "pillar", "topic", "length", "hashtags", "visual")
"""Everything a slot decides, in the order in which it is decided. ``time``: local, "HH:MM"; ``length``: short
or long; ``hashtags``: few or many; ``visual``: with or without."""

TIMING = frozenset({"weekday", "time"})
"""Factors whose findings are of type timing; the others are of type content."""

Weights = Mapping[Platform, Mapping[str, Mapping[str, float]]]
"""platform → factor → level → relative weight. 1 means no preference, and so does a level that is missing."""


@dataclass(frozen=True)
class Slot:
    """A place in the editorial calendar. ``at`` is aware, in UTC; ``day`` and ``time`` are local.

    ``choices``: factor → level, every factor but ``topic``. ``explores``: the factor that was drawn without
    regard to what was learned, None when none was.
    """

    at: datetime
    day: date
    time: time
    platform: Platform
    choices: Mapping[str, str]
    explores: str | None = None


@dataclass(frozen=True)
class Observation:
    """A post that is old enough to count: what it was, and what it reached (counts)."""

    post: int
    platform: Platform
    choices: Mapping[str, str]
    impressions: int
    engagements: int
    link_clicks: int = 0
    new_followers: int = 0


@dataclass(frozen=True)
class Finding:
    """One level of a factor against the other levels, on one platform, all else being equal.

    ``ratio``: how many times as much the level reaches; ``low`` and ``high``: its 95 % interval.
    ``posts``: with the level; ``others``: without. ``p_value``: corrected for the number of comparisons.
    """

    platform: Platform
    factor: str
    level: str
    ratio: float
    low: float
    high: float
    posts: int
    others: int
    p_value: float

    @property
    def confidence(self) -> float:
        """1 minus the corrected p-value."""
        return 1.0 - self.p_value


@dataclass(frozen=True)
class Learned:
    """What a set of observations teaches.

    ``weights``: the new ones; those of platforms with too little data stay as they were. ``findings``: those
    that passed the test. ``compared``: how many comparisons were made. ``method``: the test, in words.
    ``too_little``: platform → why nothing was learned there. ``improvement``: platform → expected ratio of
    the metric under the new weights to that under the old ones.
    """

    weights: Weights
    findings: Sequence[Finding] = ()
    compared: int = 0
    method: str = ""
    too_little: Mapping[Platform, str] = field(default_factory=dict)
    improvement: Mapping[Platform, float] = field(default_factory=dict)
