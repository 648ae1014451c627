"""The small definitions that are walked over."""

from __future__ import annotations

from typing import Any

from tests.acceptance.walk.table import FLOW, MISSION, Route

PATIENT = "pressroom_patient"
"""The connection to the scripted model whose calls may take long: they are held on purpose."""
RECEIVER = "pressroom_receiver"
"""The webhook that flows publish to."""

WRITE = {"name": "write", "type": "ai", "prompt": "Retell this. Title: {{ item.title | data }}"}
SEND = {"name": "send", "type": "publish", "to": "webhook", "connection": RECEIVER, "mode": "auto"}


def connection_of(slug: str) -> str:
    """The connection to a mission's own simulator: its clock is moved for nobody else."""
    return f"pressroom_{slug}"


def account(slug: str) -> dict[str, Any]:
    return {
        "kind": "Account", "slug": slug, "name": slug, "opening_credits": 10_000,
        "grants": {"everything": True},
    }  # fmt: skip


def definition(route: Route) -> dict[str, Any]:
    """The workflow of a route."""
    head = {"account": route.slug, "slug": route.slug, "name": f"The {route.slug} {route.kind}"}
    text = {"text": {"connection": PATIENT}}
    images = {"images": {"width": 256, "height": 256}}
    match route.kind:
        case "flow":
            gate = {"name": "look", "type": "gate", "by": route.shape, "timeout_hours": 24}
            steps = [WRITE, *([gate] if route.shape else []), SEND]
            return {"kind": "Flow", **head, **text, "steps": steps}
        case "mission":
            return {
                "kind": "Mission", **head, **text, **images, "status": "active",
                "objectives": [f"{route.slug} is known for good coffee"], "platforms": ["linkedin"],
                "pillars": ["Brewing"], "cycle_days": 2, "duration_days": 100,
                "connection": connection_of(route.slug), "measuring": {"poll_minutes": 2880},
                "constraints": {"posts_per_day": 1, "require_approval": True},
                "rollback": route.shape == "rollback",
            }  # fmt: skip
        case _:
            # Once a year: it is there for a backfill, and not to start a run.
            scheduled = {"enabled": True, "cron": "0 0 29 2 *"} if route.shape == "scheduled" else {}
            return {
                "kind": "Site", **head, **text, "images": {**images["images"], "per_article": 1},
                "automation": {"concurrency": 4, "batch_sizes": {"content": 4}, **scheduled},
                "article": {"ideas_per_cluster": 1, "target_words": 200},
            }  # fmt: skip


def edited(route: Route) -> dict[str, Any]:
    """The same with a step less before the one that items are at, or with another name."""
    whole = definition(route)
    if route.kind == FLOW:
        return {
            **whole,
            "steps": whole["steps"][1:]
            if route.shape
            else whole["steps"]
            + [{"name": "tell", "type": "ping", "connection": RECEIVER, "message": "It is out."}],
        }
    return {**whole, "name": f"{whole['name']}, renamed"}


def disabled(route: Route) -> dict[str, Any]:
    """The same, switched off."""
    return {**definition(route), "status": "paused" if route.kind == MISSION else "disabled"}
