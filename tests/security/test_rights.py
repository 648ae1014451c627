"""Rights go by what changes: each way to publish or spend more than a role may, tried over every door."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from pressroom.definitions import rights
from pressroom.definitions.rights import GuardedBy
from pressroom.domain.definitions import Definition, Role
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import KINDS
from tests.support.control_world import Control
from tests.support.definition_bodies import SITE, make

pytestmark = pytest.mark.integration

READ: dict[str, Any] = {
    "name": "read",
    "type": "fetch",
    "source": {"type": "rss", "url": "https://example.org/feed"},
}
WRITE: dict[str, Any] = {"name": "write", "type": "ai", "prompt": "Sum it up."}
LOOK: dict[str, Any] = {"name": "look", "type": "gate", "by": "approval"}
SECOND: dict[str, Any] = LOOK | {"name": "second"}
SEND: dict[str, Any] = {"name": "send", "type": "publish", "to": "static_site", "mode": "auto"}
GUARDED: list[dict[str, Any]] = [READ, WRITE, LOOK, SEND]
JUMP: dict[str, Any] = {"name": "route", "type": "route", "rules": [{"when": "true", "to": "send"}]}


# The table ----------------------------------------------------------------------------------------------


def models(model: type[Definition], seen: set[type[Definition]]) -> set[type[Definition]]:
    """A definition's model, and those of all its parts."""
    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            for part in parts(field.annotation):
                models(part, seen)
    return seen


def parts(annotation: Any) -> Iterator[type[Definition]]:
    if isinstance(annotation, type) and issubclass(annotation, Definition):
        yield annotation
    for each in typing.get_args(annotation):
        if not isinstance(annotation, types.GenericAlias) or each is not annotation:
            yield from parts(each)


def test_every_field_of_every_definition_is_classed_and_nothing_else() -> None:
    every: set[type[Definition]] = set()
    for kind in KINDS.values():
        models(kind.model, every)
    assert len(every) > 25
    classed = {(model.__name__, name) for model, names in rights.RIGHTS.items() for name in names}
    assert classed == {(model.__name__, name) for model in every for name in model.model_fields}


def test_a_field_that_nobody_classed_needs_an_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {
        model: {k: v for k, v in names.items() if k != "description"}
        for model, names in rights.RIGHTS.items()
    }
    monkeypatch.setattr(rights, "RIGHTS", table)
    old, new = (flow(GUARDED, description=text) for text in ("", "Mine"))
    [needed] = rights.needed(old, new)
    assert (needed.path, needed.role) == (("description",), Role.OWNER)


def test_every_guard_says_more_than_an_editor() -> None:
    guards = [
        rule for names in rights.RIGHTS.values() for rule in names.values() if isinstance(rule, GuardedBy)
    ]
    assert len(guards) > 30
    assert all(guard.why and not Role.EDITOR.covers(guard.role) for guard in guards)


# Flows: what takes a gate away --------------------------------------------------------------------------


def flow(steps: list[dict[str, Any]], **more: Any) -> Flow:
    return Flow.model_validate({"account": "demo", "slug": "f", "name": "F", "steps": steps, **more})


