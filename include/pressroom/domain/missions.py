"""Missions: campaigns with objectives, platforms, constraints and KPIs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal

import pendulum
from pendulum import DateTime
from pydantic import Field, StringConstraints, model_validator

from pressroom.domain.definitions import (
    Cents,
    Definition,
    ImageSettings,
    LocalTime,
    Pace,
    Prompts,
    Slug,
    SpendingCaps,
    TextSettings,
    Timezone,
    WorkflowDefinition,
)
from pressroom.domain.publishing import Place
from pressroom.domain.schedules import in_utc
from pressroom.domain.social import Platform

MissionStatus = Literal["draft", "active", "paused", "completed"]
Metric = Literal["impressions", "engagements", "engagement_rate", "link_clicks", "new_followers"]
HALF_A_DAY = dt.timedelta(hours=12)
FIRST_YEAR, LAST_YEAR = 2000, 2199
"""What a mission's times may be: arithmetic with time zones fails at the ends of what a date can hold."""
LONGEST_DAYS = 1830
"""From a mission's start to its end. Each of its cycles is an event of its DAG's schedule."""
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class Constraints(Definition):
    """Rules for the posts."""

    tone: str = Field(default="", max_length=500)
    cadence: Literal["flexible", "daily", "weekdays"] = Field(
        default="flexible",
        description="flexible: what was learned may move posts between days, at most twice posts_per_day"
        " on one; daily: posts_per_day every day; weekdays: Monday to Friday only",
    )
    posts_per_day: int = Field(default=2, ge=1, le=50, description="on average, over all platforms")
    posting_times: list[LocalTime] = Field(
        default_factory=list,
        max_length=24,
        description="local times to choose from; empty: each platform's usual ones",
    )
    timezone: Timezone = "UTC"
    require_approval: bool = False
    budget_cents: Cents | None = Field(
        default=None, description="what providers may cost over the whole mission"
    )
    excluded_topics: list[Line] = Field(default_factory=list, max_length=100)


class Kpi(Definition):
    """A goal. Totals count over the whole mission, a rate is a percentage."""

    metric: Metric
    target: Decimal = Field(gt=0)
    platform: Platform | Literal["all"] = "all"


class Source(Definition):
    """Material that posts may use."""

    title: Line
    url: str = Field(default="", max_length=500, pattern=r"^(https?://\S+)?$")
    text: str = Field(default="", max_length=20_000)


class Measuring(Definition):
    """How results are read."""

    poll_minutes: int = Field(default=60, ge=1, le=10_080)
    mature_hours: int = Field(
        default=24, ge=1, le=720, description="a post counts for learning from this age on"
    )


class Learning(Definition):
    """How results change the next cycles."""

    enabled: bool = True
    exploration_share: float = Field(
        default=0.1,
        ge=0.02,
        le=1,
        description="share of slots that try something without regard to what was learned",
    )
    minimum_posts: int = Field(
        default=20, ge=8, description="mature posts a platform needs before anything changes"
    )


class Visuals(ImageSettings):
    """Pictures for posts."""

    per_article: Literal[1] = 1
    width: int = Field(default=1200, ge=256, le=2048)
    height: int = Field(default=675, ge=256, le=2048)


