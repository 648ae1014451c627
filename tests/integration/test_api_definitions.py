"""Sites, flows and brand contexts over the API: created, listed, read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pressroom.domain.definitions import Site
from pressroom.store.database import Store
from tests.support.control_world import Control
from tests.support.definition_bodies import BRAND, KINDS, SITE, make, problems

# Create ----------------------------------------------------------------------------------------------


async def test_a_created_site_is_whole_and_says_where_it_is(control: Control) -> None:
    answer = await control("POST", "/sites", json={**SITE, "automation": {"enabled": True}}, expect=201)
    made = answer.json()
    assert answer.headers["Location"] == f"/sites/{made['id']}"
    assert await control.get(answer.headers["Location"]) == made
    assert (made["slug"], made["status"], made["dag_id"]) == ("garden", "active", "site__garden")
    definition = made["definition"]
    assert (definition["kind"], definition["account"]) == ("Site", "demo")
    assert definition["automation"]["enabled"] is True
    assert definition["article"]["target_words"] == 1200
    assert control.audit() == [("user:ed", "site.create", f"site:{made['id']}")]


async def test_a_created_site_is_what_applying_would_have_made(control: Control, store: Store) -> None:
    from pressroom.store.workflows import workflow

    await make(control, "/brand-contexts", BRAND)
    body = {**SITE, "brand": "main", "automation": {"time": "06:30", "batch_sizes": {"content": 4}}}
    await make(control, "/sites", body)
    with store.transaction() as tx:
        row = workflow(tx, "site/garden")
    assert row.workflow == Site.model_validate({**body, "account": "demo"})
    assert row.brand is not None
    assert row.brand.voice == "calm"


@pytest.mark.parametrize(("path", "prefix"), [("/flows", "flw_"), ("/brand-contexts", "brc_")])
async def test_other_kinds_have_ids_that_say_what_they_are(control: Control, path: str, prefix: str) -> None:
    made = await make(control, path, dict(KINDS)[path])
    assert made["id"].startswith(prefix)
    assert await control.get(f"{path}/{made['id']}") == made


@pytest.mark.parametrize(("path", "body"), KINDS)
async def test_kind_and_account_may_be_given_and_must_be_right(
    control: Control, path: str, body: dict[str, Any]
) -> None:
    made = await make(control, path, body)
    again = {**made["definition"], "slug": "again"}
    await make(control, path, again)
    assert "body.account" in await problems(control, "POST", path, {**body, "account": "other"})
    assert "body.kind" in await problems(control, "POST", path, {**body, "kind": "Mission"})


@pytest.mark.parametrize(("path", "body"), KINDS)
async def test_a_slug_of_the_account_is_taken(control: Control, path: str, body: dict[str, Any]) -> None:
    await make(control, path, body)
    refused = (await control("POST", path, json=body, expect=409)).json()
    assert refused["errors"][0]["field"] == "body.slug"
    assert len([one for one in (await control.get(path))["items"] if one["slug"] == body["slug"]]) == 1


async def test_a_slug_of_another_account_is_taken_and_nobody_learns_whose(control: Control) -> None:
    refused = await control("POST", "/sites", json={**SITE, "slug": "elsewhere"}, expect=409)
    assert "belongs to another account" in refused.json()["detail"]
    assert "other'" not in refused.text
    # A brand context's slug is its account's own.
    await make(control, "/brand-contexts", BRAND)
    await control("POST", "/brand-contexts", json=BRAND, user="stella", expect=201)


async def test_two_creations_at_once_make_one(control: Control) -> None:
    calls = [control("POST", "/sites", json=SITE) for _ in range(4)]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


# Read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), KINDS)
async def test_a_list_comes_in_pages_latest_first(control: Control, path: str, body: dict[str, Any]) -> None:
    made = [(await make(control, path, body, slug=f"s{number}"))["id"] for number in range(5)]
    seen: list[Any] = []
    cursor: dict[str, Any] = {}
    for _ in range(10):
        page = await control.get(path, limit=2, **cursor)
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen[:5] == made[::-1]
    assert len(seen) == len(set(seen)) == (6 if path == "/sites" else 5)
    await control.get(path, expect=422, limit=201)
    await control.get(path, expect=422, cursor="x")


@pytest.mark.parametrize(("path", "body"), KINDS[:2])
async def test_a_list_is_filtered_by_status(control: Control, path: str, body: dict[str, Any]) -> None:
    await make(control, path, body, slug="on")
    await make(control, path, body, slug="off", status="disabled")
    assert [one["slug"] for one in (await control.get(path, status="disabled"))["items"]] == ["off"]
    assert "off" not in [one["slug"] for one in (await control.get(path, status="active"))["items"]]
    await control.get(path, expect=422, status="on")


async def test_a_site_says_whether_a_run_is_live(control: Control) -> None:
    path = f"/sites/{control.world.site_id}"
    assert (await control.get(path))["live"] is False
    control.world.run()
    assert (await control.get(path))["live"] is True
    assert [one["live"] for one in (await control.get("/sites"))["items"]] == [True]


async def test_one_that_this_version_cannot_read_does_not_hide_the_others(
    control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    made = await make(control, "/sites", SITE)
    control.world.sql("UPDATE sites SET definition = definition || '{\"old\": 1}' WHERE id = %s", made["id"])
    assert [one["slug"] for one in (await control.get("/sites"))["items"]] == ["brew"]
    assert "site garden is left out" in caplog.text
    # It can be put right.
    await control("PATCH", f"/sites/{made['id']}", json={"old": None}, expect=200)
    assert len((await control.get("/sites"))["items"]) == 2


@pytest.mark.parametrize(("path", "body"), KINDS)
async def test_another_tenants_do_not_exist(control: Control, path: str, body: dict[str, Any]) -> None:
    made = await make(control, path, body)
    one = f"{path}/{made['id']}"
    for method, where, more in (
        ("GET", one, {}), ("PATCH", one, {"json": {"name": "x"}}), ("POST", f"{one}/disable", {}),
        ("POST", f"{one}/enable", {}), ("DELETE", one, {}),
    ):  # fmt: skip
        if where != one and path == "/brand-contexts":
            continue
        if method == "DELETE" and path != "/brand-contexts":
            continue
        await control(method, where, user="stella", expect=404, **more)
    slugs = [found["slug"] for found in (await control.get(path, user="stella"))["items"]]
    assert body["slug"] not in slugs
    await control.get(path, user="stella", account="demo", expect=404)
    assert (await control.get(path, user="nobody"))["items"] == []
    await control("POST", path, user="nobody", json=body, expect=404)
    for wrong in ("0", "x", "9" * 30, "art_1"):
        await control.get(f"{path}/{wrong}", expect=404)


@pytest.mark.parametrize(("path", "body"), KINDS)
async def test_a_viewer_changes_nothing(control: Control, path: str, body: dict[str, Any]) -> None:
    made = await make(control, path, body)
    await control("POST", path, user="vera", json={**body, "slug": "x"}, expect=403)
    await control("PATCH", f"{path}/{made['id']}", user="vera", json={"name": "x"}, expect=403)
    if path == "/brand-contexts":
        await control("DELETE", f"{path}/{made['id']}", user="ann", expect=403)
    else:
        await control("POST", f"{path}/{made['id']}/disable", user="vera", expect=403)
        await control("POST", f"{path}/{made['id']}/enable", user="vera", expect=403)


# The document ----------------------------------------------------------------------------------------


async def test_the_document_has_the_whole_definition_as_the_body(control: Control) -> None:
    document = await control.get("/openapi.json")
    for path in ("/sites", "/flows", "/brand-contexts", "/missions"):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        name = body.get("$ref", "").rsplit("/", 1)[-1]
        schema = document["components"]["schemas"][name] if name else body
        assert {"slug", "name"} <= set(schema["required"])
        assert "account" not in schema["required"]
        assert "account" in schema["properties"]
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in document["components"]["schemas"]
