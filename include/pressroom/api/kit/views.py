"""Fields and views that several answers share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, PlainSerializer

from pressroom.domain.public_ids import FLOW, MISSION, public_id
from pressroom.engine.runs.control import Level

LevelQuery = Annotated[Level, Query(description="warning: warnings and errors; error: errors only")]

Amount = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
"""Credits or cents: exact inside, a JSON number outside."""


def workflow_ids(kind: str, number: int) -> dict[str, Any]:
    """The fields ``site_id``, ``mission_id`` and ``flow_id`` of what belongs to one workflow."""
    return {
        "site_id": number if kind == "site" else None,
        "mission_id": public_id(MISSION, number) if kind == "mission" else None,
        "flow_id": public_id(FLOW, number) if kind == "flow" else None,
    }


class LogLineView(BaseModel):
    """A line of a run's activity log. ``data``: counts and ids, by kind."""

    id: int
    at: datetime
    stage: str | None
    kind: str
    level: Level
    message: str
    data: Mapping[str, Any]