def step(old: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    return [each | changes if each is old else each for each in GUARDED]


LOOSER: dict[str, list[dict[str, Any]]] = {
    "gate taken out": [READ, WRITE, SEND],
    "gate moved behind": [READ, WRITE, SEND, LOOK],
    "gate renamed": [READ, WRITE, LOOK | {"name": "other"}, SEND],
    "gate by the time": step(LOOK, by="time"),
    "gate by a webhook": step(LOOK, by="webhook"),
    "approves by itself": step(LOOK, on_timeout="approve"),
    "less time": step(LOOK, timeout_hours=0.0003),
    "gate passed over": step(LOOK, when="false"),
    "a failing gate lets on": step(LOOK, on_failure="continue"),
    "a failing gate jumps": step(LOOK, on_failure="go to send"),
    "links to another": step(LOOK, notify="mine"),
    "a failing step jumps the gate": step(WRITE, on_failure="go to send"),
    "a route around the gate": [READ, WRITE, JUMP, LOOK, SEND],
    "written behind the gate": [READ, WRITE, LOOK, WRITE | {"name": "again", "prompt": "Sell."}, SEND],
    "a second publish step": [*GUARDED, SEND | {"name": "more", "connection": "mine"}],
    "another target": step(SEND, connection="mine"),
    "other settings": step(SEND, settings={"categories": ["Ads"]}),
    "sent in any case": [READ, WRITE, LOOK, SEND | {"when": "true"}],
    "another source": [
        {**READ, "source": {"type": "files", "path": "/x", "connection": "mine"}},
        *GUARDED[1:],
    ],
    "another receiver": [*GUARDED, {"name": "tell", "type": "ping", "connection": "mine"}],
}


@pytest.mark.parametrize("steps", LOOSER.values(), ids=LOOSER)
def test_what_lets_more_through_needs_an_approver(steps: list[dict[str, Any]]) -> None:
    roles = {each.role for each in rights.needed(flow(GUARDED), flow(steps))}
    assert roles == {Role.APPROVER}
    with pytest.raises(rights.NotPermitted, match="needs the role approver, and yours is editor"):
        rights.must_suffice(Role.EDITOR, flow(GUARDED), flow(steps))
    rights.must_suffice(Role.APPROVER, flow(GUARDED), flow(steps))


def test_one_gate_of_two_cannot_be_taken_out_either() -> None:
    both = [READ, WRITE, LOOK, SECOND, SEND]
    assert list(rights.needed(flow(both), flow(GUARDED)))
    assert not list(rights.needed(flow(both), flow(both)))


@pytest.mark.parametrize(
    "steps",
    [
        step(WRITE, prompt="Sum it up in a sentence."),
        step(LOOK, subject="Is it good?"),
        step(LOOK, timeout_hours=100),
        [READ, WRITE, WRITE | {"name": "again"}, LOOK, SEND],
        [READ, WRITE, LOOK, SECOND, SEND],
        [READ, WRITE, LOOK],
    ],
)
def test_an_editor_may_change_what_is_made_before_the_gate(steps: list[dict[str, Any]]) -> None:
    rights.must_suffice(Role.EDITOR, flow(GUARDED), flow(steps))


def test_a_new_flow_that_publishes_needs_an_approver_and_another_does_not() -> None:
    rights.must_suffice(Role.EDITOR, None, flow([READ, WRITE, LOOK]))
    for steps in (GUARDED, [READ, SEND], [READ, LOOK | {"on_timeout": "approve"}]):
        assert {each.role for each in rights.needed(None, flow(steps))} == {Role.APPROVER}


# The doors ----------------------------------------------------------------------------------------------

MISSION: dict[str, Any] = {
    "slug": "m", "name": "M", "objectives": ["be known"], "platforms": ["twitter"],
    "constraints": {"require_approval": True, "budget_cents": 100, "excluded_topics": ["war"]},
    "caps": {"run_cents": 10},
}  # fmt: skip
BRAND: dict[str, Any] = {
    "slug": "b",
    "name": "B",
    "banned_words": ["synergy"],
    "disclosures": ["#ad"],
    "tone_rubric": ["Calm?"],
}


def at(value: Any, *path: str) -> dict[str, Any]:
    """A merge patch of one field."""
    for key in reversed(path):
        value = {key: value}
    found: dict[str, Any] = value
    return found


PATCHES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("/sites", SITE, at(True, "publish", "auto_publish"), "approver"),
    ("/sites", SITE, at([{"to": "static_site"}], "publish", "targets"), "approver"),
    ("/sites", SITE, at("another_tenants", "text", "connection"), "approver"),
    ("/sites", SITE, at("openai", "images", "provider"), "approver"),
    ("/sites", SITE | {"caps": {"run_cents": 5, "month_cents": 5}}, at(6, "caps", "run_cents"), "owner"),
    ("/sites", SITE | {"caps": {"run_cents": 5, "month_cents": 5}}, at(None, "caps", "month_cents"), "owner"),
    ("/missions", MISSION, at(False, "constraints", "require_approval"), "approver"),
    ("/missions", MISSION, at(None, "constraints", "require_approval"), "approver"),
    ("/missions", MISSION, at(101, "constraints", "budget_cents"), "owner"),
    ("/missions", MISSION, at(None, "constraints", "budget_cents"), "owner"),
    ("/missions", MISSION, at(None, "constraints"), "owner"),
    ("/missions", MISSION, at(["peace"], "constraints", "excluded_topics"), "approver"),
    ("/missions", MISSION, at(None, "caps"), "owner"),
    ("/missions", MISSION, at("another_tenants", "connection"), "approver"),
    ("/missions", MISSION, at(["twitter", "linkedin"], "platforms"), "approver"),
    ("/brand-contexts", BRAND, at([], "banned_words"), "approver"),
    ("/brand-contexts", BRAND, at(["#x"], "disclosures"), "approver"),
    ("/brand-contexts", BRAND, at(None, "tone_rubric"), "approver"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "patch", "role"), PATCHES)
