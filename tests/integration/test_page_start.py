"""The first run on the page: an account, a site, keywords, connections, each step on record."""

from __future__ import annotations

import re

from pressroom.engine.runs.verifying import CheckResult
from tests.support.control_world import Control
from tests.support.page_world import Browser


async def test_an_administrator_comes_from_nothing_to_a_run(browser: Browser) -> None:
    world = browser.control.world
    made = await browser.send(
        "/start", "/start/account", "root", title="急須 & Gärten", credits="50.5", everything="true"
    )
    assert "The account ji-xu-garten is made" in made
    assert world.sql("SELECT balance FROM accounts WHERE slug = 'ji-xu-garten'") == [(50.5,)]
    assert world.sql("SELECT username, role FROM members WHERE username = 'root'") == [("root", "owner")]
    answer = await browser.post(
        "/start/site", "root", account="ji-xu-garten", title="Beete", target="static_site"
    )
    assert answer.status_code == 303
    page = answer.headers["Location"]
    assert re.fullmatch(r"/sites/\d+/start", page)
    steps = await browser.open(page, "root")
    assert "0 keywords are there; a run needs at least 5" in steps
    assert 'id="first-run"' not in steps
    site = page.removesuffix("/start")
    pasted = "\n".join(f"beet {n}" for n in range(6))
    await browser.send(page, f"{site}/keywords/import", "root", pasted=pasted)
    steps = await browser.open(page, "root")
    assert "6 keywords are there" in steps
    assert 'id="first-run"' in steps
    for need in ("The model that writes", "The storage of pictures", "The target static_site"):
        assert need in steps
    started = await browser.send(page, f"{site}/run", "root", once="x", articles="1")
    assert "has started" in started
    assert browser.control.plane.triggered[0][2] == {"articles": 1}
    assert [line[:2] for line in browser.control.audit()] == [
        ("user:root", "account.create"), ("user:root", "account.grant"), ("user:root", "site.create"),
        ("user:root", "keyword.import"), ("user:root", "keyword.imported"), ("user:root", "job.start"),
    ]  # fmt: skip


async def test_what_is_wrong_with_an_account_or_a_site_is_said_and_what_was_typed_stays(
    browser: Browser,
) -> None:
    for fields, reason in (
        ({"title": ""}, "slug"),
        ({"title": "!?"}, "slug"),
        ({"title": "X", "credits": "many"}, "opening credits"),
    ):
        refused = await browser.send("/start", "/start/account", "root", expect=422, **fields)
        assert reason in refused
    taken = await browser.send("/start", "/start/account", "root", expect=409, title="Demo", credits="7")
    assert "there is an account" in taken
    assert 'value="7"' in taken
    refused = await browser.send("/start", "/start/account", "olga", expect=403, title="Mine")
    assert "needs an administrator" in refused
    wrong = await browser.send("/start", "/start/site", "ed", expect=409, title="Brew", subject="tea")
    assert 'value="tea"' in wrong
    lacking = await browser.send("/start", "/start/site", "ed", expect=403, title="New", target="wordpress")
    assert "needs the role approver" in lacking
    await browser.send("/start", "/start/site", "vera", expect=403, title="New")
    await browser.send("/start", "/start/site", "stella", expect=404, account="demo", title="New")
    assert browser.control.audit() == []


async def test_each_connection_has_a_test_that_says_what_is_wrong(browser: Browser) -> None:
    plane, site = browser.control.plane, browser.control.world.site_id
    plane.findings = [CheckResult("clusters", "the key is wrong: set its password", problem=True)]
    page = f"/sites/{site}/start"
    html = await browser.open(page)
    ids = re.findall(r'name="need" value="([0-9a-f]+)"', html)
    assert len(ids) == len(set(ids)) >= 3
    wrong = await browser.send(page, f"{page}/test", need=ids[0])
    assert "does not work" in wrong
    assert "the key is wrong: set its password" in wrong
    assert plane.asked == [{"text"}]
    plane.findings = []
    row = await browser.post(f"{page}/test", headers={"HX-Request": "true"}, need=ids[0])
    assert row.text.strip().startswith(f'<tr id="need-{ids[0]}"')
    assert "works" in row.text
    await browser.send(page, f"{page}/test", expect=404, need="x")
    assert browser.control.audit() == []


async def test_who_may_make_nothing_reads_who_can(browser: Browser) -> None:
    assert "An administrator of this Airflow makes an account" in await browser.open("/start", "nobody")
    assert "You read only" in await browser.open("/start", "vera")
    assert "New site" in await browser.open("/", "ed")
    assert "New site" not in await browser.open("/", "vera")


async def test_the_api_makes_an_account_for_administrators_only(control: Control) -> None:
    body = {"slug": "third", "name": "Third", "opening_credits": 5, "members": {"ann": "editor"}}
    made = (await control("POST", "/accounts", user="root", json=body, expect=201)).json()
    assert made == {"account": "third", "role": "owner", "balance": 5, "reserved": 0, "available": 5}
    await control("POST", "/accounts", user="root", json=body, expect=409)
    await control("POST", "/accounts", user="olga", json=body | {"slug": "fourth"}, expect=403)
    await control("POST", "/accounts", user="root", json=body | {"slug": "No slug"}, expect=422)
    members = control.world.sql(
        "SELECT username, role FROM members JOIN accounts ON accounts.id = account_id"
        " WHERE slug = 'third' ORDER BY 1"
    )
    assert members == [("ann", "editor"), ("root", "owner")]
    # Another account was made: the first ones keep what they name, and nothing more.
    assert (await control.get("/grants", user="root", account="third")) == []


async def test_the_api_names_what_a_site_needs_and_checks_one_of_it(control: Control) -> None:
    path = f"/sites/{control.world.site_id}"
    needs = await control.get(f"{path}/needs")
    text = next(each for each in needs if each["title"] == "the model that writes")
    assert text["connection"] == "pressroom_text"
    assert text["stages"] == ["clusters", "ideas", "content", "image_prompts"]
    await control("POST", f"{path}/check", params={"need": text["id"]}, expect=200)
    assert control.plane.asked == [{"text"}]
    await control("POST", f"{path}/check", params={"need": "none"}, expect=404)
