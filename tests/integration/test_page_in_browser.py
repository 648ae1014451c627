"""The pages of missions, flows and reports in a browser, over rows: nothing in them needs a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from playwright.sync_api import Error as PlaywrightError

from pressroom.store.database import Store
from tests.integration.test_page_flows import FlowPage, furnished_flow
from tests.support.browsing import PATIENCE_MS, chromium, picture, seriously_wrong, without_airflow
from tests.support.control_world import StandInPlane, two_accounts
from tests.support.mission_world import make_mission
from tests.support.outcome_world import KPIS, OutcomeWorld, with_outcomes
from tests.support.page_world import served_page
from tests.support.world import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def world(store: Store, database_url: str) -> World:
    return two_accounts(database_url, store)[0]


@pytest.fixture
def url(world: World, store: Store) -> Iterator[str]:
    with served_page(StandInPlane(store)) as address:
        yield address


@pytest.fixture
def made(world: World, store: Store, database_url: str, tmp_path: Path) -> OutcomeWorld:
    mission = make_mission(
        database_url, store, name="Spring", kpis=list(KPIS), constraints={"timezone": "Asia/Tokyo"}
    )
    return with_outcomes(mission, tmp_path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def test_a_missions_pages_a_flows_graph_and_a_report_by_link(
    browser: Browser, url: str, world: World, made: OutcomeWorld, tmp_path: Path
) -> None:
    flow = furnished_flow(world)
    with without_airflow(browser, "olga") as page:
        _calendar(page, url, made, tmp_path)
        _results_and_lessons(page, url, made, tmp_path)
        _steps(page, url, flow, tmp_path)
        link = _link(page, url, made, tmp_path)
    noted = world.sql("SELECT actor, target FROM audit_log WHERE action = 'insight.revert'")
    assert noted == [("user:olga", f"change:{made.change}")]
    with without_airflow(browser, None, zone="Asia/Tokyo") as visitor:
        _visit(visitor, link, made, tmp_path)


@pytest.mark.parametrize("first", ["refresh", "filter"])
def test_a_filter_outlives_a_refresh_that_is_on_its_way(
    browser: Browser, url: str, world: World, made: OutcomeWorld, first: str
) -> None:
    flow = furnished_flow(world)
    with without_airflow(browser, "olga") as page:
        held = HeldRequests(page)
        for path, part, field, value, text in (
            (f"{flow.path}/steps?step=look", "#steps", "#item-status", "done", "No item matches"),
            (made.path, "#history", "#state", "paused", "No run matches"),
            ("/", "#results", "#kind", "site", "1 workflow of 3"),
        ):
            page.goto(f"{url}{path}")
            expect(page.locator(part)).not_to_contain_text(text)
            held.hold()
            if first == "refresh":
                page.evaluate(REFRESH)
            page.locator(field).select_option(value)
            if first == "filter":
                page.evaluate(REFRESH)
            held.answer(last=f"{page.locator(field).get_attribute('name')}={value}")
            expect(page.locator(part)).to_contain_text(text)
            expect(page.locator(field)).to_have_value(value)

            # And the refresh that follows asks for what is shown.
            with page.expect_response(lambda answer: "hx-request" in answer.request.headers) as answered:
                page.evaluate(REFRESH)
            answered.value.finished()
            expect(page.locator(part)).to_contain_text(text)
            assert value in (page.locator(part).get_attribute("hx-get") or "")


REFRESH = "window.htmx.trigger(document.body, 'refresh')"


class HeldRequests:
    """Holds what the page's script asks for, and has it answered in an order of the test's own."""

    def __init__(self, page: Page) -> None:
        self.page, self.routes, self.holding = page, list[Route](), False
        # Only the test says when something changed.
        page.route(re.compile(r"/events(\?|$)"), lambda route: route.fulfill(status=204))
        page.route(re.compile("."), self._came)

    def _came(self, route: Route) -> None:
        if self.holding and "hx-request" in route.request.headers:
            self.routes.append(route)
        else:
            route.fallback()

    def hold(self) -> None:
        self.holding = True

    def answer(self, last: str) -> None:
        """Have them answered, the one whose address has ``last`` at the end."""
        while not any(last in route.request.url for route in self.routes):
            self.page.wait_for_event("request")
        self.holding = False
        waiting, self.routes = self.routes, []
        for route in sorted(waiting, key=lambda each: last in each.request.url):
            with suppress(PlaywrightError):  # one that the page has given up
                route.continue_()
            answer = route.request.response()
            if answer is not None:
                answer.finished()


def _calendar(page: Page, url: str, made: OutcomeWorld, folder: Path) -> None:
    page.goto(f"{url}{made.path}/calendar?day=2026-03-17")
    # Half past midnight in Berlin, where the viewer is; in Tokyo, whose days they are, it is morning.
    expect(page.locator(".slot").filter(has_text="Midnight")).to_contain_text("00:30 (08:30 Tokyo)")
    assert seriously_wrong(page) == []
    picture(page, folder, "mission-week")
    page.get_by_role("link", name="Show a month").click()
    # 18:00 on the day before in Berlin: the day is named where it is another one.
    expect(page.locator(".slot").nth(1)).to_contain_text("2 Mar, 18:00 (02:00 Tokyo)")
    expect(page.locator(".day")).to_have_count(42)
    assert seriously_wrong(page) == []
    picture(page, folder, "mission-month")
    page.get_by_role("link", name="Water").click()
    expect(page).to_have_url(re.compile(rf"/review\?piece=cnt_{made.posts[3]}$"))


def _results_and_lessons(page: Page, url: str, made: OutcomeWorld, folder: Path) -> None:
    page.goto(f"{url}{made.path}/results")
    expect(page.locator(".kpis li")).to_have_count(2)
    expect(page.locator("svg.chart")).to_have_count(2)
    page.get_by_text("The numbers", exact=True).click()
    expect(page.get_by_role("region", name="Engagements by day of the cycle")).to_contain_text("80")
    assert seriously_wrong(page) == []
    picture(page, folder, "mission-results")
    page.get_by_role("link", name=re.compile("^engagements: 105")).click()
    expect(page).to_have_url(f"{url}/runs/job_{made.runs[1].id}")

    page.goto(f"{url}{made.path}/lessons")
    assert seriously_wrong(page) == []
    picture(page, folder, "mission-lessons")
    page.get_by_role("button", name="Revert time on twitter").first.click()
    page.get_by_role("button", name="Revert", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("is taken back")
    expect(page.get_by_role("button", name="Revert time on twitter")).to_have_count(1)


def _steps(page: Page, url: str, flow: FlowPage, folder: Path) -> None:
    page.goto(f"{url}{flow.path}/steps")
    expect(page.locator(".graph .node-name")).to_have_count(5)
    assert seriously_wrong(page) == []
    picture(page, folder, "flow-steps")
    page.get_by_role("link", name=re.compile("^look, gate: 2 items")).click()
    expect(page.locator("#items tbody tr")).to_have_count(2)
    page.get_by_label("Status").select_option("done")
    expect(page.locator("#items")).to_contain_text("No item matches")


def _link(page: Page, url: str, made: OutcomeWorld, folder: Path) -> str:
    page.goto(f"{url}/reports{made.path}?month=2026-03")
    assert seriously_wrong(page) == []
    picture(page, folder, "report")
    page.get_by_role("button", name="Send a link…").click()
    page.get_by_label("For whom").fill("The client")
    page.get_by_role("button", name="Make the link").click()
    expect(page.locator("#notice")).to_contain_text("The link is made")
    return page.get_by_label("The link", exact=True).input_value()


def _visit(page: Page, link: str, made: OutcomeWorld, folder: Path) -> None:
    page.goto(link)
    expect(page.get_by_role("heading", name="Spring")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"/shared/lnk_\d+/reports{made.path}$"))
    expect(page.locator("#posts tbody tr")).to_have_count(3)
    expect(page.get_by_role("link", name="Operations")).to_have_count(0)
    assert seriously_wrong(page) == []
    picture(page, folder, "report-by-link")
    page.get_by_role("link", name="The month before").click()
    expect(page.locator("#posts")).to_contain_text("No post was published in this month.")

    # On paper: the table stays one, nothing to click is there, and the ink is dark, in a dark theme, too.
    page.go_back()
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 680, "height": 960})
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    expect(page.locator(".top")).to_be_hidden()
    assert page.locator("#posts thead").evaluate("each => getComputedStyle(each).position") == "static"
    assert page.locator("body").evaluate("each => getComputedStyle(each).color") == "rgb(0, 0, 0)"
    page.screenshot(path=folder / "report-printed.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
