"""The stored rows that a mission's report is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pendulum
from pendulum import DateTime, Timezone

from pressroom.domain.errors import PermanentError
from pressroom.domain.missions import Mission
from pressroom.pipelines.mission.learning.changes import Insight, StrategyChange, changes, insights
from pressroom.pipelines.mission.results.kpis import Result
from pressroom.store.database import Tx


@dataclass(frozen=True)
class MissionRow:
    """A mission. ``spent_cents``: what providers charged so far."""

    id: int
    status: str
    definition: Mapping[str, Any]
    started_at: datetime | None
    completed_at: datetime | None
    completed_why: str | None
    last_failure: str | None
    spent_cents: Decimal


@dataclass(frozen=True)
class CycleRow:
    """A cycle with its latest snapshot and optimize's output; each None before it exists."""

    id: int
    number: int
    run_id: int
    starts_at: datetime
    ends_at: datetime
    closes_at: datetime
    context: Mapping[str, Any]
    brand: str | None
    strategy: Mapping[str, Any] | None
    measured_at: datetime | None
    optimized_at: datetime | None
    snapshot: Mapping[str, Any] | None
    optimization: Mapping[str, Any] | None


@dataclass(frozen=True)
class SlotRow:
    """A slot of the calendar. ``error``: why its post could not be written; '' without an error."""

    id: int
    cycle_id: int
    at: datetime
    platform: str
    choices: Mapping[str, str]
    explores: str | None
    topic: str
    angle: str
    status: str
    error: str


@dataclass(frozen=True)
class PostRow:
    """A post. ``approved_as_is``: the approval is for the present version; None: not approved."""

    id: int
    slot_id: int
    variant: str
    platform: str
    format: str
    headline: str
    cta: str
    parts: Sequence[str]
    hashtags: Sequence[str]
    mentions: Sequence[str]
    adaptations: Mapping[str, Any]
    options: Mapping[str, Any]
    media_url: str | None
    media_type: str | None
    media_alt: str
    confidence: Decimal
    model: str
    status: str
    approved_by: str | None
    approved_as_is: bool | None
    review_note: str
    error: str


@dataclass(frozen=True)
class PublicationRow:
    """A post at one target."""

    post: int
    target: str
    status: str
    scheduled_for: datetime
    external_id: str | None
    preview_url: str
    public_url: str
    attempts: int
    error: str
    attempted_at: datetime | None
    accepted_at: datetime | None
    confirmed_at: datetime | None


@dataclass(frozen=True)
class RollbackRow:
    """A run that was rolled back. ``cycle``: the number of its cycle; None when it had no cycle."""

    run: str
    error_message: str | None
    report: Mapping[str, Any]
    at: datetime
    cycle: int | None


@dataclass(frozen=True)
class Facts:
    """Everything about one mission. ``cycles``: the latest first. Slots are by cycle id, posts by slot id,
    publications and results by post id.
    """

    row: MissionRow
    mission: Mission
    cycles: Sequence[CycleRow]
    slots: Mapping[int, Sequence[SlotRow]]
    posts: Mapping[int, Sequence[PostRow]]
    publications: Mapping[int, Sequence[PublicationRow]]
    results: Mapping[int, Result]
    changes: Sequence[StrategyChange]
    insights: Sequence[Insight]
    rollbacks: Sequence[RollbackRow]
    models: Sequence[str]

    @property
    def zone(self) -> Timezone:
        """The mission's time zone."""
        return pendulum.timezone(self.mission.constraints.timezone)

    def local(self, at: datetime) -> DateTime:
        """A moment in the mission's time zone."""
        return pendulum.instance(at).in_timezone(self.zone)


def read(tx: Tx, mission_id: int, *, with_posts: bool = True) -> Facts:
    """Everything about a mission of the transaction's account. Raises PermanentError when it is unknown.

    ``with_posts`` false: without posts, their publications and their results.
    """
    row = tx.maybe("page_mission", MissionRow, mission=mission_id)
    if row is None:
        raise PermanentError(f"there is no mission {mission_id} in this account")
    slots: dict[int, list[SlotRow]] = defaultdict(list)
    for slot in tx.all("page_slots", SlotRow, mission=mission_id):
        slots[slot.cycle_id].append(slot)
    posts: dict[int, list[PostRow]] = defaultdict(list)
    publications: dict[int, list[PublicationRow]] = defaultdict(list)
    results: list[Result] = []
    if with_posts:
        for post in tx.all("page_posts", PostRow, mission=mission_id):
            posts[post.slot_id].append(post)
        for publication in tx.all("page_publications", PublicationRow, mission=mission_id):
            publications[publication.post].append(publication)
        results = tx.all("latest_results", Result, mission=mission_id)
    return Facts(
        row=row,
        mission=Mission.model_validate(row.definition),
        cycles=tx.all("page_cycles", CycleRow, mission=mission_id),
        slots=slots,
        posts=posts,
        publications=publications,
        results={result.post: result for result in results},
        changes=changes(tx, mission_id),
        insights=insights(tx, mission_id),
        rollbacks=tx.all("page_rollbacks", RollbackRow, mission=mission_id),
        models=tx.values("models_of_mission", mission=mission_id),
    )
