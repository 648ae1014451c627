"""The types of planning and learning: slots, observations, weights, findings.

A slot has one level of each factor. Optimize learns weights on the levels, and strategy plans with them. The
benchmark and the simulator's tests share these types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from pressroom.domain.social import Platform

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FACTORS = ("weekday", "time", "format", "pillar", "topic", "length", "hashtags", "visual")
"""Everything that a slot decides, in order. ``time``: local, "HH:MM"; ``length``: short or long;
``hashtags``: few or many; ``visual``: with or without."""

TIMING = frozenset({"weekday", "time"})
"""Factors whose findings are of type timing; the others are of type content."""

Weights = Mapping[Platform, Mapping[str, Mapping[str, float]]]
"""platform → factor → level → relative weight. 1 means no preference; a missing level has weight 1."""


@dataclass(frozen=True)
class Slot:
    """A slot of the editorial calendar. ``at`` is aware, in UTC; ``day`` and ``time`` are local.

    ``choices``: factor → level, for every factor but ``topic``. ``explores``: the factor whose level was
    drawn without weights, or None.
    """

    at: datetime
    day: date
    time: time
    platform: Platform
    choices: Mapping[str, str]
    explores: str | None = None


@dataclass(frozen=True)
class Observation:
    """A post that is old enough to count: its levels and its metrics."""

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
    """What was learned from a set of observations.

    ``weights``: the new weights; platforms with too little data keep the old ones. ``findings``: those that
    passed the test. ``compared``: the number of comparisons. ``method``: the test, in words. ``too_little``:
    platform → why nothing was learned there. ``improvement``: platform → expected ratio of the metric under
    the new weights to that under the old ones.
    """

    weights: Weights
    findings: Sequence[Finding] = ()
    compared: int = 0
    method: str = ""
    too_little: Mapping[Platform, str] = field(default_factory=dict)
    improvement: Mapping[Platform, float] = field(default_factory=dict)
