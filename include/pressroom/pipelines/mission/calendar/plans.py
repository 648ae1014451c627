"""A mission's cycle as a plan for the calendar."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pressroom.domain.missions import Mission
from pressroom.domain.platforms import rules
from pressroom.domain.social import Platform
from pressroom.pipelines.mission.calendar.planning import Plan, PlatformChoices, levels_of

LEAD = timedelta(minutes=30)
"""The least time from now to the first slot: writing and scheduling come before it."""


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