async def test_a_patch_that_loosens_is_refused_with_the_field(
    control: Control, path: str, body: dict[str, Any], patch: dict[str, Any], role: str
) -> None:
    made = await make(control, path, body)
    before = await control.get(f"{path}/{made['id']}")
    lower = ["ed", "ann"] if role == "owner" else ["ed"]
    for user in lower:
        answer = (await control("PATCH", f"{path}/{made['id']}", user=user, json=patch, expect=403)).json()
        assert f"needs the role {role}" in answer["detail"]
        named = [error["field"] for error in answer["errors"]]
        key = next(iter(patch))
        assert named
        assert all(name.startswith(f"body.{key}") for name in named)
    assert await control.get(f"{path}/{made['id']}") == before
    who = "olga" if role == "owner" else "ann"
    await control("PATCH", f"{path}/{made['id']}", user=who, json=patch, expect=200)


NEW: list[tuple[str, dict[str, Any]]] = [
    ("/sites", SITE | {"publish": {"auto_publish": True}}),
    ("/sites", SITE | {"publish": {"targets": [{"to": "static_site"}]}}),
    ("/sites", SITE | {"text": {"connection": "another_tenants"}}),
    ("/missions", {**MISSION, "constraints": {}}),
    ("/missions", {key: value for key, value in MISSION.items() if key != "constraints"}),
    ("/missions", MISSION | {"connection": "another_tenants"}),
    ("/flows", {"slug": "f", "name": "F", "steps": [READ, SEND]}),
    ("/flows", {"slug": "f", "name": "F", "steps": [READ, WRITE], "trigger": {"webhook": "another_tenants"}}),
    ("/flows", {"slug": "f", "name": "F", "steps": [READ, WRITE], "allow_hosts": ["10.0.0.1"]}),
]


@pytest.mark.parametrize(("path", "body"), NEW)
async def test_a_new_definition_is_no_way_around(control: Control, path: str, body: dict[str, Any]) -> None:
    await control("POST", path, json=body, expect=403)
    await control("POST", path, user="ann", json=body, expect=201)


async def test_steps_that_an_approver_set_up_stay_so(control: Control) -> None:
    body = {"slug": "f", "name": "F", "steps": GUARDED}
    made = (await control("POST", "/flows", user="ann", json=body, expect=201)).json()
    path = f"/flows/{made['id']}"
    for steps in LOOSER.values():
        await control("PATCH", path, json={"steps": steps}, expect=403)
    await control("PATCH", path, json={"steps": step(WRITE, prompt="Shorter.")}, expect=200)
    stored = (await control.get(path))["definition"]["steps"]
    assert [each["name"] for each in stored] == ["read", "write", "look", "send"]


async def test_another_brand_or_none_is_an_approvers_choice(control: Control) -> None:
    await make(control, "/brand-contexts", BRAND)
    made = await make(control, "/missions", MISSION | {"brand": "b"})
    await control("PATCH", f"/missions/{made['id']}", json={"brand": None}, expect=403)
    await control("PATCH", f"/missions/{made['id']}", user="ann", json={"brand": None}, expect=200)


async def test_tightening_is_an_editors(control: Control) -> None:
    made = await make(control, "/missions", MISSION)
    tighter = {
        "constraints": {"budget_cents": 5, "excluded_topics": ["war", "tax"]}, "caps": {"month_cents": 9}
    }  # fmt: skip
    await control("PATCH", f"/missions/{made['id']}", json=tighter, expect=200)
