"""A client of the simulator in this process, whose real time stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from pressroom.domain.social import Platform
from pressroom_dev.simulator.audience import Audience
from pressroom_dev.simulator.in_process import InProcess
from pressroom_dev.simulator.metricool import build_app
from pressroom_dev.simulator.scheduler import SimulatedScheduler

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
QUERY = {"userId": "7", "blogId": "42"}
POSTS = "/v2/scheduler/posts"


def new_client(
    path: Path | None = None,
    *,
    now: datetime = NOW,
    media_root: Path | None = None,
    networks: tuple[Platform, ...] = tuple(Platform),
) -> httpx.AsyncClient:
    """A client of a simulator whose real time stands still."""
    app = build_app(
        SimulatedScheduler(path, wall=lambda: now), Audience(3), media_root=media_root, networks=networks
    )
    return httpx.AsyncClient(
        transport=InProcess(app),
        base_url="http://simulator.test",
        params=QUERY,
        headers={"X-Mc-Auth": "simulator"},
    )


def body(**changes: Any) -> dict[str, Any]:
    return {
        "text": "Hello",
        "providers": [{"network": "linkedin"}],
        "publicationDate": {"dateTime": "2026-11-24T09:00:00", "timezone": "UTC"},
        "linkedinData": {"previewIncluded": True},
        **changes,
    }


async def create(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post(POSTS, json=body(**changes))
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def advance(client: httpx.AsyncClient, **by: float) -> None:
    answer = await client.post("/simulator/clock", json={"advance_seconds": timedelta(**by).total_seconds()})
    assert answer.status_code == 200


async def listed(client: httpx.AsyncClient, **params: str) -> list[dict[str, Any]]:
    span = {"start": "2026-11-24T00:00:00", "end": "2026-11-25T00:00:00"}
    answer = await client.get(POSTS, params={**QUERY, **span, **params})
    found: list[dict[str, Any]] = answer.json()["data"]
    return found
