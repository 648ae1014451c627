"""What several answers share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, PlainSerializer

Amount = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
"""Credits or cents: exact inside, a JSON number outside."""


class LogLineView(BaseModel):
    """A line of a run's activity log. ``data``: counts and ids, by kind."""

    id: int
    at: datetime
    stage: str | None
    kind: str
    level: Literal["info", "warning", "error"]
    message: str
    data: Mapping[str, Any]
