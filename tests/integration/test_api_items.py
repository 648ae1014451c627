"""Keywords, clusters and ideas over the API: listed, added, imported, changed, disabled."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pressroom.domain.text import normalize
from pressroom.engine.runs import reports
from pressroom.pipelines.site import SITE, counts, tasks
from tests.support.control_world import Control

HUGE = 2**63


async def add(control: Control, *texts: str, **more: Any) -> dict[str, Any]:
    body = {"site_id": control.world.site_id, "keywords": [{"text": text, **more} for text in texts]}
    added: dict[str, Any] = (await control("POST", "/keywords", json=body, expect=201)).json()
    return added


async def cluster(control: Control, name: str = "Tea", **more: Any) -> dict[str, Any]:
    body = {"site_id": control.world.site_id, "name": name, **more}
    made: dict[str, Any] = (await control("POST", "/clusters", json=body, expect=201)).json()
    return made


async def idea(control: Control, title: str, cluster_id: int, **more: Any) -> dict[str, Any]:
    body = {"site_id": control.world.site_id, "cluster_id": cluster_id, "title": title, **more}
    made: dict[str, Any] = (await control("POST", "/ideas", json=body, expect=201)).json()
    return made


def raw(body: Any) -> dict[str, Any]:
    """A body with its characters escaped, as httpx itself would not send them all."""
    return {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}


def strange(control: Control, table: str, **columns: Any) -> int:
    """A row of the other account's site."""
    values = {"account_id": control.other.account_id, "site_id": control.other.site_id, **columns}
    names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    [(number,)] = control.world.sql(
        f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id",  # noqa: S608  # our own names
        *values.values(),
    )
    return int(number)


# Keywords ---------------------------------------------------------------------------------------------


async def test_keywords_are_added_once_whatever_their_spelling(control: Control) -> None:
    first = await add(control, "Green Tea", volume=900, difficulty=12.345, intent="commercial")
    assert (first["added"], first["duplicates"]) == (1, 0)
    [item] = first["items"]
    assert item | {"created_at": ""} == {
        "id": item["id"], "site_id": control.world.site_id, "text": "Green Tea", "volume": 900,
        "difficulty": 12.35, "intent": "commercial", "status": "new", "disabled": False, "cluster_id": None,
        "created_at": "",
    }  # fmt: skip
    second = await add(control, "green  tea!", "Black tea", "BLACK TEA", volume=1)
    assert (second["added"], second["duplicates"]) == (1, 2)
    assert [(one["text"], one["volume"]) for one in second["items"]] == [("Green Tea", 900), ("Black tea", 1)]
    assert control.audit()[-1] == ("user:ed", "keyword.add", f"site:{control.world.site_id}")


async def test_keywords_are_listed_newest_first_page_by_page(control: Control) -> None:
    for text in ("one", "two", "three", "four", "five"):
        await add(control, text)
    first = await control.get("/keywords", limit=2)
    second = await control.get("/keywords", limit=2, cursor=first["next_cursor"])
    third = await control.get("/keywords", limit=2, cursor=second["next_cursor"])
    shown = [one["text"] for page in (first, second, third) for one in page["items"]]
    assert shown == ["five", "four", "three", "two", "one"]
    assert third["next_cursor"] is None
    await control.get("/keywords", cursor="bm8", expect=422)


async def test_keywords_are_filtered(control: Control) -> None:
    made = await add(control, "green tea", "black tea", "strong coffee")
    ids = {one["text"]: one["id"] for one in made["items"]}
    group = await cluster(control)
    control.world.sql(
        "UPDATE keywords SET status = 'clustered', cluster_id = %s WHERE id = %s", group["id"],
        ids["green tea"],
    )  # fmt: skip
    await control("POST", f"/keywords/{ids['black tea']}/disable", expect=200)

    async def found(**filters: Any) -> list[str]:
        return [one["text"] for one in (await control.get("/keywords", **filters))["items"]]

    assert await found(status="clustered") == ["green tea"]
    assert await found(cluster_id=group["id"]) == ["green tea"]
    assert await found(disabled="true") == ["black tea"]
    assert await found(disabled="false", status="new") == ["strong coffee"]
    assert await found(q="ong COFF") == ["strong coffee"]
    assert sorted(await found(q="TEA")) == ["black tea", "green tea"]
    assert await found(q="100%") == []
    assert await found(site=control.world.site_id, q="tea", disabled="false") == ["green tea"]
    assert await found(cluster_id=group["id"] + 1) == []


