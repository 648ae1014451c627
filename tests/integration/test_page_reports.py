"""Reports for clients: numbers to the digit, and who sees them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pressroom.store.database import Store
from tests.support.control_things import add
from tests.support.control_world import Control
from tests.support.mission_world import make_mission
from tests.support.outcome_world import ARABIC, HOUR, JAPANESE, KPIS, OutcomeWorld, with_outcomes
from tests.support.page_world import Browser, main_text
from tests.support.world import World

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def made(control: Control, store: Store, database_url: str, tmp_path: Path) -> OutcomeWorld:
    world = make_mission(
        database_url, store, kpis=list(KPIS), constraints={"timezone": "Europe/Berlin"}, objectives=[HOSTILE]
    )
    return with_outcomes(world, tmp_path)


def published(world: World, title: str, at: datetime, words: int, keywords: list[str], **columns: Any) -> int:
    """An article that a target has, with one picture drawn and one not."""
    name = f"{title[:20]} {at.isoformat()}"
    own = {"site_id": world.site_id}
    cluster = add(world, "clusters", name=name, normalized=name, **own)
    idea = add(
        world,
        "ideas",
        cluster_id=cluster,
        title=name,
        normalized=name,
        type="guide",
        target_keywords=keywords,
        **own,
    )
    task = add(world, "tasks", idea_id=idea, **own)
    facts = {"status": "published", "published_at": at, "created_at": at, **columns}
    article = add(
        world, "contents", task_id=task, title=title, slug=name, meta_description="", html="<p>x</p>",
        excerpt="", word_count=words, model="m", **own, **facts,
    )  # fmt: skip
    drawn = {"status": "generated", "media_url": "file:///x.png"}
    for position, role, more in ((0, "featured", drawn), (1, "in_article", {})):
        image = {"role": role, "position": position, "prompt": "p", "alt": "a"}
        add(world, "images", content_id=article, **image, **own, **more)
    return article


def sent(world: World, run: int, article: int, target: str, status: str = "confirmed", url: str = "") -> None:
    add(
        world, "publications", workflow_id=world.site_id, run_id=run, content=f"article:{article}",
        target=target, status=status, content_hash="h", scheduled_for=datetime.now(UTC), public_url=url,
        external_id=f"{target}{article}",
    )  # fmt: skip


@pytest.fixture
def site(control: Control) -> World:
    """March 2026 in Tokyo: two articles of 1,200 and 805 words; one of 999 in February, at its last minute
    there; one that was taken back; one that waits.
    """
    world = control.world
    world.sql("UPDATE automation_configs SET timezone = 'Asia/Tokyo'")
    run = world.run("made").id
    # The month begins at 15:00 in UTC, the day before.
    edge = datetime(2026, 2, 28, 15, tzinfo=UTC)
    first = published(world, ARABIC, edge, 1200, ["قهوة", "kettle"])
    second = published(world, JAPANESE, datetime(2026, 3, 31, 14, 59, tzinfo=UTC), 805, ["kettle", "ケトル"])
    before = published(world, "Before", edge - timedelta(seconds=1), 999, ["kettle"])
    after = published(world, "After", datetime(2026, 3, 31, 15, tzinfo=UTC), 50, ["mill"])
    back = published(world, "Taken back", edge + timedelta(days=2), 700, ["mill"])
    published(world, "Waits", edge + timedelta(days=3), 10, ["mill"], status="review", published_at=None)
    for article in (first, second, before, after):
        sent(world, run, article, "mirror", url=f"https://mirror.example/{article}")
    sent(world, run, first, "wordpress", "accepted", "javascript:alert(1)")
    sent(world, run, back, "mirror", "withdrawn")
    return world


async def test_a_sites_month_is_right_to_the_digit(browser: Browser, site: World) -> None:
    html = await browser.open(f"/reports/sites/{site.site_id}?month=2026-03", "vera")
    text = main_text(html)
    # 1,200 + 805 words; a picture each; قهوة, kettle and ケトル; one article of 999 words before.
    assert "Brew March 2026" in text
    assert "2 articles published +1 against 1 the month before" in text
    assert "2,005 words +1,006 against 999 the month before" in text
    assert "2 pictures 3 search terms covered" in text
    # Written: the two, the one that was taken back, and the one that waits.
    assert "Written this month 4 Approved this month 0 Waiting for review now 1" in text
    assert "All 2,005 2" in text
    assert html.index(ARABIC) < html.index(JAPANESE)
    assert all(title not in text for title in ("Before", "After", "Taken back", "Waits"))
    assert "https://mirror.example/" in html
    assert "javascript:" not in html
    report = await browser.control.get(f"/sites/{site.site_id}/report", month="2026-03")
    assert (report["published"], report["words"], report["pictures"], report["keywords"]) == (2, 2005, 2, 3)
    assert [place["target"] for place in report["articles"][0]["places"]] == ["mirror", "wordpress"]


async def test_the_last_month_with_something_is_shown_first(browser: Browser, site: World) -> None:
    path = f"/reports/sites/{site.site_id}"
    text = main_text(await browser.open(path, "vera"))
    assert "April 2026" in text
    assert "1 article published −1 against 2 the month before" in text
    empty = main_text(await browser.open(f"{path}?month=2020-12", "vera"))
    assert "No article was published in this month." in empty
    assert "0 articles published none the month before" in empty
    assert 'month=2021-01"' in await browser.open(f"{path}?month=2020-12", "vera")
    for wrong, status in (("2026-13", 404), ("march", 404), ("0001-01", 422)):
        await browser.open(f"{path}?month={wrong}", "vera", expect=status)


async def test_a_missions_month_is_right_to_the_digit(browser: Browser, made: OutcomeWorld) -> None:
    html = await browser.open(f"/reports{made.path}?month=2026-03", "vera")
    text = main_text(html)
    # 30 + 50 + 25 engagements of 1,000 + 1,000 + 400 impressions: 105 / 2,400 = 4.375 %.
    assert "3 posts published none the month before" in text
    assert "2,400 impressions" in text
    assert "105 engagements" in text
    assert "4.38 % engagement rate – the month before" in text
    assert "linkedin 400 25 6.25 % 3 1 twitter 2,000 80 4.00 % 6 2 All 2,400 105 4.38 % 9 3" in text
    assert html.index(JAPANESE) < html.index(ARABIC) < html.index("What a very long topic")
    assert "engagements twitter on track 105 1,000 75" in text
    assert html.count('<rect class="bar"') == 31
    assert "2 Mar: 80 engagements of 2 posts" in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert" not in html


async def test_a_post_belongs_to_the_month_of_its_publication_in_the_missions_zone(
    browser: Browser, made: OutcomeWorld
) -> None:
    # Half past ten in the evening of the last day, in UTC: half past midnight of April in Berlin.
    at = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
    report, run = made.report, made.runs[2]
    post = report.post(made.cycles[2], report.slot(made.cycles[2], at, "April"), status="published")
    report.publication(run, post, "confirmed", at, external_id="april")
    march = await browser.control.get(f"{made.path}/report", month="2026-03")
    april = await browser.control.get(f"{made.path}/report", month="2026-04")
    assert (march["published"], april["published"], april["published_before"]) == (3, 1, 3)
    assert april["before"]["engagements"] == 105
    # It was not read yet: it counts as published, and is in no sum.
    assert april["totals"]["posts"] == 0
    assert april["totals"]["engagement_rate"] is None
    text = main_text(await browser.open(f"/reports{made.path}?month=2026-04", "vera"))
    assert "April twitter 1 Apr not read yet" in text
    assert "1 post not read yet is in no sum" in text
    report.metrics(post, at, 24, 3, 1)
    assert "3 1 33.33 %" in main_text(await browser.open(f"/reports{made.path}?month=2026-04", "vera"))
    # A later reading replaces it, and does not add to it.
    report.metrics(post, at, 48, 8, 2)
    april = await browser.control.get(f"{made.path}/report", month="2026-04")
    assert (april["totals"]["impressions"], april["totals"]["engagement_rate"]) == (8, 25.0)


async def test_a_month_of_many_posts_lists_the_best_and_sums_all(
    browser: Browser, made: OutcomeWorld
) -> None:
    report, run = made.report, made.runs[0]
    at = datetime(2026, 5, 10, 8, tzinfo=UTC)
    for number in range(201):
        when = at + number * HOUR
        post = report.post(made.cycles[0], report.slot(made.cycles[0], when, f"Topic {number}"))
        report.publication(run, post, "confirmed", when, external_id=f"many-{number}")
        report.metrics(post, when, 1, 10, 1 if number else 0)
    html = await browser.open(f"/reports{made.path}?month=2026-05", "vera")
    text = main_text(html)
    assert "The 200 posts with the most engagements are listed; the sums are over all 201." in text
    assert "201 posts published" in text
    assert "All 2,010 200 9.95 % 603 201" in text
    assert "Topic 0 " not in text
    assert "Topic 200 " in text


async def test_what_was_learned_is_that_of_the_months_cycles(browser: Browser, made: OutcomeWorld) -> None:
    made.world.sql("UPDATE cycles SET measured_at = '2026-03-09T00:00Z' WHERE number = 1")
    march = await browser.control.get(f"{made.path}/report", month="2026-03")
    assert [each["finding"] for each in march["findings"]] == ["Posts at 18:00 get 1.7 times the engagements"]
    assert (await browser.control.get(f"{made.path}/report", month="2026-04"))["findings"] == []


async def test_a_link_opens_the_report_and_nothing_else(browser: Browser, made: OutcomeWorld) -> None:
    page = f"/reports{made.path}"
    assert "Send a link" not in await browser.open(page, "ed")
    await browser.send(page, f"{page}/link", "ed", expect=403, recipient="Client", days="30")
    for wrong in ({"recipient": "Client", "days": "0"}, {"recipient": "", "days": "3"}, {"days": "many"}):
        assert 'class="notice bad"' in await browser.send(page, f"{page}/link", "ann", expect=422, **wrong)
    html = await browser.send(page, f"{page}/link", "ann", recipient="Client Ltd", days="30", month="2026-03")
    [link] = re.findall(r'readonly value="(http://pressroom/link#[^"]+)"', html)
    assert [line[:2] for line in browser.control.audit()] == [("user:ann", "link.make")]

    browser.client.cookies.clear()
    place = await browser.follow(link)
    assert place.endswith(f"/reports{made.path}")
    shown = await browser.open(place, None)
    assert "105" in main_text(shown)
    assert "Send a link" not in shown
    for inner in ("/review", "/runs/", "/missions/", "/dags/", "demo"):
        assert inner not in shown.replace(place, ""), inner
    shared = place.removesuffix(f"/reports{made.path}")
    assert (await browser.answer("GET", f"{shared}/reports/missions/msn_9", None)).status_code == 404
    assert (await browser.answer("GET", f"{shared}/review", None)).status_code == 404
    assert (await browser.post(f"{place}/link", None)).status_code == 404
    made.world.sql("UPDATE links SET revoked_at = now(), revoked_by = 'x'")
    assert (await browser.answer("GET", place, None)).status_code == 401
