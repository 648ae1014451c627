"""A mission's cycle as a plan for the calendar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import pendulum
from pendulum import Timezone

from pressroom.domain.missions import Mission
from pressroom.domain.platforms import rules
from pressroom.domain.social import Platform
from pressroom.domain.strategy import WEEKDAYS

Levels = Mapping[Platform, Mapping[str, Sequence[str]]]
"""platform → factor → the levels to choose from, in order."""

LEAD = timedelta(minutes=30)
"""The least time from now to the first slot: writing and scheduling come before it."""


@dataclass(frozen=True)
class Plan:
    """The constraints of a calendar.

    ``start``, ``end``: the cycle's window, aware, without its end. ``posts_per_day``: over all platforms.
    ``levels``: from ``levels_of``. ``pillar_weights``: pillar → base share; they sum to 1.
    ``exploration_share``: of the slots, 0 to 1. ``earliest``: the earliest time of a slot, aware.
    """

    start: datetime
    end: datetime
    timezone: str
    platforms: Sequence[Platform]
    posts_per_day: int
    levels: Levels
    pillar_weights: Mapping[str, float]
    exploration_share: float
    earliest: datetime
    cadence: Literal["flexible", "daily", "weekdays"] = "flexible"

    @property
    def zone(self) -> Timezone:
        """The time zone of days and times."""
        return pendulum.timezone(self.timezone)


@dataclass(frozen=True)
class PlatformChoices:
    """The levels that a platform's posts choose from. ``times``: local, "HH:MM", unless the mission has
    some.
    """

    times: Sequence[str]
    formats: Sequence[str]
    lengths: Sequence[str] = ("short", "long")
    hashtags: Sequence[str] = ("few", "many")
    visual: Sequence[str] = ("with", "without")


def levels_of(
    mission: Mission, pillars: Sequence[str], usual: Callable[[Platform], PlatformChoices]
) -> Levels:
    """The levels of every factor but ``topic``, for each of the mission's platforms."""
    own = [f"{posting_time:%H:%M}" for posting_time in sorted(set(mission.constraints.posting_times))]
    days = WEEKDAYS[:5] if mission.constraints.cadence == "weekdays" else WEEKDAYS

    def of(platform: Platform) -> Mapping[str, Sequence[str]]:
        choices = usual(platform)
        return {
            "weekday": days,
            "time": tuple(own or choices.times),
            "format": tuple(choices.formats),
            "pillar": tuple(pillars),
            "length": tuple(choices.lengths),
            "hashtags": tuple(choices.hashtags),
            "visual": tuple(choices.visual),
        }

    return {platform: of(platform) for platform in mission.platforms}


def earliest_slot(start: datetime, now: datetime) -> datetime:
    """The earliest time of a slot in a cycle that begins at ``start``. Aware times."""
    return max(start, now + LEAD)


def choices_of(platform: Platform) -> PlatformChoices:
    """The levels that the platform's rules permit."""
    own = rules(platform)
    return PlatformChoices(
        times=own.times,
        formats=own.formats,
        hashtags=("few", "many") if own.many > own.few else ("few",),
        visual=("with",) if own.media_required else ("with", "without"),
    )


def plan_of(
    mission: Mission, start: datetime, end: datetime, pillars: Mapping[str, float], earliest: datetime
) -> Plan:
    """The plan of a cycle. ``pillars``: name → weight; they sum to 1."""
    return Plan(
        start=start,
        end=end,
        timezone=mission.constraints.timezone,
        platforms=mission.platforms,
        posts_per_day=mission.constraints.posts_per_day,
        levels=levels_of(mission, list(pillars), choices_of),
        pillar_weights=dict(pillars),
        exploration_share=mission.learning.exploration_share,
        earliest=earliest,
        cadence=mission.constraints.cadence,
    )