class Mission(WorkflowDefinition):
    """A campaign. Its cycles divide the time from ``starts_at`` to ``ends_at``."""

    kind: Literal["Mission"] = "Mission"
    description: str = Field(default="", max_length=2000)
    language: str = Field(default="en", max_length=20)
    status: MissionStatus = "draft"
    objectives: list[Line] = Field(min_length=1, max_length=20)
    platforms: list[Platform] = Field(min_length=1)
    constraints: Constraints = Constraints()
    kpis: list[Kpi] = Field(default_factory=list, max_length=20)
    brand: Slug | None = Field(default=None, description="slug of a BrandContext of the account")
    pillars: list[Line] = Field(
        default_factory=list, max_length=8, description="empty: the model proposes them"
    )
    sources: list[Source] = Field(default_factory=list, max_length=50)
    starts_at: dt.datetime | None = Field(
        default=None, description="None: with the first run, and no schedule"
    )
    ends_at: dt.datetime | None = Field(default=None, description="None: duration_days after the start")
    duration_days: int = Field(default=28, ge=1, le=730)
    cycle_days: int = Field(default=7, ge=1, le=730, description="days of calendar that one run plans")
    ab_variants: bool = Field(
        default=False, description="write a second version of each post, to choose from"
    )
    rollback: bool = Field(default=False, description="undo the earlier stages when one fails")
    connection: str = Field(
        default="pressroom_metricool", description="the Airflow connection that schedules"
    )
    measuring: Measuring = Measuring()
    learning: Learning = Learning()
    text: TextSettings = TextSettings()
    images: Visuals = Visuals()
    work: Pace = Pace()
    batch_size: int = Field(default=50, ge=1, le=500, description="posts that one mapped task works through")
    caps: SpendingCaps = SpendingCaps()
    prompts: Prompts = Prompts()

    @model_validator(mode="after")
    def _is_consistent(self) -> Mission:
        if len(set(self.platforms)) < len(self.platforms):
            raise ValueError("platforms: each can be named once")
        for name in ("starts_at", "ends_at"):
            at: dt.datetime | None = getattr(self, name)
            if at is not None and at.tzinfo is None:
                raise ValueError(f"{name}: needs an offset, such as 2026-12-01T09:00:00+01:00")
            if at is not None and not FIRST_YEAR <= at.year <= LAST_YEAR:
                raise ValueError(f"{name}: the year must be from {FIRST_YEAR} to {LAST_YEAR}, not {at.year}")
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValueError("ends_at: must come after starts_at")
        if self.starts_at and self.ends_at and (self.ends_at - self.starts_at).days > LONGEST_DAYS:
            raise ValueError(f"ends_at: must come at most {LONGEST_DAYS} days after starts_at")
        if self.ends_at and not self.starts_at:
            raise ValueError("ends_at: needs a starts_at; without one, use duration_days")
        return self

    def place(self, platform: str) -> Place:
        """Where its posts on a platform go."""
        return Place("metricool", self.connection, f"{self.connection}/{platform}")

    @property
    def pace(self) -> Pace:
        """How fast its stages work."""
        return self.work

    @property
    def total_cents(self) -> Decimal | None:
        """The cap on what providers may cost over the whole mission, in cents."""
        return self.constraints.budget_cents

    @property
    def schedule_text(self) -> str | None:
        if self.status != "active" or self.starts_at is None:
            return None
        return (
            f"every {self.cycle_days} days {self.constraints.timezone}"
            f" from {self.starts_at.isoformat()} to {self.ends(self.starts_at).isoformat()}"
        )

    def ends(self, began: dt.datetime) -> dt.datetime:
        """The mission's end, in UTC. ``began``: when it began, if it has no ``starts_at``."""
        return in_utc(self.ends_at or self._local(self.starts_at or began).add(days=self.duration_days))

    def cycle_end(self, start: dt.datetime, over: dt.datetime) -> dt.datetime:
        """The end, in UTC, of a cycle that begins at ``start``: a midnight, or the mission's end, ``over``.

        With ``starts_at``, cycles end every ``cycle_days`` days from its date on, whenever they begin: a late
        one is shorter, and the next one loses no day. Less than half a day is no cycle: it belongs to the one
        before the mission's end, and to the one after any other. Without ``starts_at``, each cycle has all
        its days.
        """
        start = pendulum.instance(start)
        first = self._local(self.starts_at or start).start_of("day")
        periods = 1 + max(0, (self._local(start).date() - first.date()).in_days()) // self.cycle_days
        end = first.add(days=periods * self.cycle_days)
        if self.starts_at is not None:
            if end - start < HALF_A_DAY:
                end = end.add(days=self.cycle_days)
            if pendulum.instance(over) - end < HALF_A_DAY:
                return in_utc(over)
        return in_utc(min(end, over))

    def cycle_starts(self) -> list[dt.datetime]:
        """When its schedule starts a run, in UTC: at ``starts_at``, then where cycles end; else never."""
        if self.starts_at is None:
            return []
        starts, over = [], self.ends(self.starts_at)
        start = self.starts_at
        while start < over:
            starts.append(in_utc(start))
            start = self.cycle_end(start, over)
        return starts

    def _local(self, moment: dt.datetime) -> DateTime:
        return pendulum.instance(moment).in_timezone(self.constraints.timezone)