@pytest.mark.parametrize("what", ["keywords", "clusters", "ideas"])
async def test_a_site_of_another_account_does_not_exist(control: Control, what: str) -> None:
    for site in (control.other.site_id, 10**9):
        await control.get(f"/{what}", site=site, expect=404)
        bodies: dict[str, dict[str, Any]] = {
            "keywords": {"keywords": [{"text": "tea"}]}, "clusters": {"name": "Tea"},
            "ideas": {"title": "Tea", "cluster_id": 1},
        }  # fmt: skip
        body = bodies[what]
        await control("POST", f"/{what}", json={"site_id": site, **body}, expect=404)
    await control.get(f"/{what}", site=HUGE, expect=422)
    assert control.audit() == []


@pytest.mark.parametrize("what", ["keywords", "clusters", "ideas"])
async def test_another_accounts_items_do_not_exist(control: Control, what: str) -> None:
    names = {"text": "tea"} if what == "keywords" else {"name": "tea"}
    if what == "ideas":
        group = strange(control, "clusters", name="c", normalized="c")
        names = {"title": "tea", "type": "guide", "cluster_id": str(group)}
    number = strange(control, what, normalized="tea", **names)
    assert (await control.get(f"/{what}"))["items"] == []
    assert (await control.get(f"/{what}", user="nobody"))["items"] == []
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/disable"), ("POST", "/enable")):
        body: dict[str, Any] = {"json": {"disabled": True}} if method == "PATCH" else {}
        await control(method, f"/{what}/{number}{path}", expect=404, **body)
        await control(method, f"/{what}/{number}{path}", user="stella", expect=200, **body)
    for odd in ("0", "x", "-1", str(HUGE), "1" * 5000, "%00"):
        await control("GET", f"/{what}/{odd}", expect=404)


@pytest.mark.parametrize("what", ["keywords", "clusters", "ideas"])
async def test_a_viewer_changes_nothing(control: Control, what: str) -> None:
    site = control.world.site_id
    group = await cluster(control)
    number = {
        "keywords": (await add(control, "tea"))["items"][0]["id"], "clusters": group["id"],
        "ideas": (await idea(control, "Tea", group["id"]))["id"],
    }[what]  # fmt: skip
    before = len(control.audit())
    await control("POST", f"/{what}", user="vera", json={"site_id": site}, expect=403)
    await control("PATCH", f"/{what}/{number}", user="vera", json={"disabled": True}, expect=403)
    for verb in ("disable", "enable"):
        await control("POST", f"/{what}/{number}/{verb}", user="vera", expect=403)
    assert len(control.audit()) == before
    assert (await control.get(f"/{what}/{number}"))["disabled"] is False


@pytest.mark.parametrize(
    ("keyword", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": "  "}, "text"),
        ({"text": "!!!"}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"text": "x" * 201}, "text"),
        ({"text": 5}, "text"),
        ({"text": "tea", "volume": -1}, "volume"),
        ({"text": "tea", "volume": 2**31}, "volume"),
        ({"text": "tea", "volume": 1.5}, "volume"),
        ({"text": "tea", "difficulty": 101}, "difficulty"),
        ({"text": "tea", "difficulty": -0.1}, "difficulty"),
        ({"text": "tea", "difficulty": "NaN"}, "difficulty"),
        ({"text": "tea", "intent": "buy"}, "intent"),
        ({"text": "tea", "cluster_id": 1}, "cluster_id"),
    ],
)
async def test_a_keyword_out_of_bounds_is_refused_by_its_field(
    control: Control, keyword: dict[str, Any], field: str
) -> None:
    body = {"site_id": control.world.site_id, "keywords": [{"text": "fine"}, keyword]}
    answer = (await control("POST", "/keywords", **raw(body), expect=422)).json()
    assert [one["field"] for one in answer["errors"]] == [f"body.keywords.1.{field}"]
    assert (await control.get("/keywords"))["items"] == []


