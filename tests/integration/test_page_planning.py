"""Keywords, clusters and ideas on the page: previewed before they are saved, moved, kept and thrown away."""

from __future__ import annotations

import base64
import re

import pytest

from tests.support.control_things import furnish
from tests.support.control_world import Control
from tests.support.page_world import Browser

LIST = "Keyword;Volume;Intent;Owner\nteapot;1,200;info;ann\nkettle;;;\nteapot;;;\nmug;lots;;\n急須;90;;\n"


def texts(browser: Browser) -> list[str]:
    return [text for (text,) in browser.control.world.sql("SELECT text FROM keywords ORDER BY text")]


def encoded(text: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(text.encode(encoding)).decode()


async def test_a_list_is_previewed_and_saved_only_by_import(browser: Browser) -> None:
    page = f"/sites/{browser.control.world.site_id}/keywords"
    seen = await browser.send(page, f"{page}/preview", data=encoded(LIST))
    assert "3 keywords would be added" in seen
    assert "1 duplicate skipped" in seen
    assert "1 bad row" in seen
    assert "Columns: keyword, volume, intent" in seen
    assert "Not read: <bdi>owner" in seen
    assert "line 5: <bdi>the volume" in seen
    assert "<bdi>急須</bdi>" in seen
    assert texts(browser) == []
    assert browser.control.audit() == []
    sent = re.search(r'name="data" value="([^"]+)"', seen)
    assert sent
    done = await browser.send(page, f"{page}/import", data=sent[1])
    assert "3 keywords added, 1 duplicate skipped, 1 bad row left out." in done
    assert texts(browser) == ["kettle", "teapot", "急須"]
    assert [line[1] for line in browser.control.audit()] == ["keyword.import", "keyword.imported"]


async def test_a_file_in_another_encoding_and_pasted_lines_are_read(browser: Browser) -> None:
    page = f"/sites/{browser.control.world.site_id}/keywords"
    rows = "keyword,volume\nküche für kleine gärten,5\nöl für möbel,7\nwände grün streichen,9\n"
    seen = await browser.send(page, f"{page}/preview", data=encoded(rows, "cp1252"))
    assert "öl für möbel" in seen
    pasted = 'best teapots, ranked\r\n\r\nwhat is "gongfu"\r\n'
    seen = await browser.send(page, f"{page}/preview", pasted=pasted)
    assert "2 keywords would be added" in seen
    assert "best teapots, ranked" in seen


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "the list: is empty"),
        ({"data": "%%%"}, "the list: cannot be read"),
        ({"data": encoded("word,volume\nx,1\n")}, "needs a column &#39;keyword&#39;"),
        ({"data": base64.b64encode(b"PK\x03\x04xxxx").decode()}, "is a spreadsheet"),
    ],
)
async def test_a_list_that_cannot_be_used_says_why(
    browser: Browser, fields: dict[str, str], reason: str
) -> None:
    page = f"/sites/{browser.control.world.site_id}/keywords"
    for to in ("preview", "import"):
        assert reason in await browser.send(page, f"{page}/{to}", expect=422, **fields)
    assert texts(browser) == []


async def test_keywords_are_moved_into_a_cluster_a_new_one_and_none(browser: Browser) -> None:
    world = browser.control.world
    things = furnish(world)
    page = f"/sites/{world.site_id}/keywords"
    await browser.send(page, f"{page}/import", pasted="pots\npans")
    ids = [str(number) for (number,) in world.sql("SELECT id FROM keywords WHERE text <> 'K'")]
    places = "SELECT DISTINCT cluster_id, status FROM keywords WHERE text <> 'K'"
    moved = await browser.send(page, f"{page}/move", item=ids, to=things["cluster"])
    assert "2 keywords are moved" in moved
    assert world.sql(places) == [(int(things["cluster"]), "clustered")]
    made = await browser.send(page, f"{page}/move", item=ids[:1], to="new", new_cluster="Pots & pans")
    assert "1 keyword is moved" in made
    assert "Pots &amp; pans" in made
    assert len(world.sql(places)) == 2
    new = await browser.send(page, f"{page}/move", item=ids, to="none")
    assert "2 keywords are new again" in new
    assert world.sql(places) == [(None, "new")]
    lines = [line for line in browser.control.audit() if line[1] in ("keyword.move", "cluster.create")]
    assert [line[1] for line in lines] == ["keyword.move", "cluster.create", "keyword.move", "keyword.move"]
    await browser.send(page, f"{page}/move", expect=422, item=ids, to="99999")
    await browser.send(page, f"{page}/move", expect=422, to="none")
    await browser.send(page, f"{page}/move", expect=422, item=ids, to="new", new_cluster="!?")
    taken = await browser.send(page, f"{page}/move", expect=409, item=ids, to="new", new_cluster="pots pans")
    assert "has a cluster" in taken


