"""The page: rights, tenants, forms, what browsers may do with it, and texts that mean harm."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

from pressroom.api.kit.access import rule_of
from pressroom.api.kit.pictures import HEADERS
from pressroom.page.app import POLICY
from pressroom.page.kit.pages import STATIC
from tests.support.control_things import furnish
from tests.support.page_world import APP, Browser, content_hash_in

PIECE_RULES = HEADERS["Content-Security-Policy"]
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7 * 7 }} \u202egnp.exe"
ROUTES = [
    route for route in APP.routes if isinstance(route, APIRoute) and not route.path.startswith("/shared/")
]
GETS = [route for route in ROUTES if "GET" in route.methods]
POSTS = [route for route in ROUTES if "POST" in route.methods]


def path_of(route: APIRoute, things: dict[str, str]) -> str:
    rule = rule_of(route)
    assert rule is not None
    kind = rule.kind
    path = route.path.replace("{id}", things.get("run" if kind == "job" else kind, ""))
    path = path.replace("{position}", "0")
    return path.replace("{dag_id}", "site__brew").replace("{dag_run_id}", "s")


@pytest.mark.parametrize(
    "route", [each for each in GETS if not each.path.endswith("/events")], ids=lambda r: r.path
)
async def test_a_page_is_for_members_and_nobody_else(browser: Browser, route: APIRoute) -> None:
    things = furnish(browser.control.world)
    path = path_of(route, things)
    answer = await browser.answer("GET", path, None)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/auth/login/?next=%2F")
    answer = await browser.answer("GET", path, "vera")
    assert answer.status_code in (200, 303, 404 if "{position}" in route.path else 200), answer.text
    of_a_piece = "/preview" in path and answer.status_code == 200
    assert answer.headers["Content-Security-Policy"] == (PIECE_RULES if of_a_piece else POLICY)
    stranger = await browser.answer("GET", path, "stella")
    assert stranger.status_code in (200, 404)
    assert browser.control.world.site.name not in stranger.text


@pytest.mark.parametrize("route", POSTS, ids=lambda r: r.path)
async def test_a_form_is_refused_to_strangers_lower_roles_and_without_its_token(
    browser: Browser, route: APIRoute
) -> None:
    things = furnish(browser.control.world)
    path = path_of(route, things)
    audit = browser.control.audit()
    if "{id}" in route.path:
        stranger = await browser.send("/", path, "stella", expect=404)
        assert "there is no such" in stranger.lower()
        viewer = await browser.send("/", path, "vera", expect=403)
        assert "needs the role" in viewer
    without = await browser.answer("POST", path, "olga", data={"content_hash": "x"})
    assert without.status_code == 403
    assert "form" in without.text
    elsewhere = await browser.answer(
        "POST", path, "olga", headers={"Sec-Fetch-Site": "cross-site"}, data={"a": "b"}
    )
    assert elsewhere.status_code == 403
    assert browser.control.audit() == audit


async def test_a_token_of_another_browser_is_refused(browser: Browser) -> None:
    site = browser.control.world.site_id
    await browser.open(f"/sites/{site}")
    forged = await browser.answer("POST", f"/sites/{site}/run", data={"form_token": "A" * 43})
    assert forged.status_code == 403
    assert browser.control.plane.triggered == []


async def test_no_page_has_a_script_or_a_style_of_its_own(browser: Browser) -> None:
    things = furnish(browser.control.world)
    for route in GETS:
        if route.path.endswith(("/events", "/preview")):
            continue
        html = (await browser.answer("GET", path_of(route, things), "olga")).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", html), route.path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html), route.path
        assert not re.search(r'(src|href)="(https?:)?//', html), route.path


async def test_titles_and_messages_are_text_whatever_they_say(browser: Browser) -> None:
    world = browser.control.world
    things = furnish(world)
    run = int(things["run"].removeprefix("job_"))
    world.sql("UPDATE sites SET definition = definition || jsonb_build_object('name', %s::text)", HOSTILE)
    world.sql(
        "UPDATE contents SET title = %s, review_note = %s, meta_description = %s", HOSTILE, HOSTILE, HOSTILE
    )
    world.sql("UPDATE runs SET error_message = %s, owner = %s", HOSTILE, HOSTILE)
    world.sql(
        "INSERT INTO item_failures (account_id, workflow_id, stage, item, error_class, error, run_id)"
        " VALUES (%s, %s, 'content', '1', 'X', %s, %s)", world.account_id, world.site_id, HOSTILE, run,
    )  # fmt: skip
    world.sql(
        "INSERT INTO run_events (account_id, run_id, id, stage, kind, message)"
        " VALUES (%s, %s, 1, 'content', 'x', %s)",
        world.account_id, run, HOSTILE,
    )  # fmt: skip
    for path in ("/", f"/sites/{world.site_id}", f"/runs/{things['run']}", "/review"):
        html = await browser.open(path, "olga")
        assert "&lt;script&gt;alert(1)" in html, path
        assert "<script>alert" not in html, path
        assert "<img src=x" not in html, path
        assert "{{ 7 * 7 }}" in html, path


async def test_somebody_without_an_account_reads_what_to_do(browser: Browser) -> None:
    html = await browser.open("/", "nobody")
    assert "You belong to no account yet" in html
    assert "nobody" in html
    assert "Nothing waits" in await browser.open("/review", "nobody")


async def test_the_operations_are_filtered_and_sorted(browser: Browser) -> None:
    world = browser.control.world
    furnish(world)
    html = await browser.open("/", "vera")
    assert world.site.name in html
    assert "3 workflows" in html
    assert "1 workflow of 3" in await browser.open("/?kind=mission", "vera")
    assert "Nothing matches" in await browser.open("/?q=zzz", "vera")
    assert "1 workflow of 3" in await browser.open(f"/?q={world.site.slug}&kind=site&sort=spend", "vera")
    await browser.open("/?sort=nonsense", "vera", expect=404)


async def test_an_administrator_sees_every_account(browser: Browser) -> None:
    html = await browser.open("/", "root")
    assert "demo" in html
    assert "elsewhere" in html or "other" in html


async def test_a_run_is_started_once_however_often_its_form_is_sent(browser: Browser) -> None:
    world = browser.control.world
    page = f"/sites/{world.site_id}"
    html = await browser.send(page, f"{page}/run", once="abc", articles="3")
    assert "has started" in html
    await browser.send(page, f"{page}/run", once="abc", articles="3")
    assert [params for _, _, params in browser.control.plane.triggered] == [{"articles": 3}]
    assert [line[:2] for line in browser.control.audit()][-1] == ("user:ed", "job.start")
    wrong = await browser.send(page, f"{page}/run", expect=422, once="x", articles="none")
    assert "articles: must be a number" in wrong


async def test_a_run_is_paused_resumed_and_cancelled(browser: Browser) -> None:
    world = browser.control.world
    page = f"/sites/{world.site_id}"
    await browser.send(page, f"{page}/run", once="abc")
    [(run,)] = world.sql("SELECT id FROM runs")
    for action, said in (
        ("pause", "The run pauses"), ("resume", "The run goes on"), ("cancel", "is being cancelled"),
    ):  # fmt: skip
        assert said in await browser.send(page, f"{page}/{action}", run=f"job_{run}")
    assert [line[1] for line in browser.control.audit()] == [
        "job.start",
        "job.pause",
        "job.resume",
        "job.cancel",
    ]
    refused = await browser.send(page, f"{page}/pause", expect=409, run=f"job_{run}")
    assert 'class="notice bad"' in refused


async def test_a_run_of_another_workflow_is_not_steered_from_here(browser: Browser) -> None:
    things = furnish(browser.control.world)
    page = f"/missions/{things['mission']}"
    await browser.send(page, f"{page}/pause", expect=404, run=things["run"])
    await browser.send(page, f"{page}/pause", expect=404, run="job_999999")


async def test_the_log_goes_on_after_the_last_line(browser: Browser) -> None:
    world = browser.control.world
    things = furnish(world)
    run = int(things["run"].removeprefix("job_"))
    for number in range(1, 151):
        level = "error" if number == 150 else "info"
        world.sql(
            "INSERT INTO run_events (account_id, run_id, id, stage, kind, level, message)"
            " VALUES (%s, %s, %s, 'content', 'x', %s, %s)",
            world.account_id, run, number, level, f"line {number} was written",
        )  # fmt: skip
    page = f"/sites/{world.site_id}/log?run={things['run']}"
    first = await browser.open(f"{page}&lines=50", "vera")
    assert first.count('<li class="line') == 50
    assert "after=150" in first.replace("&amp;", "&")
    assert "line 101 was" in first
    assert "line 100 was" not in first
    assert (await browser.open(f"{page}&after=148", "vera")).count('<li class="line') == 2
    assert (await browser.open(f"{page}&level=error", "vera")).count('<li class="line') == 1
    assert (await browser.open(f"{page}&words=line+7+was", "vera")).count('<li class="line') >= 1
    assert "No line matches" in await browser.open(f"{page}&stage=ideas", "vera")
    followed = f"/sites/{world.site_id}/log?of={things['run']}&after=150"
    assert (await browser.open(followed, "vera")).count('<li class="line') == 0
    other = followed.replace(things["run"], "job_99")
    assert (await browser.open(other, "vera")).count('<li class="line') == 100


async def test_an_article_is_approved_in_the_version_that_was_seen(browser: Browser) -> None:
    world = browser.control.world
    things = furnish(world)
    art = things["article"]
    html = await browser.open(f"/review?piece={art}", "ann")
    found = content_hash_in(html)
    stale = await browser.send("/review", f"/review/{art}/approve", "ann", expect=409, content_hash="0" * 64)
    assert 'class="notice bad"' in stale
    done = await browser.send("/review", f"/review/{art}/approve", "ann", content_hash=found)
    assert f"{art} is approved" in done
    assert world.sql("SELECT status, approved_by FROM contents") == [("approved", "user:ann")]


async def test_a_rejection_has_a_reason_and_an_edit_a_new_version(browser: Browser) -> None:
    world = browser.control.world
    art = furnish(world)["article"]
    await browser.send("/review", f"/review/{art}/reject", "ann", expect=422, reason="  ")
    html = await browser.open(f"/review?piece={art}", "ann")
    found = content_hash_in(html)
    saved = await browser.send(
        "/review",
        f"/review/{art}/edit",
        "ann",
        content_hash=found,
        title="Better",
        html="<p>New text.</p>",
    )
    assert "Saved" in saved
    assert "Better" in saved
    await browser.send("/review", f"/review/{art}/approve", "ann", expect=409, content_hash=found)
    await browser.send("/review", f"/review/{art}/reject", "ann", reason="Too short.")
    assert world.sql("SELECT status, review_note FROM contents") == [("rejected", "user:ann: Too short.")]


async def test_many_are_approved_and_each_says_why_it_was_not(browser: Browser) -> None:
    world = browser.control.world
    art = furnish(world)["article"]
    html = await browser.open(f"/review?piece={art}", "ann")
    found = content_hash_in(html)
    both = [f"{art}:{found}", f"art_99999:{'0' * 64}"]
    said = await browser.send("/review", "/review/approve", "ann", account="demo", piece=both)
    assert "1 piece approved, 1 not" in said
    await browser.send("/review", "/review/approve", "ann", expect=422, account="demo")
    await browser.send("/review", "/review/approve", "ed", expect=403, account="demo", piece=both)
    await browser.send("/review", "/review/approve", "ann", expect=404, account="other", piece=both)


async def test_ten_thousand_waiting_articles_are_a_queue_that_opens(browser: Browser) -> None:
    world = browser.control.world
    furnish(world)
    world.sql(
        "WITH i AS (INSERT INTO ideas (account_id, site_id, cluster_id, title, normalized, type)"
        " SELECT account_id, site_id, cluster_id, 'I' || n, 'i' || n, 'guide'"
        " FROM (SELECT * FROM ideas LIMIT 1) AS one, generate_series(1, 10000) AS n RETURNING *),"
        " t AS (INSERT INTO tasks (account_id, site_id, idea_id)"
        " SELECT account_id, site_id, id FROM i RETURNING *)"
        " INSERT INTO contents (account_id, site_id, task_id, title, slug, meta_description, html, excerpt,"
        " word_count, status, model)"
        " SELECT account_id, site_id, id, '日本語の記事 ' || id, 's' || id, '', '<p>x</p>', '', 5, 'review',"
        " 'm'"
        " FROM t"
    )
    html = await browser.open("/review", "ann")
    [(waiting,)] = world.sql(
        "SELECT (SELECT count(*) FROM contents WHERE status = 'review')"
        " + (SELECT count(*) FROM posts WHERE status = 'pending_review')"
    )
    assert waiting > 10_000
    assert f"{waiting + 1:,} wait" in html  # and a publication
    assert "200 are listed" in html
    assert len(html) < 500_000
    assert "10,0" in await browser.open("/", "ann")


async def test_failed_items_are_retried_from_the_page(browser: Browser) -> None:
    world = browser.control.world
    run = int(furnish(world)["run"].removeprefix("job_"))
    world.sql(
        "INSERT INTO item_failures (account_id, workflow_id, stage, item, error_class, error, run_id)"
        " VALUES (%s, %s, 'content', '1', 'X', 'too long', %s)", world.account_id, world.site_id, run,
    )  # fmt: skip
    page = f"/sites/{world.site_id}"
    assert "too long" in await browser.open(page)
    assert "1 item waits again" in await browser.send(page, f"{page}/retry-failed")
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]


async def test_a_dag_leads_to_its_workflow_and_a_foreign_one_says_so(browser: Browser) -> None:
    world = browser.control.world
    things = furnish(world)
    dag = world.site.dag_id
    answer = await browser.answer("GET", f"/dags/{dag}", "vera")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/sites/{world.site_id}")
    answer = await browser.answer("GET", f"/dags/{dag}/s", "vera")
    assert answer.headers["Location"] == f"/runs/{things['run']}"
    assert "none of Pressroom" in await browser.open("/dags/etl_daily", "vera")
    await browser.open(f"/dags/{dag}", "stella", expect=404)


async def test_what_the_page_needs_it_brings(browser: Browser) -> None:
    html = await browser.open("/")
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', html):
        answer = await browser.answer("GET", address, None)
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["Cache-Control"]
    missing = await browser.answer("GET", "/static/nothing.js", None)
    assert missing.status_code == 404
    assert (STATIC / "vendor/vendor.json").exists()


async def test_a_part_of_a_page_sends_an_expired_session_to_the_login(browser: Browser) -> None:
    answer = await browser.answer("GET", "/", None, headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"].startswith("/auth/login/")
