"""One of everything that the control API speaks of, put into an account by plain SQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from pressroom.domain.definitions import BrandContext, dump
from pressroom.domain.flows import Flow
from pressroom.domain.missions import Mission
from pressroom.domain.social import Platform
from tests.support.world import World

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def add(world: World, table: str, **columns: Any) -> int:
    """A row of the account. Returns its id."""
    columns = {"account_id": world.account_id, **columns}
    values = [json.dumps(value) if isinstance(value, dict) else value for value in columns.values()]
    places = ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) RETURNING id"  # noqa: S608  # names
    [(found,)] = world.sql(statement, *values)
    return int(found)


def furnish(world: World) -> dict[str, str]:
    """One of everything. Returns kind → id, as callers name it; ``run``: a live job of the site."""
    brand = BrandContext(account=world.account.slug, slug="voice", name="Voice")
    brand_id = add(world, "brand_contexts", slug="voice", definition=dump(brand))
    key = add(world, "api_keys", name="K", role="viewer", prefix="prk_", key_hash="h", created_by="x")
    site_run = add(
        world, "runs", workflow_id=world.site_id, dag_id=world.site.dag_id, dag_run_id="s", trigger="manual",
        owner="x", lease_until=NOW + DAY,
    )  # fmt: skip
    link = add(
        world, "links", opens="queue", role="viewer", recipient="R", secret_hash="h", sent_by="x",
        expires_at=NOW + DAY,
    )  # fmt: skip
    things = {
        "site": str(world.site_id),
        "run": f"job_{site_run}",
        "brand": f"brc_{brand_id}",
        "key": f"key_{key}",
        "link": f"lnk_{link}",
    }
    return things | _site_items(world) | _flow(world) | _mission(world)


def _site_items(world: World) -> dict[str, str]:
    own = {"site_id": world.site_id}
    cluster = add(world, "clusters", name="C", normalized="c", **own)
    keyword = add(world, "keywords", text="K", normalized="k", **own)
    idea = add(world, "ideas", cluster_id=cluster, title="I", normalized="i", type="guide", **own)
    spare = add(world, "ideas", cluster_id=cluster, title="S", normalized="s", type="guide", **own)
    task = add(world, "tasks", idea_id=spare, **own)
    article = add(
        world, "contents", task_id=task, title="A", slug="a", meta_description="", html="<p>Text.</p>",
        excerpt="",
        word_count=1, status="review", model="m", **own,
    )  # fmt: skip
    return {"cluster": str(cluster), "keyword": str(keyword), "idea": str(idea), "article": f"art_{article}"}


def _workflow(world: World, definition: Mission | Flow) -> int:
    kind = definition.kind.lower()
    number = add(world, "workflows", kind=kind, slug=definition.slug)
    facts = {"slug": definition.slug, "status": "active", "definition": dump(definition)}
    return add(world, f"{kind}s", id=number, **facts)


def _flow(world: World) -> dict[str, str]:
    steps = [{"name": "tell", "type": "ping", "connection": "hook"}]
    facts = {"account": world.account.slug, "slug": f"{world.site.slug}-news", "name": "News", "steps": steps}
    flow = _workflow(world, Flow.model_validate(facts))
    run = add(
        world, "runs", workflow_id=flow, dag_id="flow__news", dag_run_id="f", trigger="manual", owner="x",
        lease_until=NOW + DAY, exclusive=False,
    )  # fmt: skip
    item = add(
        world,
        "flow_items",
        flow_id=flow,
        run_id=run,
        feed="rss a.test/feed",
        source_id="1",
        position=0,
        source={"title": "T"},
        step=0,
    )
    gate = add(
        world, "gates", item_id=item, step="look", by="webhook", token_hash="h", task={}, due_at=NOW + DAY,
        on_timeout="reject",
    )  # fmt: skip
    return {"flow": f"flw_{flow}", "item": f"itm_{item}", "gate": f"gat_{gate}"}


def _mission(world: World) -> dict[str, str]:
    mission = Mission(
        account=world.account.slug, slug=f"{world.site.slug}-launch", name="Launch", status="active",
        objectives=["be known"], platforms=[Platform.TWITTER],
    )  # fmt: skip
    number = _workflow(world, mission)
    run = add(
        world, "runs", workflow_id=number, dag_id=mission.dag_id, dag_run_id="m", trigger="manual", owner="x",
        lease_until=NOW, status="completed", completed_at=NOW,
    )  # fmt: skip
    own: dict[str, Any] = {"mission_id": number}
    cycle = add(
        world, "cycles", run_id=run, number=1, starts_at=NOW, ends_at=NOW + 7 * DAY, closes_at=NOW + 8 * DAY,
        context={}, **own,
    )  # fmt: skip
    own["cycle_id"] = cycle
    slot = add(
        world, "slots", at=NOW + DAY, platform="twitter", choices={}, topic="T", status="written", **own
    )
    post = add(
        world, "posts", slot_id=slot, platform="twitter", format="single", headline="H", body="B",
        parts=["P"],
        confidence=0.5, model="m", status="pending_review", content_hash="h", **own,
    )  # fmt: skip
    publication = add(
        world, "publications", workflow_id=number, run_id=run, content=f"post:{post}", target="c/twitter",
        status="unknown", content_hash="h", scheduled_for=NOW,
    )  # fmt: skip
    insight = add(
        world, "insights", type="timing", platform="twitter", factor="time", level="18:00", finding="F",
        confidence=0.9, action="shift_schedule", evidence={}, **own,
    )  # fmt: skip
    return {
        "mission": f"msn_{number}", "job": f"job_{run}", "post": f"cnt_{post}",
        "publication": f"pub_{publication}", "insight": f"ins_{insight}",
    }  # fmt: skip
