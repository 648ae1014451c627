"""The first run in a browser: from an account that has nothing to an article, reviewed and published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pressroom.engine.runs import control
from pressroom_dev.local.services import LocalServices
from tests.acceptance.conftest import KEYWORDS
from tests.acceptance.newsroom import Newsroom
from tests.support.browsing import PATIENCE_MS, chromium, picture, seriously_wrong, signed_in
from tests.support.scripted_openai import ScriptedOpenAI

LONG = 420.0
"""Seconds: the processor of this Airflow looks at its files every two minutes."""
TRIAL_MS = 240_000
"""What is saved is tried as a DAG first, in a process that the server starts for it."""

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1500)]

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def test_an_article_is_published_from_nothing(
    browser: Browser, services: LocalServices, model: ScriptedOpenAI, tmp_path: Path
) -> None:
    info = services.info
    model.script.clear()
    with signed_in(browser, info.airflow_url, info.airflow_user, info.airflow_password) as page:
        site = _make_site(page, tmp_path)
        _import_keywords(page, site, tmp_path)
        _configure(page, site, tmp_path)
        _test_connections(page, site, tmp_path)
        newsroom = Newsroom("first-garden", services, model)
        newsroom.until(lambda: newsroom.api.dag_exists(newsroom.dag_id), "the DAG", LONG)
        with newsroom:
            page.goto(f"{site}/start")
            page.get_by_role("button", name="Run now", exact=True).click()
            expect(page.locator("#notice")).to_contain_text("has started")
            newsroom.until(lambda: newsroom.count("contents", "status = 'review'") == 1, "the article", LONG)
            page.goto(f"{site}/start")
            page.get_by_role("link", name="decide").click()
            expect(page.frame_locator("iframe").locator("article h1")).not_to_be_empty()
            page.keyboard.press("a")
            expect(page.locator("#notice")).to_contain_text("is approved")
            published = (
                "SELECT count(*) FROM publications WHERE workflow_id = %(site)s"
                " AND status IN ('accepted', 'confirmed')"
            )
            newsroom.until(lambda: newsroom.sql(published) == [(1,)], "the publication", LONG)
            page.goto(f"{site}/start")
            expect(page.get_by_text("1 publication is out.")).to_be_visible()
            picture(page, tmp_path, "set-up-done")
            _spend(page, newsroom, tmp_path)
            live = "SELECT count(*) FROM runs WHERE workflow_id = %(site)s AND status = ANY(%(live)s)"
            # The next test of this Airflow has the model to itself.
            newsroom.until(lambda: newsroom.sql(live, live=list(control.LIVE)) == [(0,)], "the runs' end")
            actions = [action for (action,) in newsroom.sql(
                "SELECT action FROM audit_log WHERE account_id = %(account)s ORDER BY id"
            )]  # fmt: skip
        assert actions == [
            "account.create", "account.grant", "site.create", "keyword.import", "keyword.imported",
            "site.update", "job.start", "article.approve",
        ]  # fmt: skip


def _make_site(page: Page, pictures: Path) -> str:
    """The account and the site. Returns the address of the site's page."""
    page.get_by_role("link", name="New site").click()
    # By its id: where there are accounts already, it is in what is still folded up, and has no role there.
    expect(page.locator("#make-account")).to_be_attached()
    if page.get_by_text("Make another one").count():
        page.get_by_text("Make another one").click()
    page.get_by_label("Name of the account").fill("First")
    page.get_by_label("Credits to begin with").fill("plenty")
    page.get_by_role("button", name="Make the account").click()
    expect(page.locator("#notice")).to_contain_text("opening credits")
    page.get_by_label("Credits to begin with").fill("200")
    page.get_by_label("It is my own").check()
    page.get_by_role("button", name="Make the account").click()
    expect(page.locator("#notice")).to_contain_text("The account first is made")
    assert seriously_wrong(page) == []
    picture(page, pictures, "start")
    if page.get_by_label("In the account").count():
        page.get_by_label("In the account").select_option("first")
    page.get_by_label("Name of the site").fill("First Garden")
    page.get_by_label("Subject").fill("coffee")
    page.get_by_label("Approved articles go to").select_option("static_site")
    page.get_by_role("button", name="Make the site").click()
    page.wait_for_url(re.compile(r"/pressroom/sites/\d+/start$"), timeout=TRIAL_MS)
    return page.url.removesuffix("/start")


