"""Sites, flows and brand contexts over the API: changed, disabled, deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pressroom.api.kit.patches import merged
from pressroom.definitions import saving
from pressroom.domain.definitions import Role, Site
from pressroom.domain.kinds import WORKFLOW_KINDS
from pressroom.store.database import Store
from tests.support.control_world import Control
from tests.support.definition_bodies import BRAND, FLOW, KINDS, SITE, make, problems

# Change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # The examples of RFC 7396, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_is_that_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


async def test_a_patch_changes_what_it_names(control: Control) -> None:
    await make(control, "/brand-contexts", BRAND)
    made = await make(
        control, "/sites", SITE, brand="main", caps={"month_cents": 500}, automation={"cron": "0 6 * * *"}
    )
    patch = {"name": "Gärten", "automation": {"enabled": True, "cron": None}, "brand": None, "caps": None}
    changed = (await control("PATCH", f"/sites/{made['id']}", user="olga", json=patch, expect=200)).json()
    expected = {
        **made["definition"],
        "name": "Gärten",
        "brand": None,
        "caps": {"run_cents": None, "month_cents": None},
    }
    expected["automation"] = {**expected["automation"], "enabled": True, "cron": None}
    assert changed["definition"] == expected
    assert changed["updated_at"] > made["updated_at"]
    assert await control.get(f"/sites/{made['id']}") == changed
    [(details,)] = control.world.sql("SELECT details FROM audit_log WHERE action = 'site.update'")
    assert details == {
        "changed": ["automation.cron", "automation.enabled", "brand", "caps.month_cents", "name"],
        "before": {
            "automation.cron": "0 6 * * *", "automation.enabled": False, "brand": "main",
            "caps.month_cents": "500", "name": "Garden",
        },
        "after": {
            "automation.cron": None, "automation.enabled": True, "brand": None, "caps.month_cents": None,
            "name": "Gärten",
        },
    }  # fmt: skip


async def test_a_patch_that_changes_nothing_is_not_on_record(control: Control) -> None:
    made = await make(control, "/sites", SITE)
    again = (await control("PATCH", f"/sites/{made['id']}", json={"name": "Garden"}, expect=200)).json()
    assert again == made
    assert [action for _, action, _ in control.audit()] == ["site.create"]


@pytest.mark.parametrize("patch", [{"slug": "x"}, {"account": "other"}, {"kind": "Flow"}, {"slug": None}])
async def test_what_names_a_thing_cannot_change(control: Control, patch: dict[str, Any]) -> None:
    path = f"/sites/{control.world.site_id}"
    found = await problems(control, "PATCH", path, patch)
    assert list(found) == [f"body.{next(iter(patch))}"]
    await control("PATCH", path, json={"slug": "brew", "account": "demo", "kind": "Site"}, expect=200)


async def test_a_patched_definition_is_checked_as_a_whole(control: Control) -> None:
    made = await make(control, "/flows", FLOW)
    path = f"/flows/{made['id']}"
    steps = [FLOW["steps"][0], {**FLOW["steps"][1], "prompt": "{{ itme }}"}]
    assert list(await problems(control, "PATCH", path, {"steps": steps})) == ["body.steps.1.prompt"]
    assert list(await problems(control, "PATCH", path, {"brand": "none"})) == ["body.brand"]
    assert list(await problems(control, "PATCH", path, {"steps": None})) == ["body.steps"]
    assert await control.get(path) == made


async def test_two_patches_at_once_are_both_kept(control: Control) -> None:
    made = await make(control, "/sites", SITE)
    patches = [
        {"name": "Other"},
        {"language": "de"},
        {"subject": "plants"},
        {"article": {"target_words": 800}},
    ]
    path = f"/sites/{made['id']}"
    await asyncio.gather(*(control("PATCH", path, json=patch, expect=200) for patch in patches))
    now = (await control.get(path))["definition"]
    assert (now["name"], now["language"], now["subject"]) == ("Other", "de", "plants")
    assert now["article"]["target_words"] == 800


async def test_a_change_made_of_something_older_is_not_stored(control: Control, store: Store) -> None:
    made = await make(control, "/sites", SITE)
    with store.transaction(control.world.account_id) as tx:
        before = saving.stored(tx, WORKFLOW_KINDS["site"], id=made["id"])
    assert before
    await control("PATCH", f"/sites/{made['id']}", json={"name": "Other"}, expect=200)
    site = Site.model_validate({**before.data, "language": "de"})
    with pytest.raises(saving.ChangedMeanwhile), store.transaction(control.world.account_id) as tx:
        saving.update(tx, site, before.data, Role.OWNER)
    assert (await control.get(f"/sites/{made['id']}"))["definition"]["name"] == "Other"


# Disable, enable, delete -----------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), KINDS[:2])
async def test_disabling_and_enabling(control: Control, path: str, body: dict[str, Any]) -> None:
    made = await make(control, path, body)
    one, kind = f"{path}/{made['id']}", made["definition"]["kind"].lower()
    off = (await control("POST", f"{one}/disable", expect=200)).json()
    assert (off["status"], off["definition"]["status"], off["note"]) == ("disabled", "disabled", None)
    assert (await control("POST", f"{one}/disable", expect=200)).json()["status"] == "disabled"
    [(status,)] = control.world.sql(f"SELECT status FROM {kind}s WHERE slug = %s", body["slug"])  # noqa: S608
    assert status == "disabled"
    on = (await control("POST", f"{one}/enable", expect=200)).json()
    assert (on["status"], on["definition"]) == ("active", made["definition"])
    assert [action for _, action, _ in control.audit()] == [
        f"{kind}.create", f"{kind}.disable", f"{kind}.enable",
    ]  # fmt: skip


async def test_disabling_says_that_a_live_run_goes_on(control: Control) -> None:
    control.world.run()
    off = (await control("POST", f"/sites/{control.world.site_id}/disable", expect=200)).json()
    assert off["live"] is True
    assert "live run goes on" in off["note"]
    assert (await control("POST", f"/sites/{control.world.site_id}/enable", expect=200)).json()[
        "note"
    ] is None


async def test_a_brand_context_is_deleted_unless_it_is_used(control: Control) -> None:
    made = await make(control, "/brand-contexts", BRAND)
    site = await make(control, "/sites", SITE, brand="main")
    flow = await make(control, "/flows", FLOW, brand="main")
    path = f"/brand-contexts/{made['id']}"
    refused = (await control("DELETE", path, user="olga", expect=409)).json()
    assert "the site garden and 1 more use the brand context main" in refused["detail"]
    await control("PATCH", f"/sites/{site['id']}", user="ann", json={"brand": None}, expect=200)
    refused = (await control("DELETE", path, user="olga", expect=409)).json()
    assert "the flow digest uses the brand context main" in refused["detail"]
    await control("PATCH", f"/flows/{flow['id']}", user="ann", json={"brand": None}, expect=200)
    await control("DELETE", path, user="olga", expect=204)
    await control.get(path, expect=404)
    assert control.audit()[-1] == ("user:olga", "brand.delete", f"brand:{made['id'].removeprefix('brc_')}")
