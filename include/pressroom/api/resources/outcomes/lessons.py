"""What a mission has learned, cycle by cycle: findings, the changes they led to, and the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from pressroom.api.kit.access import MISSION, Scope, allowed
from pressroom.api.kit.problems import not_found
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST, public_id
from pressroom.pipelines.mission.learning import changes as parameters
from pressroom.pipelines.mission.learning.changes import Insight
from pressroom.store.database import Tx
from pressroom.ui.mission.changes import CycleLesson, Level, Shift, lessons
from pressroom.ui.mission.facts import read

router = APIRouter(tags=["missions"])


class LevelView(BaseModel):
    """A choice's weight before and after the change, and its share (0 to 1) of the slots of the cycle and of
    the next one; null: unknown.
    """

    level: str
    weight_before: float | None
    weight_after: float | None
    share: float | None
    next_share: float | None


class LessonFinding(BaseModel):
    """A finding that passed its test. ``confidence``: 1 - corrected p-value."""

    id: str
    level: str
    finding: str
    confidence: float
    action: str
    evidence: dict[str, Any]


class ShiftView(BaseModel):
    """A change of the weights of one factor on one platform, with the findings behind it.

    ``state``: in force, reverted, or replaced by a later change.
    """

    change: int = Field(description="its number, for the call that reverts it")
    platform: str
    factor: str
    state: str
    reverted_at: datetime | None
    reverted_by: str | None
    levels: list[LevelView]
    findings: list[LessonFinding]
    evidence: dict[str, Any]


class LessonView(BaseModel):
    """What one cycle taught. ``waiting``: why there is nothing yet. ``too_little``: platform → why nothing
    was learned there. ``others``: findings that changed no weight.
    """

    cycle: int
    job_id: str
    waiting: str
    next_cycle: int | None
    changes: list[ShiftView]
    others: list[LessonFinding]
    too_little: dict[str, str]
    advice: list[str]


class LessonsView(BaseModel):
    """What a mission has learned, the latest cycle first. ``cycles``: how many it has."""

    mission_id: str
    cycles: int
    lessons: list[LessonView]


@router.get("/missions/{id}/lessons")
def get_lessons(
    limit: Annotated[int, Query(ge=1, le=100, description="how many cycles, the latest first")] = 12,
    scope: Scope = allowed(Role.VIEWER, MISSION),
) -> LessonsView:
    """What a mission has learned, with the evidence, and what it changed."""
    with scope.transaction() as tx:
        learned = lessons_of(tx, scope)
    return LessonsView(
        mission_id=public_id(public_ids.MISSION, scope.id), cycles=len(learned),
        lessons=[_lesson(each) for each in learned[:limit]],
    )  # fmt: skip


@router.post("/missions/{id}/changes/{change}/revert")
def revert_change(
    change: Annotated[int, Path(ge=1, le=LARGEST, description="the number of a change of this mission")],
    scope: Scope = allowed(Role.APPROVER, MISSION),
) -> ShiftView:
    """Revert a change for good: the next cycle is planned without it. Refused when it is reverted already."""
    with scope.changing("insight.revert", f"change:{change}", mission=scope.id) as tx:
        if all(each.id != change for each in parameters.changes(tx, scope.id)):
            raise not_found("change of this mission")
        parameters.revert(tx, scope.id, change, scope.caller.label)
        return next(
            _shift(shift)
            for each in lessons_of(tx, scope)
            for shift in each.shifts
            if shift.change.id == change
        )


def lessons_of(tx: Tx, scope: Scope) -> list[CycleLesson]:
    """What the mission that the request is about has learned, the latest cycle first."""
    return lessons(read(tx, scope.id, with_posts=False))


def _lesson(lesson: CycleLesson) -> LessonView:
    return LessonView(
        cycle=lesson.cycle.number, job_id=public_id(public_ids.JOB, lesson.cycle.run_id),
        waiting=lesson.waiting,
        next_cycle=lesson.next.number if lesson.next else None,
        changes=[_shift(shift) for shift in lesson.shifts], others=[_finding(each) for each in lesson.others],
        too_little=dict(lesson.too_little), advice=list(lesson.advice),
    )  # fmt: skip


def _shift(shift: Shift) -> ShiftView:
    change = shift.change
    return ShiftView(
        change=change.id, platform=change.platform, factor=change.factor, state=shift.state,
        reverted_at=change.reverted_at, reverted_by=change.reverted_by,
        levels=[_level(each) for each in shift.levels], findings=[_finding(each) for each in shift.insights],
        evidence=dict(change.evidence),
    )  # fmt: skip


def _level(level: Level) -> LevelView:
    return LevelView(
        level=level.name, weight_before=level.before, weight_after=level.after, share=level.share,
        next_share=level.next_share,
    )  # fmt: skip


def _finding(insight: Insight) -> LessonFinding:
    return LessonFinding(
        id=public_id(public_ids.INSIGHT, insight.id), level=insight.level, finding=insight.finding,
        confidence=insight.confidence, action=insight.action, evidence=dict(insight.evidence),
    )  # fmt: skip