def _import_keywords(page: Page, site: str, pictures: Path) -> None:
    page.get_by_role("link", name="Add some").click()
    rows = "\n".join(f"{keyword},10,x" for keyword in KEYWORDS)
    data = f"keyword,volume,owner\n{rows}\nkettles,lots,x\n"
    page.locator("#file").set_input_files(
        {"name": "list.csv", "mimeType": "text/csv", "buffer": data.encode()}
    )
    expect(page.locator("#preview-title")).to_have_text(f"{len(KEYWORDS)} keywords would be added")
    expect(page.locator("#preview")).to_contain_text("1 bad row")
    assert seriously_wrong(page) == []
    picture(page, pictures, "keywords-preview")
    page.locator("#import").click()
    expect(page.locator("#notice")).to_contain_text(f"{len(KEYWORDS)} keywords added")
    expect(page.locator("input[name=item]")).to_have_count(len(KEYWORDS))
    assert seriously_wrong(page) == []
    picture(page, pictures, "keywords")
    page.goto(f"{site}/ideas")
    assert seriously_wrong(page) == []
    picture(page, pictures, "ideas")


def _configure(page: Page, site: str, pictures: Path) -> None:
    page.goto(f"{site}/settings")
    cron = page.get_by_label("Cron instead")
    cron.fill("every day")
    expect(page.locator("#problem-automation-cron")).to_contain_text("five-field cron")
    expect(cron).to_have_attribute("aria-invalid", "true")
    expect(cron).to_be_focused()
    assert seriously_wrong(page) == []
    picture(page, pictures, "settings-wrong")
    cron.fill("0 0 29 2 *")
    expect(page.locator("#problem-automation-cron")).to_be_empty()
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    page.get_by_label("Runs by itself").check()
    expect(page.locator("#next-runs li")).to_have_count(5)
    expect(page.locator("#next-runs li").first).to_contain_text("Asia/Tokyo")
    page.get_by_label("Runs by itself").uncheck()
    page.get_by_label("Ideas for a cluster").fill("1")
    page.get_by_label("Words of an article").fill("200")
    page.get_by_label("Pictures in an article").fill("1")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#notice")).to_contain_text("Saved", timeout=TRIAL_MS)
    expect(page.get_by_label("Words of an article")).to_have_value("200")
    picture(page, pictures, "settings")


def _test_connections(page: Page, site: str, pictures: Path) -> None:
    page.goto(f"{site}/start")
    for need in ("the model that writes", "the target static_site"):
        page.get_by_role("button", name=f"Test {need}").click()
        row = page.locator("tr", has=page.get_by_role("button", name=f"Test {need}"))
        expect(row.locator(".pill")).to_have_text("works")
    assert seriously_wrong(page) == []
    picture(page, pictures, "set-up")


def _spend(page: Page, newsroom: Newsroom, pictures: Path) -> None:
    """The page has the ledger's sums, to the last digit, and leads to the entries behind them."""
    [(credits, cents)] = newsroom.sql(
        "SELECT -sum(credits) FILTER (WHERE kind = 'charge'), sum(cents) FROM ledger"
        " WHERE account_id = %(account)s"
    )
    page.goto(f"{newsroom.services.info.airflow_url}/pressroom/spend?account=first")
    expect(page.locator("#spent-credits")).to_have_text(f"{credits.normalize():f}")
    expect(page.locator("#spent-cents")).to_have_text(f"{cents.normalize():f} ¢")
    assert seriously_wrong(page) == []
    picture(page, pictures, "spend")
    page.locator("section", has=page.get_by_role("heading", name="Models")).get_by_role("link").nth(1).click()
    expect(page.locator("tbody tr").first).to_contain_text("scripted-1 by pressroom_text")
    assert seriously_wrong(page) == []