async def test_a_thousand_keywords_are_the_most(control: Control) -> None:
    many = [{"text": f"keyword {n}"} for n in range(1001)]
    body = {"site_id": control.world.site_id, "keywords": many}
    await control("POST", "/keywords", json=body, expect=422)
    added = (await control("POST", "/keywords", json=body | {"keywords": many[1:]}, expect=201)).json()
    assert (added["added"], len(added["items"])) == (1000, 1000)
    await control("POST", "/keywords", json=body | {"keywords": []}, expect=422)


async def test_a_list_is_imported_line_by_line(control: Control) -> None:
    await add(control, "known")
    text = "Keyword;Volume;CPC\nred tea;1,200;3\nRED TEA;5;3\nknown;;\nblue tea;many;3\n;;\nwhite tea;10;1\n"
    answer = await import_csv(control, text.encode(), expect=201)
    assert answer == {
        "added": 2, "duplicates": 2, "bad_lines": 1, "ignored_columns": ["cpc"], "encoding": "utf-8",
        "bad": [{"line": 5, "reason": "the volume 'many' is not a number"}],
    }  # fmt: skip
    listed = (await control.get("/keywords"))["items"]
    assert [(one["text"], one["volume"]) for one in listed] == [
        ("white tea", 10),
        ("red tea", 1200),
        ("known", None),
    ]
    target = f"site:{control.world.site_id}"
    assert control.audit()[-2:] == [
        ("user:ed", "keyword.import", target), ("user:ed", "keyword.imported", target),
    ]  # fmt: skip


async def import_csv(
    control: Control, data: bytes, *, expect: int, kind: str = "text/csv", **params: Any
) -> dict[str, Any]:
    answer = await control(
        "POST", "/keywords/import", content=data, headers={"Content-Type": kind},
        params={"site_id": control.world.site_id, **params}, expect=expect,
    )  # fmt: skip
    found: dict[str, Any] = answer.json()
    return found


async def test_what_is_no_list_is_not_imported(control: Control) -> None:
    for data in (b"", b"no header\nx\n", b"PK\x03\x04zip", b"\0\1\2\3" * 50):
        refused = await import_csv(control, data, expect=422)
        assert refused["errors"][0]["field"] == "body"
    refused = await import_csv(control, b"keyword\ntea\n", kind="multipart/form-data; boundary=x", expect=422)
    assert refused["errors"][0]["field"] == "header.content-type"
    await import_csv(control, b"keyword\n" + b"tea\n" * 1_500_001, expect=413)
    await import_csv(control, b"keyword\ntea\n", site_id=control.other.site_id, expect=404)
    await import_csv(control, b"keyword\ntea\n", site_id="x", expect=422)
    assert (await control.get("/keywords"))["items"] == []
    assert control.audit() == []
    await control("POST", "/keywords/import?site_id=1", user="vera", content=b"keyword\ntea\n", expect=403)


async def test_bad_lines_are_counted_and_the_first_ones_shown(control: Control) -> None:
    answer = await import_csv(control, b"keyword,volume\n" + b"tea,x\n" * 1200, expect=201)
    assert (answer["bad_lines"], len(answer["bad"])) == (1200, 1000)


