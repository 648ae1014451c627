"""Every route that changes something says who did it, to what, and what it was before and after.

A walk over all routes: one that is not in the tables below fails until it is said how it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.routing import APIRoute

from pressroom.api.app import build_control_app
from pressroom.testing_flows import FakeTarget
from tests.support.control_things import furnish
from tests.support.control_world import Control
from tests.support.definition_bodies import BRAND, FLOW, SITE

pytestmark = pytest.mark.integration

NOTHING: Any = None
READS = {
    f"POST /{kind}/{{id}}/{verb}"
    for kind, verbs in (
        ("sites", ("check", "preview")), ("missions", ("check", "preview")),
        ("flows", ("check", "preview")), ("brand-contexts", ("preview",)),
    )
    for verb in verbs
} | {"POST /keywords/preview"}  # fmt: skip
"""They ask services, or say what would be, and decide nothing."""

MISSION = {"slug": "spring", "name": "Spring", "objectives": ["be known"], "platforms": ["twitter"]}
ENDED = "UPDATE runs SET status = 'failed', completed_at = now() WHERE status IN ('running', 'paused')"
VERSION_B = (
    "INSERT INTO posts (account_id, mission_id, cycle_id, slot_id, platform, format, headline, body, parts,"
    " confidence, model, status, content_hash, variant) SELECT account_id, mission_id, cycle_id, slot_id,"
    " platform, format, headline, body, parts, confidence, model, 'draft', content_hash, 'B' FROM posts"
)
CHANGE = (
    "INSERT INTO strategy_changes (account_id, mission_id, cycle_id, platform, factor, before, after,"
    " evidence) SELECT account_id, mission_id, cycle_id, platform, factor, '{}', '{}', '{}' FROM insights"
)
SENT = (
    "UPDATE publications SET status = 'accepted', external_id = 'x', accepted_at = now(),"
    " content = 'source:abc'"
)
APPROVED = "UPDATE posts SET status = 'approved', approved_hash = content_hash, approved_by = 'x'"


GRANTED = (
    "INSERT INTO grants (account_id, kind, name, granted_by)"
    " SELECT id, 'connection', 'shared_model', 'x' FROM accounts WHERE slug = 'demo'"
)
LISTENING = (
    "INSERT INTO notice_channels (account_id, name, about, workflows, definition)"
    " SELECT id, 'desk', '{message}',"
    """ '{}', '{"name": "desk", "by": "webhook", "connection": "hook"}' FROM accounts WHERE slug = 'demo'"""
)


@dataclass(frozen=True)
class Recipe:
    """How a route is called so that it changes something. ``thing``: of what kind ``{id}`` is.

    ``body``, ``params``: names in braces stand for things, ``{hash}`` for the version of the thing.
    ``before``: statements that make it possible.
    """

    user: str = "olga"
    thing: str = ""
    body: Any = None
    params: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()


def of(thing: str, *before: str, body: Any = None, **more: Any) -> Recipe:
    return Recipe(thing=thing, body=body, before=before, **more)


SEEN = {"content_hash": "{hash}"}
RUN = {"run_id": "{run}"}
CHANNEL = {"by": "webhook", "connection": "hook"}
GRANT = {"kind": "connection", "name": "shared_model"}
RECIPES: dict[str, Recipe] = {
    "POST /grants": Recipe("root", body=GRANT, params={"account": "demo"}),
    "DELETE /grants": Recipe("root", params={**GRANT, "account": "demo"}, before=(GRANTED,)),
    "POST /accounts": Recipe("root", body={"slug": "third", "name": "Third", "opening_credits": 5}),
    "PUT /notices/{name}": Recipe(params={"account": "demo"}, body=CHANNEL),
    "DELETE /notices/{name}": Recipe(params={"account": "demo"}, before=(LISTENING,)),
    "POST /notices/{name}/test": Recipe(params={"account": "demo"}, before=(LISTENING,)),
    "POST /api-keys": Recipe(body={"name": "ci"}),
    "DELETE /api-keys/{id}": of("key"),
    "POST /links": Recipe(body={"recipient": "Kim of Acme", "role": "approver"}),
    "DELETE /links/{id}": of("link"),
    "PUT /automation/update_config": Recipe(params={"site_id": "{site}"}, body={"is_enabled": True}),
    "POST /automation/run_now": Recipe(params={"site_id": "{site}"}, before=(ENDED,)),
    "POST /automation/pause": Recipe(params=RUN),
    "POST /automation/resume": Recipe(
        params=RUN, before=("UPDATE runs SET status = 'paused', paused_at = now() WHERE dag_run_id = 's'",)
    ),
    "POST /automation/cancel": Recipe(params=RUN),
    "POST /pipeline/jobs": Recipe(body={"flow_id": "{flow}"}),
    "POST /pipeline/jobs/{id}/retry": of("run", ENDED, body={"from_stage": "content"}),
    "POST /pipeline/jobs/{id}/pause": of("run"),
    "POST /pipeline/jobs/{id}/resume": of(
        "run", "UPDATE runs SET status = 'paused', paused_at = now() WHERE dag_run_id = 's'"
    ),
    "POST /pipeline/jobs/{id}/cancel": of("run", body={"now": True}),
    "POST /pipeline/jobs/{id}/rollback": of("job"),
    "POST /sites": Recipe(body=SITE),
    "PATCH /sites/{id}": of("site", body={"name": "Another"}),
    "POST /sites/{id}/disable": of("site"),
    "POST /sites/{id}/enable": of("site", "UPDATE sites SET status = 'disabled'"),
    "POST /missions": Recipe(body=MISSION),
    "PATCH /missions/{id}": of("mission", body={"name": "Another"}),
    "POST /missions/{id}/activate": of("mission", "UPDATE missions SET status = 'paused'"),
    "POST /missions/{id}/pause": of("mission"),
    "POST /missions/{id}/complete": of("mission"),
    "POST /flows": Recipe(body=FLOW),
    "PATCH /flows/{id}": of("flow", body={"name": "Another"}),
    "POST /flows/{id}/disable": of("flow"),
    "POST /flows/{id}/enable": of("flow", "UPDATE flows SET status = 'disabled'"),
    "POST /gates/{id}/answer": of(
        "gate", "UPDATE flow_items SET step = 'look'", body={"decision": "approve", "text": ""}
    ),
    "POST /sites/{id}/retry-failed": of("site", "FAILURE OF site"),
    "POST /missions/{id}/retry-failed": of("mission", "FAILURE OF mission"),
    "POST /flows/{id}/retry-failed": of("flow", "FAILURE OF flow"),
    "POST /brand-contexts": Recipe(body=BRAND),
    "PATCH /brand-contexts/{id}": of("brand", body={"voice": "loud"}),
    "DELETE /brand-contexts/{id}": of("brand"),
    "POST /insights/{id}/revert": of("insight", CHANGE),
    "POST /missions/{id}/changes/{change}/revert": of("mission", CHANGE),
    "POST /keywords": Recipe(body={"site_id": "{site}", "keywords": [{"text": "shears"}]}),
    "POST /keywords/import": Recipe(params={"site_id": "{site}"}, body=b"keyword\nshears\n"),
    "POST /keywords/move": Recipe(
        body={"site_id": "{site}", "ids": ["{keyword}"], "cluster_id": "{cluster}"},
    ),
    "PATCH /keywords/{id}": of("keyword", body={"volume": 7}),
    "POST /keywords/{id}/disable": of("keyword"),
    "POST /keywords/{id}/enable": of("keyword", "UPDATE keywords SET disabled = true"),
    "POST /clusters": Recipe(body={"site_id": "{site}", "name": "Tools"}),
    "PATCH /clusters/{id}": of("cluster", body={"name": "Another"}),
    "POST /clusters/{id}/disable": of("cluster"),
    "POST /clusters/{id}/enable": of("cluster", "UPDATE clusters SET disabled = true"),
    "POST /ideas": Recipe(
        body={"site_id": "{site}", "cluster_id": "{cluster}", "title": "How to cut", "type": "guide"}
    ),
    "PATCH /ideas/{id}": of("idea", body={"title": "Another"}),
    "POST /ideas/{id}/disable": of("idea"),
    "POST /ideas/{id}/enable": of("idea", "UPDATE ideas SET disabled = true"),
    "POST /content/approve": of("article", body=[{"id": "{article}", **SEEN}]),
    "PATCH /content/{id}": of("article", body={"title": "Another", **SEEN}),
    "POST /content/{id}/approve": of("article", body=SEEN),
    "POST /content/{id}/reject": of("article", body={"reason": "dull"}),
    "POST /content/{id}/choose": of("second", "DELETE FROM publications", VERSION_B),
    "POST /content/{id}/regenerate": of("article", "UPDATE tasks SET status = 'completed'"),
    "POST /publications/{id}/settle": of("publication", body={"sent": True, "external_id": "x"}),
    "POST /publications/{id}/unpublish": of("publication", SENT),
    "POST /publications/{id}/retry": of("publication", APPROVED, "UPDATE publications SET status = 'failed'"),
}

ROUTES = [
    f"{method} {route.path}"
    for route in build_control_app(NOTHING).routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods - {"GET"})
]


def test_every_route_that_changes_something_is_walked() -> None:
    assert len(ROUTES) >= 59
    assert set(ROUTES) - READS == set(RECIPES), "say in RECIPES how a new route is called"


def filled(value: Any, things: Mapping[str, str]) -> Any:
    """The value with the ids of things in it; those of sites and clusters are numbers."""
    if isinstance(value, dict):
        return {key: filled(each, things) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, things) for each in value]
    if isinstance(value, str) and value.startswith("{"):
        found = things[value[1:-1]]
        return int(found) if found.isdigit() else found
    return value


async def ready(control: Control, recipe: Recipe) -> dict[str, str]:
    """The things, as the recipe needs them."""
    world, things = control.world, furnish(control.world)
    kinds = {"site": "site", "mission": "mission", "flow": "flow"}
    for statement in recipe.before:
        if statement.startswith("FAILURE OF "):
            kind = kinds[statement.removeprefix("FAILURE OF ")]
            world.sql(
                "INSERT INTO item_failures (account_id, workflow_id, run_id, stage, item, error_class, error)"
                " SELECT account_id, workflow_id, id, 'content', '1', 'PermanentError', 'no' FROM runs"
                " WHERE workflow_id = %s", int(things[kind].rpartition("_")[2]),
            )  # fmt: skip
        else:
            world.sql(statement)
    if recipe.thing == "second":
        [(second,)] = world.sql("SELECT max(id) FROM posts")
        things["second"] = f"cnt_{second}"
    if CHANGE in recipe.before:
        [(change,)] = world.sql("SELECT max(id) FROM strategy_changes")
        things["change"] = str(change)
    if recipe.thing == "article":
        things["hash"] = (await control.get(f"/content/{things['article']}"))["content_hash"]
    return things


@pytest.mark.parametrize("route", [route for route in ROUTES if route not in READS])
async def test_what_a_route_changes_is_on_record(control: Control, route: str) -> None:
    recipe = RECIPES[route]
    things = await ready(control, recipe)
    target = FakeTarget("twitter", "c")
    target.pieces["x"] = NOTHING
    control.plane.targets["c/twitter"] = target
    method, _, path = route.partition(" ")
    sent: dict[str, Any] = {"params": filled(dict(recipe.params), things)}
    if isinstance(recipe.body, bytes):
        sent |= {"content": recipe.body, "headers": {"Content-Type": "text/csv"}}
    elif recipe.body is not None:
        sent["json"] = filled(recipe.body, things)
    path = path.replace("{id}", things.get(recipe.thing, "")).replace("{change}", things.get("change", ""))
    path = path.replace("{name}", "desk")
    answer = await control(method, path, user=recipe.user, **sent)
    assert answer.is_success, answer.text
    lines = control.world.sql("SELECT actor, target, details FROM audit_log ORDER BY id")
    assert lines, f"{route} leaves nothing in the audit log"
    for actor, named, details in lines:
        assert actor == f"user:{recipe.user}"
        assert named
        assert {"before", "after"} <= set(details), details
    assert any(details["before"] != details["after"] for _, _, details in lines), lines


@pytest.mark.parametrize("route", sorted(READS))
async def test_what_only_asks_leaves_no_line(control: Control, route: str) -> None:
    things = furnish(control.world)
    _, kind, *_ = route.split("/")
    things |= {"keywords": "", "brand-contexts": things["brand"]}
    number = things.get(kind, things.get(kind.removesuffix("s"), ""))
    path = route.removeprefix("POST ").replace("{id}", number)
    sent: dict[str, Any] = {}
    if kind == "keywords":
        sent = {
            "content": b"keyword\nshears\n", "params": {"site_id": things["site"]},
            "headers": {"Content-Type": "text/csv"},
        }  # fmt: skip
    elif route.endswith("/preview"):
        sent = {"json": {"name": "Another"}}
    await control("POST", path, expect=200, **sent)
    assert control.audit() == []


async def test_a_key_is_on_record_with_its_number_and_what_it_was_called(control: Control) -> None:
    body = {"name": "olga", "role": "editor"}
    made = (await control("POST", "/api-keys", user="olga", json=body, expect=201)).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    await control("POST", "/sites", user=None, headers=headers, json=SITE, expect=201)
    [(details,)] = control.world.sql("SELECT details FROM audit_log WHERE actor = 'key:1'")
    assert details["key"] == "olga"
