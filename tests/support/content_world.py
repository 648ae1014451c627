"""Articles and posts as the content routes are tested with, and what the tests do again and again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi.concurrency import run_in_threadpool

from tests.support.control_world import Control
from tests.support.mission_world import MissionWorld, make_mission, started, wrote

T = TypeVar("T")
TARGET = "pressroom_static_site/static_site"
EVIL = "<script>alert(1)</script>"


def with_targets(control: Control) -> None:
    """The site brew publishes to a static site."""
    control.world.sql(
        "UPDATE sites SET definition = definition || %s::jsonb WHERE id = %s",
        json.dumps({"publish": {"targets": [{"to": "static_site"}]}}), control.world.site_id,
    )  # fmt: skip


def mission_of(control: Control, **facts: Any) -> MissionWorld:
    fields = {
        "platforms": ["twitter"],
        "pillars": ["One"],
        "constraints": {"require_approval": True},
        **facts,
    }
    return make_mission(control.world.url, control.plane.kept, credits=0, **fields)


async def in_thread(do: Callable[..., T], *args: Any) -> T:
    """Helpers that run a loop of their own cannot do so in the test's."""
    return await run_in_threadpool(do, *args)


async def posts_of(control: Control, **facts: Any) -> tuple[MissionWorld, Any, list[int]]:
    """A mission's posts that wait for review, written by the stage, and their run."""
    world = mission_of(control, **facts)
    run = await in_thread(started, world, 2)
    return world, run, await in_thread(wrote, world, run)


async def seen(control: Control, id: str) -> str:
    found = await control.get(f"/content/{id}")
    return str(found["content_hash"])


async def approve(control: Control, id: str, **more: Any) -> Any:
    body = {"content_hash": await seen(control, id)}
    return (await control("POST", f"/content/{id}/approve", user="ann", json=body, expect=200, **more)).json()
