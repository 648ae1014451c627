"""Every route has a rule, and keeps it: nobody without a login, no other tenant, no lower role."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from pressroom.api import app
from pressroom.api.app import build_control_app
from pressroom.api.kit.access import Rule, rule_of
from pressroom.api.resources import ROUTERS
from pressroom.domain.definitions import Role
from tests.support.control_things import furnish
from tests.support.control_world import MEMBERS, Control, StandInPlane

NEVER: Any = None
APP = build_control_app(StandInPlane(NEVER))
ROUTES = [
    (method, route) for route in APP.routes if isinstance(route, APIRoute) for method in sorted(route.methods)
]
NAMES = [f"{method} {route.path}" for method, route in ROUTES]
BY_ROLE = {role: name for name, role in MEMBERS.items()}


def rule(route: APIRoute) -> Rule:
    found = rule_of(route)
    assert found is not None, f"{route.path} has no rule"
    return found


def calls(route: APIRoute, things: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """(path, other arguments) that speak of what is there."""
    kind = rule(route).kind
    if route.path.startswith("/automation/"):
        name = "run_id" if kind == "job" else "site_id"
        return [(route.path, {"params": {name: things["run" if kind == "job" else "site"]}})]
    if route.path == "/pipeline/jobs" and kind == "mission":
        return [(route.path, {"json": {name: things[of]}}) for name, of in
                (("mission_id", "mission"), ("flow_id", "flow"), ("site_id", "site"))]  # fmt: skip
    if route.path == "/accounts" and "POST" in route.methods:
        return [(route.path, {"json": {"slug": "third", "name": "Third"}})]
    kinds = ("article", "post") if kind == "article" else (kind,)
    found: list[tuple[str, dict[str, Any]]] = []
    for one in kinds:
        path = route.path.replace("{id}", things.get(one, "")).replace("{position}", "0")
        path = path.replace("{name}", "swagger-ui.css").replace("{packet}", "1")
        path = path.replace("{change}", "1")
        assert "{" not in path, f"say here what is meant by {path}"
        found.append((path, {}))
    return found


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=NAMES)
async def test_a_route_is_for_those_whom_its_rule_names(
    control: Control, method: str, route: APIRoute
) -> None:
    things = furnish(control.world)
    control.world.sql("INSERT INTO accounts (slug, name, definition) VALUES ('none', 'N', '{}')")
    control.world.sql("INSERT INTO members SELECT id, 'eve', 'owner' FROM accounts WHERE slug = 'none'")
    asked = rule(route)
    for path, more in calls(route, things):
        await control(method, path, user=None, **more, expect=401)
        if asked.role is None:
            # What is written without a role is for administrators of Airflow.
            await control(method, path, user="nobody", **more, expect=200 if method == "GET" else 403)
            continue
        await strangers(control, method, path, asked, more)
        lower = [role for role in Role if list(Role).index(role) < list(Role).index(asked.role)]
        for role in lower:
            await control(method, path, user=BY_ROLE[role], **more, expect=403)
        answer = await control(method, path, user=BY_ROLE[asked.role], **more)
        assert answer.status_code not in (401, 403, 405, 500), answer.text
        if not any(part in route.path for part in ("{position}", "{packet}", "{change}")):
            assert answer.status_code != 404, answer.text


async def strangers(control: Control, method: str, path: str, asked: Rule, more: dict[str, Any]) -> None:
    """An owner of another account: what is asked for does not exist; lists are empty."""
    if asked.kind != "account":
        await control(method, path, user="eve", **more, expect=404)
        await control(method, path, user="nobody", **more, expect=404)
        return
    await control(method, path, user="eve", params={"account": "demo"}, expect=404)
    await control(method, path, user="eve", params={"account": "no-such"}, expect=404)
    if method != "GET":
        await control(method, path, user="nobody", expect=404)
        return
    for name in ("eve", "nobody"):
        answer = await control(method, path, user=name)
        if answer.status_code == 403:  # a list for owners, seen by somebody without an account
            assert name == "nobody"
            continue
        as_json = answer.headers["content-type"].startswith("application/json")
        if as_json and "items" in (body := answer.json()):
            assert (body["items"], body["next_cursor"]) == ([], None)
        else:
            assert "demo" not in answer.text


def test_writes_are_never_for_viewers() -> None:
    free = [name for name, (method, route) in zip(NAMES, ROUTES, strict=True)
            if method != "GET" and rule(route).role in (None, Role.VIEWER)]  # fmt: skip
    assert free == ["POST /accounts"], "which is for administrators of Airflow"


def test_a_route_without_a_rule_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    careless = APIRouter()

    @careless.get("/everything")
    def everything() -> dict[str, str]:
        return {}

    monkeypatch.setattr(app, "ROUTERS", (*ROUTERS, careless))
    with pytest.raises(RuntimeError, match="/everything has no access rule"):
        build_control_app(StandInPlane(NEVER))