async def test_a_keyword_is_changed_but_for_its_text(control: Control) -> None:
    [item] = (await add(control, "tea", volume=5, difficulty=3, intent="commercial"))["items"]
    path = f"/keywords/{item['id']}"
    changed = (await control("PATCH", path, json={"volume": 7, "disabled": True}, expect=200)).json()
    assert changed == item | {"volume": 7, "disabled": True}
    changed = (await control("PATCH", path, json={"volume": None, "difficulty": 99.999}, expect=200)).json()
    assert changed == item | {"volume": None, "disabled": True, "difficulty": 100}
    changed = (await control("POST", f"{path}/enable", expect=200)).json()
    assert changed == await control.get(path) == item | {"volume": None, "difficulty": 100}
    assert (await control("PATCH", path, json={}, expect=200)).json() == changed
    wrongs: list[Any] = [{"text": "x"}, {"disabled": None}, {"volume": -1}, {"status": "new"}, []]
    for wrong in wrongs:
        await control("PATCH", path, json=wrong, expect=422)
    assert await control.get(path) == changed
    assert [action for _, action, _ in control.audit()] == [
        "keyword.add",
        "keyword.change",
        "keyword.change",
        "keyword.enable",
        "keyword.change",
    ]


# Clusters ---------------------------------------------------------------------------------------------


async def test_clusters_are_listed_with_what_they_hold(control: Control) -> None:
    tea, coffee = (
        await cluster(control, "Tea"),
        await cluster(control, "Coffee", description="  Beans  and so"),
    )
    assert coffee["description"] == "Beans and so"
    for item in (await add(control, "green tea", "black tea"))["items"]:
        control.world.sql(
            "UPDATE keywords SET status = 'clustered', cluster_id = %s WHERE id = %s", tea["id"], item["id"]
        )
    await idea(control, "Which tea?", tea["id"])
    listed = await control.get("/clusters", site=control.world.site_id, limit=1)
    assert listed["items"] == [coffee]
    [second] = (await control.get("/clusters", cursor=listed["next_cursor"]))["items"]
    assert second == tea | {"keywords": 2, "ideas": 1} == await control.get(f"/clusters/{tea['id']}")
    assert (await control.get("/clusters", disabled="true"))["items"] == []
    assert (await control.get("/clusters", status="planned"))["items"] == []


async def test_a_clusters_name_is_its_sites_own(control: Control) -> None:
    tea = await cluster(control, "Green Tea")
    site = control.world.site_id
    refused = await control("POST", "/clusters", json={"site_id": site, "name": "green tea."}, expect=409)
    assert "Green Tea".casefold() in refused.json()["detail"].casefold()
    coffee = await cluster(control, "Coffee")
    path = f"/clusters/{coffee['id']}"
    refused = await control("PATCH", path, json={"name": "GREEN TEA", "description": "x"}, expect=409)
    assert "clusters_site_id" not in refused.text
    assert await control.get(path) == coffee
    own = (await control("PATCH", path, json={"name": "COFFEE!"}, expect=200)).json()
    assert own == coffee | {"name": "COFFEE!"}
    await control("PATCH", path, json={"name": "Mocha"}, expect=200)
    await cluster(control, "Coffee")  # the name is free again
    actions = [(action, target) for _, action, target in control.audit()]
    assert actions[:2] == [
        ("cluster.create", f"cluster:{tea['id']}"), ("cluster.create", f"cluster:{coffee['id']}")
    ]  # fmt: skip
    assert [action for action, _ in actions[2:]] == ["cluster.change", "cluster.change", "cluster.create"]


async def test_two_sites_may_have_clusters_of_one_name(control: Control) -> None:
    strange(control, "clusters", name="Tea", normalized="tea")
    await cluster(control, "Tea")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "--"}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "a\x07b"}, "name"),
        ({"name": "\udfff"}, "name"),
        ({"name": "Tea", "description": "x" * 301}, "description"),
        ({"name": "Tea", "description": None}, "description"),
        ({"name": "Tea", "status": "planned"}, "status"),
    ],
)
async def test_a_cluster_out_of_bounds_is_refused_by_its_field(
    control: Control, body: dict[str, Any], field: str
) -> None:
    body = {"site_id": control.world.site_id, **body}
    answer = (await control("POST", "/clusters", **raw(body), expect=422)).json()
    assert [one["field"] for one in answer["errors"]] == [f"body.{field}"]