async def test_nothing_of_another_site_is_moved_or_thrown_away(browser: Browser) -> None:
    world, other = browser.control.world, browser.control.other
    page = f"/sites/{world.site_id}/keywords"
    [(theirs,)] = world.sql(
        "INSERT INTO keywords (account_id, site_id, text, normalized) VALUES (%s, %s, 'x', 'x') RETURNING id",
        other.account_id, other.site_id,
    )  # fmt: skip
    await browser.send(page, f"{page}/move", expect=422, item=str(theirs), to="none")
    refused = await browser.send(page, f"{page}/disable", item=str(theirs))
    assert "0 keywords left out of clusters and prompts; 1 not" in refused
    assert world.sql("SELECT disabled FROM keywords WHERE id = %s", theirs) == [(False,)]
    assert browser.control.audit() == []


async def test_ideas_are_thrown_away_and_kept_before_they_cost_anything(browser: Browser) -> None:
    world = browser.control.world
    idea = furnish(world)["idea"]
    page = f"/sites/{world.site_id}/ideas"
    html = await browser.open(page)
    # 5 for the article, 2 for its prompts, and 4 pictures of 2 each.
    assert "is charged about 15 credits as an article with 4 pictures" in html
    away = await browser.send(page, f"{page}/throw-away", item=idea, state="new")
    assert "1 idea thrown away" in away
    state = "SELECT disabled FROM ideas WHERE id = %s"
    assert world.sql(state, int(idea)) == [(True,)]
    assert "thrown away" in await browser.open(f"{page}?state=away", "vera")
    kept = await browser.send(page, f"{page}/keep", item=idea, state="away")
    assert "1 idea kept" in kept
    assert world.sql(state, int(idea)) == [(False,)]
    assert [line[1] for line in browser.control.audit()] == ["idea.disable", "idea.enable"]
    world.sql("UPDATE ideas SET status = 'queued'")
    late = await browser.send(page, f"{page}/throw-away", item=idea)
    assert "this idea is queued" in late


async def test_ten_thousand_keywords_are_a_page_that_opens(browser: Browser) -> None:
    world = browser.control.world
    page = f"/sites/{world.site_id}/keywords"
    assert "There is no keyword yet" in await browser.open(page)
    rows = "keyword\n" + "\n".join(f"{'مفتاح طويل جدا ' * 8}{n}" for n in range(10_000))
    seen = await browser.send(page, f"{page}/preview", data=encoded(rows))
    assert "10,000 keywords would be added" in seen
    assert len(seen) < 4_000_000
    assert "10,000 keywords added" in await browser.send(page, f"{page}/import", data=encoded(rows))
    html = await browser.open(page)
    assert "10,000 keywords" in html
    assert html.count('name="item"') == 100
    older = re.search(r'href="([^"]+before=\d+)"', html)
    assert older
    following = await browser.open(older[1].replace("&amp;", "&"))
    assert following.count('name="item"') == 100


async def test_the_api_previews_a_list_and_moves_keywords(control: Control) -> None:
    things = furnish(control.world)
    site = control.world.site_id
    seen = (
        await control(
            "POST", "/keywords/preview", params={"site_id": site}, content=LIST.encode(),
            headers={"Content-Type": "text/csv"}, expect=200,
        )
    ).json()  # fmt: skip
    assert (seen["good"], seen["added"], seen["duplicates"], seen["bad_lines"]) == (3, 3, 1, 1)
    assert seen["rows"][0] == {
        "line": 2, "text": "teapot", "volume": 1200, "difficulty": None, "intent": "informational",
    }  # fmt: skip
    body = {"site_id": site, "ids": [int(things["keyword"])], "cluster_id": int(things["cluster"])}
    assert (await control("POST", "/keywords/move", json=body, expect=200)).json() == {"moved": 1}
    assert (await control("POST", "/keywords/move", json=body, expect=200)).json() == {"moved": 0}
    await control("POST", "/keywords/move", json=body | {"ids": [10**9]}, expect=422)
    assert [line[1] for line in control.audit()] == ["keyword.move"]
