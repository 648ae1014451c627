"""The review in a browser, over a real database: fifty articles by keyboard, a link without a login, two
reviewers, a gate, and what axe-core finds on each of its pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pressroom.store.database import Store
from tests.integration.test_review import article, open_gate
from tests.support.browsing import PATIENCE_MS, chromium, picture, seriously_wrong, without_airflow
from tests.support.control_things import furnish
from tests.support.control_world import StandInPlane, two_accounts
from tests.support.page_world import served_page
from tests.support.world import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

expect.set_options(timeout=PATIENCE_MS)

HTML = (
    "<p>A knife that is washed by hand keeps its edge.</p><h2>Care</h2>"
    "<p>Dry it at once, and keep it away from other steel.</p>"
)


@pytest.fixture
def world(store: Store, database_url: str) -> World:
    made = two_accounts(database_url, store)[0]
    furnish(made)
    made.sql("DELETE FROM contents")
    return made


@pytest.fixture
def plane(store: Store) -> StandInPlane:
    return StandInPlane(store)


@pytest.fixture
def url(world: World, plane: StandInPlane) -> Iterator[str]:
    with served_page(plane) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def test_fifty_articles_are_decided_by_keyboard_with_at_most_three_keys_each(
    browser: Browser, url: str, world: World
) -> None:
    world.sql("DELETE FROM publications")
    world.sql("UPDATE posts SET status = 'draft'")
    for number in range(50):
        article(world, f"Knife {number}", html=HTML)

    with without_airflow(browser, "ann") as page:
        page.goto(f"{url}/review?account=demo")
        keys = 0
        for left in range(50, 0, -1):
            expect(page.locator("#queue [role=status]")).to_have_text(re.compile(rf"^{left} wait"))
            shown = page.locator("#piece-title").inner_text()
            page.keyboard.press("a")
            keys += 1
            expect(page.locator("#notice")).to_contain_text("is approved")
            if left > 1:
                expect(page.locator("#piece-title")).not_to_have_text(shown)
        expect(page.get_by_text("Everything is decided")).to_be_visible()
        assert keys <= 150
    assert world.sql("SELECT status, count(*) FROM contents GROUP BY 1") == [("approved", 50)]


def test_a_client_reviews_by_a_link_and_sees_what_a_colleague_decides(
    browser: Browser, url: str, world: World, plane: StandInPlane, tmp_path: Path
) -> None:
    open_gate(world)
    first, second = article(world, "Knives", html=HTML), article(world, "Forks", html=HTML)

    with without_airflow(browser, "ann") as ann, without_airflow(browser, None) as kim:
        ann.goto(f"{url}/review/links?account=demo")
        ann.get_by_label("For whom").fill("Kim of Acme")
        ann.get_by_label("What its holder may do").select_option("approver")
        ann.get_by_role("button", name="Make the link").click()
        link = ann.locator("#made").input_value()
        assert seriously_wrong(ann) == []
        picture(ann, tmp_path, "review-links")

        kim.goto(link)
        kim.wait_for_url(re.compile(r"/shared/lnk_\d+/review"))
        assert "prl_" not in kim.url
        kim.goto(f"{kim.url}?piece={first}")
        expect(kim.frame_locator("iframe").locator("h1")).to_have_text("Knives")
        assert seriously_wrong(kim) == []
        ann.goto(f"{url}/review?account=demo&piece={first}")
        expect(ann.locator("#how-live")).to_have_text("Live")
        kim.keyboard.press("e")
        kim.get_by_label("Text, as HTML").fill(HTML.replace("by hand", "gently"))
        kim.get_by_role("button", name="Save").click()
        expect(kim.locator("#notice")).to_contain_text("Saved")
        expect(kim.locator("ins")).to_have_text("gently")
        picture(kim, tmp_path, "review-by-link")
        kim.keyboard.press("a")
        expect(kim.locator("#notice")).to_contain_text("is approved")
        # What was decided elsewhere leaves the colleague's queue, and is not decided over.
        expect(ann.locator(f'#queue a[href*="{first}"]')).to_have_count(0)
        ann.keyboard.press("a")
        expect(ann.locator("#notice")).to_contain_text("changed since it was read")
        expect(ann.get_by_text("does not wait any more")).to_be_visible()
        assert seriously_wrong(ann) == []

        ann.goto(f"{url}/review?account=demo&piece={second}")
        ann.keyboard.press("r")
        ann.get_by_label("Reason").fill("Too short.")
        ann.get_by_role("button", name="Reject", exact=True).click()
        expect(ann.locator("#notice")).to_contain_text("is rejected")
        ann.goto(f"{url}/review?account=demo&piece={second}")
        ann.get_by_role("button", name="Write again").click()
        picture(ann, tmp_path, "review-again")
        ann.get_by_label("Guidance").fill("Say more of steel.")
        ann.get_by_role("button", name="Write again", exact=True).last.click()
        expect(ann.locator("#notice")).to_contain_text("is archived")

        ann.goto(f"{url}/review?account=demo")
        expect(ann.get_by_text("Nobody could find out")).to_be_visible()
        assert seriously_wrong(ann) == []
        picture(ann, tmp_path, "review-publication")
        ann.keyboard.press("j")
        expect(ann.locator("#piece-title")).to_have_text("T")
        assert seriously_wrong(ann) == []
        picture(ann, tmp_path, "review-gate")
        ann.keyboard.press("a")
        expect(ann.locator("#notice")).to_contain_text("approved")
    rows = dict(world.sql("SELECT title, status FROM contents"))
    assert rows == {"Knives": "approved", "Forks": "archived"}
    [(actor, details)] = world.sql("SELECT actor, details FROM audit_log WHERE action = 'article.approve'")
    assert actor.startswith("link:")
    assert (details["recipient"], details["sent_by"]) == ("Kim of Acme", "user:ann")
    assert [option for _, option, _ in plane.answered] == ["Approve"]