async def test_a_cluster_is_disabled_and_enabled(control: Control) -> None:
    made = await cluster(control)
    path = f"/clusters/{made['id']}"
    assert (await control("POST", f"{path}/disable", expect=200)).json()["disabled"] is True
    assert (await control.get("/clusters", disabled="true"))["items"] == [made | {"disabled": True}]
    assert (await control("POST", f"{path}/enable", expect=200)).json() == made
    changed = (await control("PATCH", path, json={"disabled": True, "description": ""}, expect=200)).json()
    assert changed == made | {"disabled": True}


# Ideas ------------------------------------------------------------------------------------------------


async def test_an_idea_is_added_and_edited(control: Control) -> None:
    group = await cluster(control)
    made = await idea(
        control, " Ten  teas ", group["id"], target_keywords=["green tea"], outline=["One", "Two"]
    )
    assert made | {"created_at": ""} == {
        "id": made["id"], "site_id": control.world.site_id, "cluster_id": group["id"], "title": "Ten teas",
        "angle": "", "type": "guide", "target_keywords": ["green tea"], "outline": ["One", "Two"],
        "status": "new", "disabled": False, "created_at": "",
    }  # fmt: skip
    path = f"/ideas/{made['id']}"
    edit = {"title": "Nine teas", "type": "list", "outline": [], "angle": "Fewer is more"}
    changed = (await control("PATCH", path, json=edit, expect=200)).json()
    assert changed == made | edit == await control.get(path)
    [(normalized,)] = control.world.sql("SELECT normalized FROM ideas")
    assert normalized == "nine teas"
    assert [action for _, action, _ in control.audit()] == ["cluster.create", "idea.create", "idea.change"]


async def test_ideas_are_listed_and_filtered(control: Control) -> None:
    tea, coffee = await cluster(control, "Tea"), await cluster(control, "Coffee")
    first, second = await idea(control, "First", tea["id"]), await idea(control, "Second", coffee["id"])
    control.world.sql("UPDATE ideas SET status = 'queued' WHERE id = %s", first["id"])

    async def found(**filters: Any) -> list[int]:
        return [one["id"] for one in (await control.get("/ideas", **filters))["items"]]

    assert await found(site=control.world.site_id) == [second["id"], first["id"]]
    assert await found(status="queued") == await found(cluster_id=tea["id"]) == [first["id"]]
    assert await found(disabled="true") == []
    page = await control.get("/ideas", limit=1)
    assert await found(cursor=page["next_cursor"]) == [first["id"]]


async def test_an_ideas_title_is_its_sites_own(control: Control) -> None:
    group = await cluster(control)
    await idea(control, "Ten teas", group["id"])
    other = await idea(control, "Nine teas", group["id"])
    body = {"site_id": control.world.site_id, "cluster_id": group["id"], "title": "TEN TEAS?"}
    await control("POST", "/ideas", json=body, expect=409)
    refused = await control("PATCH", f"/ideas/{other['id']}", json={"title": "ten teas"}, expect=409)
    assert "ideas_site_id" not in refused.text
    assert await control.get(f"/ideas/{other['id']}") == other


