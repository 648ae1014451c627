"""Channels of notices by the API and by YAML: who may change what, and what leads nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pressroom.definitions.applying import apply
from pressroom.definitions.loading import load
from pressroom.domain.errors import DefinitionError
from pressroom.store.database import Store
from pressroom.store.workflows import account_by_slug
from tests.support.control_world import Control

MAIL: dict[str, Any] = {"by": "email", "connection": "mail", "to": ["ed@example.com"]}
ACCOUNT: dict[str, Any] = {
    "kind": "Account", "slug": "acme", "name": "Acme", "members": {"ann": "owner"},
    "notices": [{"name": "desk", "by": "webhook", "connection": "hook", "member": "ann"}],
}  # fmt: skip


async def test_an_owner_makes_changes_and_deletes_channels(control: Control) -> None:
    made = await control("PUT", "/notices/desk", user="olga", json=MAIL, expect=200)
    assert made.json()["channel"]["digest_minutes"] == 10
    await control("PUT", "/notices/desk", user="olga", json=MAIL | {"digest_minutes": 60}, expect=200)
    [listed] = await control.get("/notices", user="vera")
    assert (listed["channel"]["digest_minutes"], listed["waiting"], listed["unsent"]) == (60, 0, 0)
    tried = await control("POST", "/notices/desk/test", user="olga", expect=202)
    assert tried.json()[0]["recipient"] == "ed@example.com"
    messages = await control.get("/notices/messages", user="vera")
    assert [each["subject"] for each in messages["items"]] == ["[Pressroom] A test of the channel desk"]
    await control("DELETE", "/notices/desk", user="olga", expect=204)
    assert await control.get("/notices", user="vera") == []
    await control("DELETE", "/notices/desk", user="olga", expect=404)
    changed = control.world.sql("SELECT details -> 'changed' FROM audit_log ORDER BY id")
    assert changed[1] == (["digest_minutes"],)


@pytest.mark.parametrize("user", ["vera", "ed", "ann"])
async def test_where_notices_go_is_the_owners_to_say(control: Control, user: str) -> None:
    await control("PUT", "/notices/desk", user=user, json=MAIL, expect=403)
    await control("PUT", "/notices/desk", user="olga", json=MAIL, expect=200)
    await control("PUT", "/notices/desk", user=user, json=MAIL | {"digest_minutes": 1}, expect=403)
    await control("DELETE", "/notices/desk", user=user, expect=403)
    await control("POST", "/notices/desk/test", user=user, expect=403)


async def test_a_member_decides_when_it_is_disturbed_and_no_more(control: Control) -> None:
    own = MAIL | {"member": "ed"}
    await control("PUT", "/notices/own", user="olga", json=own, expect=200)
    quiet = {"quiet": {"begin": "18:00", "end": "09:00"}, "timezone": "Asia/Tokyo", "about": ["run_failed"]}
    await control("PUT", "/notices/own", user="ed", json=own | quiet, expect=200)
    await control("PUT", "/notices/own", user="ann", json=own, expect=403)
    for change in ({"to": ["eve@evil.example"]}, {"connection": "hook"}, {"member": "ann"}):
        await control("PUT", "/notices/own", user="ed", json=own | quiet | change, expect=403)
    [listed] = await control.get("/notices", user="vera")
    assert listed["channel"]["to"] == ["ed@example.com"]


async def test_another_accounts_channels_do_not_exist(control: Control) -> None:
    await control("PUT", "/notices/desk", user="olga", json=MAIL, expect=200)
    assert await control.get("/notices", user="stella") == []
    await control("DELETE", "/notices/desk", user="stella", params={"account": "demo"}, expect=404)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"to": []}, "needs addresses"),
        ({"to": ["ed@example.com\nBcc: x@example.com"]}, "to"),
        ({"by": "webhook"}, "leave `to` out"),
        ({"quiet": {"begin": "07:00", "end": "07:00"}}, "are the same"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"member": "eve"}, "no member of the account"),
        ({"workflows": ["brwe"]}, "brew"),
        ({"about": ["everything"]}, "about"),
        ({"connection": "smtp://user:word@host"}, "connection"),
        ({"connection": "pressroom_db"}, "does not exist"),
    ],
)
async def test_what_leads_nowhere_is_refused_by_its_name(
    control: Control, change: dict[str, Any], words: str
) -> None:
    answer = await control("PUT", "/notices/desk", user="olga", json=MAIL | change, expect=422)
    assert words in answer.text


def test_yaml_sets_channels_and_without_them_they_stay(store: Store, tmp_path: Path) -> None:
    def applied(**changes: Any) -> list[str]:
        (tmp_path / "account.yaml").write_text(yaml.safe_dump(ACCOUNT | changes))
        apply(store, load(tmp_path / "account.yaml"))
        with store.transaction() as tx:
            return [each.name for each in account_by_slug(tx, "acme").account.notices or []]

    assert applied() == ["desk"]
    assert applied(notices=None, name="Acme Inc") == ["desk"]
    assert applied(notices=[MAIL | {"name": "other"}]) == ["other"]
    assert applied(notices=[]) == []
    with pytest.raises(
        DefinitionError, match=r"account\.yaml:\d+: Account acme: notices: desk: member: 'bob'"
    ):
        applied(notices=[{"name": "desk", "by": "webhook", "connection": "hook", "member": "bob"}])
    with pytest.raises(DefinitionError, match="given twice"):
        applied(notices=[MAIL | {"name": "desk"}, MAIL | {"name": "desk"}])
