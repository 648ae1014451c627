"""Missions: campaigns, from draft to completed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field

from pressroom.api.kit.access import ACCOUNT, MISSION, Scope, allowed
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import Problem
from pressroom.api.kit.views import Amount
from pressroom.api.resources.definitions import (
    DefinitionPreview,
    DefinitionView,
    Documented,
    MergePatch,
    Resource,
    SeenVersion,
)
from pressroom.definitions.saving import Stored
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.kinds import KINDS
from pressroom.domain.missions import Mission, MissionStatus
from pressroom.store.database import Tx

router = APIRouter(prefix="/missions", tags=["missions"])

NewMission = Annotated[
    dict[str, Any],
    Documented(Mission),
    Body(
        description="as in YAML; account can be left out",
        examples=[
            {
                "slug": "launch", "name": "Launch", "objectives": ["be known among tea drinkers"],
                "platforms": ["twitter"],
            }
        ],
    ),
]  # fmt: skip


class MissionView(DefinitionView):
    """A mission. ``definition``: the whole of it, defaults included.

    ``started_at``: when the first cycle began, or begins. ``completed_at``, ``completed_why``: when and why
    it was over: it takes no runs from then on, whatever its status. ``cycles``: how many were begun.
    """

    id: str
    started_at: datetime | None
    completed_at: datetime | None
    completed_why: str | None
    spent_cents: Amount = Field(description="what providers took so far")
    cycles: int
    definition: Mission


MISSIONS = Resource(KINDS["Mission"], "/missions", public_ids.MISSION, MissionView)


@router.get("")
def list_missions(
    paging: Paged, status: MissionStatus | None = None, scope: Scope = allowed(Role.VIEWER, ACCOUNT)
) -> Page[MissionView]:
    """The account's missions, latest first."""
    return MISSIONS.page(scope, paging, status)


@router.post("", status_code=201)
async def create_mission(
    body: NewMission, request: Request, response: Response, scope: Scope = allowed(Role.EDITOR, ACCOUNT)
) -> MissionView:
    """Create a mission, as a draft unless its status says otherwise. Its slug names its DAG, so it must
    differ from the slugs of all accounts' missions.
    """
    return await MISSIONS.create(scope, request, response, body)


@router.get("/{id}")
def get_mission(scope: Scope = allowed(Role.VIEWER, MISSION)) -> MissionView:
    """A mission."""
    return MISSIONS.get(scope)


@router.patch("/{id}")
async def update_mission(
    patch: MergePatch, seen: SeenVersion = None, scope: Scope = allowed(Role.EDITOR, MISSION)
) -> MissionView:
    """Change a mission. A mission that was over goes on when the change removes the reason."""
    return await MISSIONS.patch(scope, patch, seen)


@router.post("/{id}/preview")
def preview_mission(patch: MergePatch, scope: Scope = allowed(Role.EDITOR, MISSION)) -> DefinitionPreview:
    """What a change would make of a mission, and what is wrong with it. Nothing is saved."""
    return MISSIONS.preview(scope, patch)


@router.post("/{id}/activate")
async def activate_mission(scope: Scope = allowed(Role.EDITOR, MISSION)) -> MissionView:
    """Let a draft, or a paused mission, take runs."""
    return await _turn(scope, "activate", "active", ("draft", "paused"))


@router.post("/{id}/pause")
async def pause_mission(scope: Scope = allowed(Role.EDITOR, MISSION)) -> MissionView:
    """Pause an active mission: it takes no new runs until it is activated again."""
    return await _turn(scope, "pause", "paused", ("active",))


@router.post("/{id}/complete")
async def complete_mission(scope: Scope = allowed(Role.EDITOR, MISSION)) -> MissionView:
    """End an active or paused mission: it takes no new runs."""
    return await _turn(scope, "complete", "completed", ("active", "paused"))


async def _turn(scope: Scope, action: str, status: MissionStatus, allowed_from: Sequence[str]) -> MissionView:
    def may(stored: Stored) -> None:
        if stored.data["status"] not in allowed_from:
            raise _refused(stored, action, allowed_from)

    def completed(tx: Tx, before: Stored) -> None:
        row = before.row  # one that was over already stays over for the same reason
        tx.run(
            "mission_completed", mission=scope.id, at=row["completed_at"] or datetime.now(UTC),
            why=row["completed_why"] or f"completed by {scope.caller.label}",
        )  # fmt: skip

    also = completed if status == "completed" else None
    return await MISSIONS.turn(scope, action, status, may=may, also=also)


def _refused(stored: Stored, action: str, allowed_from: Sequence[str]) -> Problem:
    over = stored.row["completed_why"]
    is_now = f"is {stored.data['status']}" + (f", and over: {over}" if over else "")
    if action == "activate" and (over or stored.data["status"] == "completed"):
        remedy = "PATCH what ended it, such as ends_at, duration_days or constraints.budget_cents, and status"
    else:
        remedy = None
    return Problem(
        409, f"the mission {stored.slug} {is_now}: {action} is for one that is {' or '.join(allowed_from)}",
        remedy=remedy,
    )  # fmt: skip
