"""Links for people without a login: what they open, for how long, and what they must not open."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute

from tests.support.control_things import add, furnish
from tests.support.control_world import Control
from tests.support.page_world import APP, Browser, content_hash_in

pytestmark = pytest.mark.integration


async def link(control: Control, user: str = "ann", **body: Any) -> dict[str, Any]:
    """A link that somebody has made through the API."""
    wanted = {"recipient": "Kim of Acme", "role": "approver", **body}
    made = await control("POST", "/links", user=user, json=wanted, expect=201)
    answer: dict[str, Any] = made.json()
    return answer


async def test_a_queue_is_read_and_decided_by_link_and_the_log_says_who_sent_it(browser: Browser) -> None:
    world = browser.control.world
    art = furnish(world)["article"]
    made = await link(browser.control)
    place = await browser.follow(made["url"])
    assert place == f"/shared/{made['id']}/review"
    html = await browser.open(f"{place}?piece={art}", None)
    assert f"/shared/{made['id']}/review/{art}/approve" in html
    assert "Write again" not in html
    publication = await browser.answer("GET", f"{place}?piece=pub_1", None)
    assert publication.status_code == 404
    assert "not known" not in html
    assert 'href="/"' not in html
    preview = await browser.open(f"/shared/{made['id']}/content/{art}/preview", None)
    assert "Text." in preview
    seen = content_hash_in(html)
    done = await browser.send(place, f"{place}/{art}/approve", None, content_hash=seen)
    assert f"{art} is approved" in done
    number = made["id"].removeprefix("lnk_")
    assert world.sql("SELECT status, approved_by FROM contents") == [("approved", f"link:{number}")]
    [(actor, details)] = world.sql("SELECT actor, details FROM audit_log WHERE action = 'article.approve'")
    assert actor == f"link:{number}"
    assert (details["recipient"], details["sent_by"]) == ("Kim of Acme", "user:ann")


async def test_a_link_that_only_reads_decides_nothing(browser: Browser) -> None:
    art = furnish(browser.control.world)["article"]
    place = await browser.follow((await link(browser.control, role="viewer"))["url"])
    assert "/approve" not in await browser.open(place, None)
    refused = await browser.send(place, f"{place}/{art}/reject", None, expect=403, reason="No.")
    assert "needs the role approver" in refused
    await browser.send(place, f"{place}/approve", None, expect=403, account="demo", piece="art_1:x")


async def test_a_link_to_one_piece_opens_that_piece_alone(browser: Browser) -> None:
    world, things = browser.control.world, furnish(browser.control.world)
    [(task,)] = world.sql(
        "INSERT INTO tasks (account_id, site_id, idea_id) SELECT account_id, site_id, id FROM ideas"
        " WHERE id NOT IN (SELECT idea_id FROM tasks) RETURNING id"
    )
    other = add(
        world, "contents", site_id=world.site_id, task_id=task, title="Neighbour", slug="n", status="review",
        meta_description="", html="<p>Other.</p>", excerpt="", word_count=1, model="m",
    )  # fmt: skip
    made = await link(browser.control, opens="piece", piece=things["article"])
    place = await browser.follow(made["url"])
    assert place == f"/shared/{made['id']}/review?piece={things['article']}"
    assert "Neighbour" not in await browser.open(place, None)
    base = f"/shared/{made['id']}"
    closed = (f"art_{other}", things["post"])
    for path in (*(f"/review?piece={piece}" for piece in closed), f"/content/art_{other}/preview"):
        answer = await browser.answer("GET", base + path, None)
        assert answer.status_code == 404, path
        assert "Neighbour" not in answer.text
    assert "Neighbour" not in await browser.open(f"{base}/review/list?account=demo", None)
    seen = (await browser.control.get(f"/content/art_{other}"))["content_hash"]
    many = await browser.send(
        place, f"{base}/review/approve", None, account="demo", piece=f"art_{other}:{seen}"
    )
    assert "0 pieces approved, 1 not" in many
    await browser.send(place, f"{base}/review/art_{other}/reject", None, expect=404, reason="No.")
    assert world.sql("SELECT status FROM contents WHERE id = %s", other) == [("review",)]


async def test_a_link_to_a_sites_queue_shows_no_mission(browser: Browser) -> None:
    things = furnish(browser.control.world)
    made = await link(browser.control, site_id=int(things["site"]))
    place = await browser.follow(made["url"])
    html = await browser.open(place, None)
    assert "1 waits" in html
    assert "Launch" not in html
    answer = await browser.answer("GET", f"{place}?piece={things['post']}", None)
    assert answer.status_code == 404


ENDED = {
    "revoked": "UPDATE links SET revoked_at = now()",
    "expired": "UPDATE links SET expires_at = now()",
    "its maker is no member": "DELETE FROM members WHERE username = 'ann'",
}


@pytest.mark.parametrize("end", ENDED)
async def test_a_link_that_is_over_opens_nothing_any_more(browser: Browser, end: str) -> None:
    furnish(browser.control.world)
    made = await link(browser.control)
    place = await browser.follow(made["url"])
    await browser.open(place, None)
    browser.control.world.sql(ENDED[end])
    refused = await browser.answer("GET", place, None)
    assert refused.status_code == 401
    assert "has expired, or was revoked" in refused.text
    assert "Airflow" not in refused.text
    assert "has expired, or was revoked" in await browser.follow(made["url"])


async def test_a_link_decides_no_more_than_its_maker_may_today(browser: Browser) -> None:
    art = furnish(browser.control.world)["article"]
    place = await browser.follow((await link(browser.control))["url"])
    browser.control.world.sql("UPDATE members SET role = 'editor' WHERE username = 'ann'")
    await browser.open(place, None)
    await browser.send(place, f"{place}/{art}/reject", None, expect=403, reason="No.")


async def test_a_link_of_a_key_ends_with_the_key(browser: Browser) -> None:
    control = browser.control
    furnish(control.world)
    body = {"name": "ci", "role": "approver"}
    key = (await control("POST", "/api-keys", user="olga", json=body, expect=201)).json()
    headers = {"Authorization": f"Bearer {key['key']}"}
    made = await control("POST", "/links", user=None, headers=headers, json={"recipient": "Kim"}, expect=201)
    place = await browser.follow(made.json()["url"])
    await browser.open(place, None)
    await control("DELETE", f"/api-keys/{key['id']}", user="olga", expect=200)
    assert (await browser.answer("GET", place, None)).status_code == 401


async def test_a_secret_is_in_no_path_log_or_answer_but_its_own(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = await link(browser.control)
    secret = made["url"].partition("#")[2]
    assert len(secret) > 40
    page = await browser.open(await browser.follow(made["url"]), None)
    assert secret not in page
    assert secret not in caplog.text
    for path in ("/links", "/audit"):
        assert secret not in (await browser.control("GET", path, user="olga", expect=200)).text
    assert secret not in str(browser.control.world.sql("SELECT * FROM links"))
    landing = await browser.answer("GET", "/link", None)
    assert landing.headers["cache-control"] == "no-store"
    assert landing.headers["x-robots-tag"] == "noindex"
    cookie = next(each for each in browser.client.cookies.jar if each.name == "pressroom_link")
    assert cookie.path == f"/shared/{made['id']}"
    assert cookie.has_nonstandard_attr("HttpOnly")


async def test_the_cookie_of_one_link_opens_no_other_and_no_page_with_a_login(browser: Browser) -> None:
    furnish(browser.control.world)
    first, second = await link(browser.control), await link(browser.control)
    await browser.follow(first["url"])
    secret = first["url"].partition("#")[2]
    headers = {"Cookie": f"pressroom_link={secret}"}
    for path, status in (
        (f"/shared/{second['id']}/review", 401), ("/shared/lnk_99/review", 401), ("/shared/nothing", 401),
        (f"/shared/{first['id']}/reports/sites/1", 404), (f"/shared/{first['id']}/review", 200),
        ("/", 303), ("/review", 303), ("/sites/1", 303),
    ):  # fmt: skip
        answer = await browser.answer("GET", path, None, headers=headers)
        assert answer.status_code == status, (path, answer.text[:500])
    await browser.control(
        "GET", "/links", user=None, headers={"Authorization": f"Bearer {secret}"}, expect=401
    )


@pytest.mark.parametrize("secret", ["", "wrong", "prl_" + "x" * 43])
async def test_a_wrong_secret_opens_nothing(browser: Browser, secret: str) -> None:
    assert "has expired, or was revoked" in await browser.follow(f"/link#{secret}")


async def test_who_guesses_secrets_is_held_up_and_who_has_one_is_not(browser: Browser) -> None:
    furnish(browser.control.world)
    made = await link(browser.control)
    place = await browser.follow(made["url"])
    for number in range(40):
        said = await browser.follow(f"/link#prl_{number}")
    assert "Too many requests" in said
    await browser.open(place, None)


async def test_somebody_else_cannot_send_the_form_of_the_landing_page(browser: Browser) -> None:
    made = await link(browser.control)
    form = {"form_token": "A" * 43, "secret": made["url"].partition("#")[2]}
    answer = await browser.answer("POST", "/link", None, data=form)
    assert answer.status_code == 403
    assert "pressroom_link" not in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"opens": "piece"}, "names it"),
        ({"piece": "art_1"}, "names it"),
        ({"opens": "report"}, "a report is of a site or a mission"),
        ({"site_id": 1, "mission_id": "msn_1"}, "is for one thing"),
        ({"opens": "report", "site_id": 1, "role": "approver"}, "nothing is decided"),
        ({"recipient": "  "}, "recipient"),
        ({"expires_at": (datetime.now(UTC) + timedelta(days=100)).isoformat()}, "at most 90 days"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "must be ahead"),
        ({"role": "owner"}, "role"),
    ],
)
async def test_a_link_that_makes_no_sense_is_refused_with_its_field(
    control: Control, body: dict[str, Any], said: str
) -> None:
    answer = await control("POST", "/links", user="ann", json={"recipient": "Kim", **body}, expect=422)
    assert said in answer.text


@pytest.mark.parametrize("of", [{"piece": "art_{other}", "opens": "piece"}, {"site_id": 0}])
async def test_no_link_is_made_to_what_is_anothers(control: Control, of: dict[str, Any]) -> None:
    other = control.other.site_id
    if "site_id" in of:
        of = {"site_id": other}
    else:
        of = {**of, "piece": furnish(control.other)["article"]}
    await control("POST", "/links", user="ann", json={"recipient": "Kim", **of}, expect=404)
    assert control.world.sql("SELECT count(*) FROM links WHERE recipient = 'Kim'") == [(0,)]


async def test_every_page_of_a_link_is_one_that_links_are_for() -> None:
    """What a link's pages can do is listed here, so that nothing is added to them unseen."""
    shared = {
        f"{sorted(route.methods)[0]} {route.path.removeprefix('/shared/{link}')}"
        for route in APP.routes
        if isinstance(route, APIRoute) and route.path.startswith("/shared")
    }
    assert shared == {
        "GET /review", "GET /review/events", "GET /review/list", "POST /review/approve",
        "POST /review/{id}/approve", "POST /review/{id}/reject", "POST /review/{id}/edit",
        "GET /content/{id}/preview", "GET /content/{id}/images/{position}", "POST /review/gates/{id}/answer",
        "GET /content/{id}/targets/{position}",
        "GET /reports/sites/{id}", "GET /reports/missions/{id}",
    }  # fmt: skip
