"""The page in a browser, against a real Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.newsroom import Newsroom
from tests.support.browsing import PATIENCE_MS, chromium, picture, seriously_wrong, signed_in

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(420)]

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, newsroom: Newsroom) -> Iterator[Page]:
    info = newsroom.services.info
    with signed_in(browser, info.airflow_url, info.airflow_user, info.airflow_password) as opened:
        messages: list[str] = []
        opened.on(
            "console", lambda message: messages.append(message.text) if message.type == "error" else None
        )
        opened.on("pageerror", lambda error: messages.append(str(error)))
        yield opened
        # Playwright's pictures bring a style of their own, which the page's policy refuses.
        assert [each for each in messages if "script-src" in each or "Error:" in each] == []


@pytest.mark.site("paged")
def test_a_site_is_run_watched_and_reviewed_from_the_page(
    newsroom: Newsroom, page: Page, tmp_path: Path
) -> None:
    url = newsroom.services.info.airflow_url
    newsroom.queue("Kettles", "Filters", "Grinders")

    page.get_by_placeholder("Find by name").fill("paged")
    expect(page.get_by_role("link", name="The paged site", exact=True)).to_be_visible()
    expect(page.locator("#results tbody tr")).to_have_count(1)
    assert seriously_wrong(page) == []
    picture(page, tmp_path, "operations")
    page.get_by_role("link", name="The paged site", exact=True).click()
    expect(page.get_by_text("No run yet", exact=True)).to_be_visible()
    assert seriously_wrong(page) == []

    # Held in the middle of its stage, so that it can be seen at work.
    newsroom.model.script.update({"latency": 3})
    page.get_by_role("button", name="Run now…").click()
    expect(page.get_by_text("credits for what waits now")).to_be_visible()
    page.get_by_role("button", name="Run now", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("has started")
    expect(page.locator("#how-live")).to_have_text("Live")
    expect(page.locator("#controls")).to_contain_text("Pause")
    page.get_by_role("button", name="Pause…").click()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#board .pill").first).to_have_text("paused")
    picture(page, tmp_path, "site-paused")
    newsroom.model.script.update({"latency": 0})
    page.get_by_role("button", name="Resume…").click()
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator("#board .pill").first).to_have_text("idle", timeout=180_000)
    expect(page.locator("#log")).to_contain_text("3 finished")
    expect(page.locator("#history tbody tr")).to_have_count(1)
    assert seriously_wrong(page) == []
    picture(page, tmp_path, "site")

    page.locator("#history tbody th a").click()
    expect(page.get_by_role("heading", name="Stages")).to_be_visible()
    assert seriously_wrong(page) == []
    picture(page, tmp_path, "run")

    page.goto(f"{url}/pressroom/review?account=paged")
    expect(page.locator("#queue li")).to_have_count(3)
    assert seriously_wrong(page) == []
    picture(page, tmp_path, "review")
    titles = page.locator("#queue .name").all_inner_texts()
    assert len(set(titles)) == 3
    frame = page.frame_locator("iframe")
    expect(frame.locator("article h1")).to_have_text(titles[0])
    expect(frame.locator("figure img").first).to_have_js_property("complete", value=True)
    assert frame.locator("figure img").first.evaluate("image => image.naturalWidth > 0")

    # One is edited and approved, one is rejected, by keys alone.
    page.keyboard.press("e")
    title = page.get_by_label("Title", exact=True)
    expect(title).to_be_focused()
    title.fill(f"{titles[0]}, edited")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("Saved")
    page.keyboard.press("a")
    expect(page.locator("#notice")).to_contain_text("is approved")
    expect(page.locator("#queue li")).to_have_count(2)
    page.keyboard.press("j")
    expect(page.locator("#piece-title")).to_have_text(titles[2])
    page.keyboard.press("r")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("It repeats itself.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("is rejected")
    page.keyboard.press("a")
    expect(page.get_by_text("Everything is decided")).to_be_visible()
    rows = dict(newsroom.sql("SELECT title, status FROM contents WHERE site_id = %(site)s"))
    assert rows == {f"{titles[0]}, edited": "approved", titles[1]: "approved", titles[2]: "rejected"}


@pytest.mark.site("watched-page")
def test_a_page_goes_on_without_its_stream_and_in_airflows_frame(newsroom: Newsroom, page: Page) -> None:
    """Another reviewer's decision and a run's start come by asking, where there is no stream of events."""
    url = newsroom.services.info.airflow_url
    newsroom.queue("Mills")
    newsroom.finish(newsroom.trigger())
    page.route("**/events*", lambda route: route.abort())
    page.goto(f"{url}/pressroom/review?account=watched-page")
    expect(page.locator("#how-live")).to_have_text("Every 30 s")
    expect(page.locator("#queue li")).to_have_count(1)
    newsroom.sql("UPDATE contents SET status = 'rejected' WHERE site_id = %(site)s")
    expect(page.locator("#queue")).to_contain_text("Nothing waits")

    page.unroute("**/events*")
    page.goto(f"{url}/plugin/pressroom")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Operations")).to_be_visible()
    frame.get_by_placeholder("Find by name").fill("watched-page")
    expect(frame.locator("#results tbody tr")).to_have_count(1)
    frame.get_by_role("link", name="The watched-page site", exact=True).click()
    expect(frame.locator("#history tbody tr")).to_have_count(1)