async def test_an_ideas_cluster_is_one_of_its_site(control: Control) -> None:
    theirs = strange(control, "clusters", name="c", normalized="c")
    for number in (theirs, 10**9):
        body = {"site_id": control.world.site_id, "cluster_id": number, "title": "Tea"}
        answer = (await control("POST", "/ideas", json=body, expect=422)).json()
        assert answer["errors"][0]["field"] == "body.cluster_id"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"title": "x" * 101}, "title"),
        ({"title": "..."}, "title"),
        ({"title": "a\0"}, "title"),
        ({"angle": "x" * 201}, "angle"),
        ({"type": "poem"}, "type"),
        ({"target_keywords": ["k"] * 6}, "target_keywords"),
        ({"target_keywords": ["x" * 201]}, "target_keywords.0"),
        ({"target_keywords": "tea"}, "target_keywords"),
        ({"outline": ["h"] * 13}, "outline"),
        ({"outline": ["fine", "  "]}, "outline.1"),
        ({"outline": ["x" * 81]}, "outline.0"),
        ({"outline": ["a\0b"]}, "outline.0"),
        ({"outline": None}, "outline"),
    ],
)
async def test_an_idea_out_of_bounds_is_refused_by_its_field(
    control: Control, more: dict[str, Any], field: str
) -> None:
    group = await cluster(control)
    body = {"site_id": control.world.site_id, "cluster_id": group["id"], "title": "Tea", **more}
    made = await control("POST", "/ideas", json=body, expect=422)
    assert [one["field"] for one in made.json()["errors"]] == [f"body.{field}"]
    number = (await idea(control, "Fine", group["id"]))["id"]
    edited = await control("PATCH", f"/ideas/{number}", json=more, expect=422)
    assert [one["field"] for one in edited.json()["errors"]] == [f"body.{field}"]


async def test_a_queued_idea_stays_as_it_is(control: Control) -> None:
    group = await cluster(control)
    made = await idea(control, "Tea", group["id"])
    control.world.sql("UPDATE ideas SET status = 'queued'")
    path = f"/ideas/{made['id']}"
    refused = await control("PATCH", path, json={"title": "Coffee"}, expect=409)
    assert "queued" in refused.json()["detail"]
    for verb in ("disable", "enable"):
        await control("POST", f"{path}/{verb}", expect=409)
    assert await control.get(path) == made | {"status": "queued"}
    assert [action for _, action, _ in control.audit()] == ["cluster.create", "idea.create"]


async def test_a_disabled_idea_is_not_queued(control: Control) -> None:
    world, group = control.world, await cluster(control)
    kept, left = await idea(control, "Kept", group["id"]), await idea(control, "Left out", group["id"])
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        both = tasks.load(tx, run, [kept["id"], left["id"]])
    await control("POST", f"/ideas/{left['id']}/disable", expect=200)
    with world.store.transaction(world.account_id) as tx:
        assert tasks.pending(tx, run) == [kept["id"]]
        assert [one.id for one in tasks.load(tx, run, [kept["id"], left["id"]])] == [kept["id"]]
        assert counts(tx, world.site_id).ideas == 1
        overview = {stage.name: stage.pending for stage in reports.overview(tx, world.site_id, SITE)}
        assert overview["tasks"] == 1
        # Disabled after the stage had loaded it: it is passed over all the same.
        assert tx.run("idea_queued", site=world.site_id, idea=both[1].id) == 0
    stages = (await control.get("/automation/pipeline_overview", site_id=world.site_id))["stages"]
    [shown] = [stage["counts"] for stage in stages if stage["name"] == "tasks"]
    assert shown == {"new": 1, "disabled": 1}
    await control("POST", f"/ideas/{left['id']}/enable", expect=200)
    with world.store.transaction(world.account_id) as tx:
        assert tasks.pending(tx, run) == [kept["id"], left["id"]]


async def test_names_are_normalized_as_the_stages_do(control: Control) -> None:
    for text in ("Ｔｅａ", "straße 5", "чай"):
        await add(control, text)
    kept = control.world.sql("SELECT text, normalized FROM keywords ORDER BY id")
    assert [normalized for _, normalized in kept] == ["tea", "strasse 5", "чай"]
    assert all(normalized == normalize(text) for text, normalized in kept)
    assert (await add(control, "STRASSE 5", "tea 🍵", "Чай!"))["duplicates"] == 3
