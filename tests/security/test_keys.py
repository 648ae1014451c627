"""An API key is nobody's name, ends with who made it, and takes its streams along."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pressroom.api.app import build_control_app
from pressroom.api.kit.callers import Caller
from pressroom.definitions.applying import apply
from pressroom.definitions.loading import load
from pressroom.domain.flows import GateStep
from pressroom.engine import gates
from tests.support.control_world import Control
from tests.support.flow_world import FETCH, entries, make_flow
from tests.support.served import served

pytestmark = pytest.mark.integration

RUN_NOW = "/automation/run_now?site_id={site}"


async def key(control: Control, name: str, role: str = "owner", *, user: str = "olga") -> dict[str, str]:
    """The headers of a new key's calls. ``root`` has to name the account."""
    body = {"name": name, "role": role}
    made = await control("POST", "/api-keys?account=demo", user=user, json=body, expect=201)
    return {"Authorization": f"Bearer {made.json()['key']}"}


async def still(control: Control, headers: dict[str, str]) -> int:
    return (await control("GET", "/accounts", user=None, headers=headers)).status_code


# A key that is named like a person ---------------------------------------------------------------------


async def test_a_key_named_like_a_person_starts_runs_as_a_key(control: Control) -> None:
    headers = await key(control, "ann")
    path = RUN_NOW.format(site=control.world.site_id)
    await control("POST", path, user=None, headers=headers, expect=202)
    assert control.world.sql("SELECT owner FROM runs") == [("key:1",)]
    [shown] = (await control.get("/pipeline/jobs"))["items"]
    assert "ann" not in str(shown.values())


async def test_a_key_named_like_a_person_answers_gates_as_a_key(control: Control) -> None:
    headers = await key(control, "ann")
    gate = {"name": "look", "type": "gate", "by": "webhook"}
    number = await asyncio.to_thread(_open_gate, control, gate)
    body = {"decision": "approve"}
    await control("POST", f"/gates/gat_{number}/answer", user=None, headers=headers, json=body, expect=200)
    assert control.world.sql("SELECT answered_by FROM gates") == [("key:1",)]
    line = control.world.sql("SELECT actor, details FROM audit_log WHERE action = 'gate.answer'")
    assert [(actor, details["by"]) for actor, details in line] == [("key:1", "key:1")]


async def test_a_person_named_like_a_key_is_a_person(control: Control) -> None:
    control.world.sql(
        "INSERT INTO members VALUES (%s, 'key:1', 'owner')", control.world.account_id
    )  # fmt: skip
    path = RUN_NOW.format(site=control.world.site_id)
    await control("POST", path, user="key:1", expect=202)
    assert control.world.sql("SELECT owner FROM runs") == [("user:key:1",)]


@pytest.mark.parametrize(
    ("caller", "signature"),
    [
        (Caller("ann"), "ann"),
        (Caller("ann", key_id=3), "key:3"),
        (Caller("key:3"), "user:key:3"),
        (Caller("user:ann"), "user:user:ann"),
        (Caller("user:ann", key_id=4), "key:4"),
    ],
    ids=["person", "key", "like a key", "like a label", "key like a label"],
)
def test_no_two_callers_have_one_signature(caller: Caller, signature: str) -> None:
    assert caller.signature == signature


def _open_gate(control: Control, gate: dict[str, Any]) -> int:
    """A gate of a flow of the account demo, whose item waits there."""
    world = make_flow(control.world.url, control.world.store, FETCH, gate)
    world.sources = entries("one")
    run = world.run()
    [item] = world.take(run)
    step = world.flow.steps[1]
    assert isinstance(step, GateStep)
    with world.store.transaction(world.account_id) as tx:
        gates.open_gate(tx, run, item, step, "Is it good?", {"task_id": "item.look", "map_index": 0})
        return gates.gate_of(tx, item, "look").id


# A key whose maker is gone -----------------------------------------------------------------------------


def members(control: Control, tmp_path: Path, text: str) -> None:
    """Apply the account with these members."""
    (tmp_path / "account.yaml").write_text(f"{{kind: Account, slug: demo, name: Demo, members: {{{text}}}}}")
    apply(control.world.store, load(tmp_path))


async def test_the_keys_of_a_removed_member_end(control: Control, tmp_path: Path) -> None:
    direct = await key(control, "one")
    made = await control("POST", "/api-keys", user=None, headers=direct, json={"name": "two"}, expect=201)
    by_key = {"Authorization": f"Bearer {made.json()['key']}"}
    admins = await key(control, "three", user="root")
    assert {await still(control, each) for each in (direct, by_key, admins)} == {200}
    members(control, tmp_path, "ed: editor, pia: owner")
    assert [await still(control, each) for each in (direct, by_key, admins)] == [401, 401, 200]
    # Who comes back makes new ones.
    members(control, tmp_path, "ed: editor, pia: owner, olga: owner")
    assert [await still(control, each) for each in (direct, by_key, admins)] == [401, 401, 200]
    revoked = control.world.sql("SELECT name, revoked_by FROM api_keys WHERE revoked_at IS NOT NULL")
    assert {name for name, _ in revoked} == {"one", "two"}


async def test_a_key_made_while_its_maker_is_removed_is_worth_nothing(control: Control) -> None:
    headers = await key(control, "one")
    control.world.sql("DELETE FROM members WHERE username = 'olga'")
    assert await still(control, headers) == 401


async def test_a_key_may_no_more_than_who_made_it(control: Control) -> None:
    headers = await key(control, "one", "owner")
    control.world.sql("UPDATE members SET role = 'viewer' WHERE username = 'olga'")
    assert await still(control, headers) == 200
    await control("GET", "/audit", user=None, headers=headers, expect=403)
    control.world.sql("UPDATE members SET role = 'owner' WHERE username = 'olga'")
    await control("GET", "/audit", user=None, headers=headers, expect=200)


# A stream that goes on ----------------------------------------------------------------------------------


@pytest.fixture
def client(control: Control) -> Iterator[httpx.Client]:
    """A client that sees answers come bit by bit."""
    with (
        served(build_control_app(control.plane)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


ENDINGS = {
    "revoked": ("UPDATE api_keys SET revoked_at = now()", "key"),
    "expired": ("UPDATE api_keys SET expires_at = now()", "key"),
    "its maker is removed": ("DELETE FROM members WHERE username = 'olga'", "key"),
    "removed": ("DELETE FROM members WHERE username = 'vera'", "vera"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_stream_ends_with_the_right_to_read_it(
    control: Control, client: httpx.Client, ending: str
) -> None:
    statement, who = ENDINGS[ending]
    run = control.world.run()
    headers = await key(control, "ci", "viewer") if who == "key" else {"X-User": who}
    seen: list[str] = []
    first, ended = threading.Event(), threading.Event()

    def read() -> None:
        path = f"/pipeline/jobs/job_{run.id}/logs?stream=true"
        with client.stream("GET", path, headers=headers) as answer:
            for line in answer.iter_lines():
                seen.append(line)
                first.set()
        ended.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert first.wait(60)
    control.world.sql(statement)
    assert ended.wait(60)  # it would go on for ten minutes
    assert not any(line.startswith("event: end") for line in seen)
