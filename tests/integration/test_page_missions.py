"""The pages of a mission: its calendar, its numbers, and what it learned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pressroom.store.database import Store
from tests.support.control_world import Control
from tests.support.mission_world import START, make_mission
from tests.support.outcome_world import ARABIC, HOUR, KPIS, OutcomeWorld, with_outcomes
from tests.support.page_world import Browser, main_text


@pytest.fixture
def made(control: Control, store: Store, database_url: str, tmp_path: Path) -> OutcomeWorld:
    world = make_mission(
        database_url, store, kpis=list(KPIS), constraints={"timezone": "Europe/Berlin"}, language="ar"
    )
    return with_outcomes(world, tmp_path)


async def test_a_week_has_its_days_in_the_missions_zone(browser: Browser, made: OutcomeWorld) -> None:
    html = await browser.open(f"{made.path}/calendar?span=week&day=2026-03-18", "vera")
    text = main_text(html)
    assert "Week of 16 Mar 2026" in text
    assert "3 slots in these days" in text
    assert html.count('<li class="day') == 7
    # 23:30 in UTC is half an hour into the next day in Berlin.
    assert re.search(r"Tue 17 Mar\s+11:00 twitter Water\s.*Wed 18 Mar\s+00:30 twitter", text)
    assert 'data-zone="Europe/Berlin" data-day="2026-03-18">00:30</time>' in html
    waiting, midnight = made.posts[3:5]
    assert f'href="/review?piece=cnt_{waiting}"' in html
    assert "pending review" in text
    assert re.search(rf'cnt_{midnight}".*?>scheduled</span>.*?"/review\?piece=pub_\d+"', html, re.DOTALL)
    [publication] = re.findall(r"/review\?piece=pub_\d+", html)
    for place in (f"/review?piece=cnt_{waiting}", f"/review?piece=cnt_{midnight}", publication):
        await browser.open(place, "ann")
    assert "◇ tries time" in text
    assert "the model said &lt;nothing&gt;" in html


async def test_a_month_has_whole_weeks_and_leads_on(browser: Browser, made: OutcomeWorld) -> None:
    html = await browser.open(f"{made.path}/calendar?span=month&day=2026-03-18", "vera")
    text = main_text(html)
    assert "March 2026" in text
    assert html.count('<li class="day') == 42
    assert "Mon 23 Feb" in text
    assert "Sun 5 Apr" in text
    assert f'dir="auto" href="/review?piece=cnt_{made.posts[0]}">{ARABIC}' in html
    assert 'href="https://x.example/1" target="_blank" rel="noopener noreferrer"' in html
    assert "span=month&amp;day=2026-04-01" in html
    assert "span=month&amp;day=2026-02-01" in html


async def test_a_day_of_a_month_lists_some_and_leads_to_its_week(
    browser: Browser, made: OutcomeWorld
) -> None:
    for number in range(8):
        made.report.slot(
            made.cycles[2], START + (16 * 24 + number) * HOUR, f"Topic {number}", status="planned"
        )
    html = await browser.open(f"{made.path}/calendar?span=month&day=2026-03-18", "vera")
    assert re.search(r'span=week&amp;day=2026-03-18">\d+ more</a>', html)
    assert "Topic 7" not in html
    week = await browser.open(f"{made.path}/calendar?day=2026-03-18", "vera")
    assert all(f"Topic {number}" in week for number in range(8))


async def test_without_a_day_the_calendar_opens_where_its_slots_are(
    browser: Browser, made: OutcomeWorld
) -> None:
    # The last slot is long past: its week is shown, and not that of today.
    assert "Week of 16 Mar 2026" in main_text(await browser.open(f"{made.path}/calendar", "vera"))
    made.world.sql("UPDATE slots SET status = 'withdrawn'")
    assert "Nothing is planned yet" in await browser.open(f"{made.path}/calendar", "vera")
    for day in ("0001-01-01", "9999-12-31"):
        assert "0 slots" in main_text(await browser.open(f"{made.path}/calendar?day={day}", "vera"))
    await browser.open(f"{made.path}/calendar?day=soon", "vera", expect=404)


async def test_numbers_are_sums_of_the_last_readings(browser: Browser, made: OutcomeWorld) -> None:
    html = await browser.open(f"{made.path}/results", "vera")
    text = main_text(html)
    # 30 + 50 engagements of 1,000 + 1,000 impressions; 25 of 400.
    assert "Cycle 1 all 4.00 % 80 2,000 6 2 2 task" in text
    assert "Cycle 2 all 6.25 % 25 400 3 1 1 task" in text
    assert "Cycle 3 so far all – 0 0 0 0 0 task" in text
    assert text.index("Cycle 3 so far") < text.index("Cycle 2 all") < text.index("Cycle 1 all")
    run = made.runs[0].id
    assert f'href="/runs/job_{run}">Cycle 1</a>' in html
    assert 'href="/dags/mission__launch/runs/cycle__1/tasks/analytics"' in html


async def test_a_tile_has_its_target_its_change_in_a_week_and_its_trend(
    browser: Browser, made: OutcomeWorld
) -> None:
    html = await browser.open(f"{made.path}/results", "vera")
    text = main_text(html)
    # Read on day 13; the last reading seven days before is that of day 6: 105 - 80, and 4.375 - 4.
    assert "engagement rate at risk 4.38 % of 4.5 %" in text
    assert "Due by now 4.5 % In 7 days +0.38 points Trend of the posts ↗ rising" in text
    assert "engagements twitter on track 105 of 1,000" in text
    assert "Due by now 75 In 7 days +25 Trend of the posts → steady" in text
    assert f'href="/runs/job_{made.runs[1].id}" aria-label="engagements: 105' in html
    assert '<progress max="100" value="10.5"' in html


async def test_curves_have_their_numbers_beside_them(browser: Browser, made: OutcomeWorld) -> None:
    html = await browser.open(f"{made.path}/results", "vera")
    text = main_text(html)
    assert "Days Cycle 1 Cycle 2 1 9 – 2 – 5 3 30 – 6 80 25" in text
    assert html.count("<circle") == 2 + 5 + 2
    assert "Cycle 1, 6.0 days: 80 engagements" in html
    # 480 by 220, less the axes: 406 / 6 a day from 60 on, and 178 / 80 an engagement up from 192.
    assert '<path class="curve" d="M127.7 172.0 L263.0 125.2 L466.0 14.0"/>' in html


async def test_a_mission_without_results_says_what_comes(browser: Browser, made: OutcomeWorld) -> None:
    for table in ("snapshots", "strategy_changes", "insights", "optimizations", "post_metrics"):
        made.world.sql(f"DELETE FROM {table}")  # noqa: S608  # names
    text = main_text(await browser.open(f"{made.path}/results", "vera"))
    assert "Nothing has been read yet" in text
    assert "engagements twitter not measured yet – of 1,000" in text
    made.world.sql("UPDATE cycles SET withdrawn_at = now()")
    assert "No cycle has begun yet" in main_text(await browser.open(f"{made.path}/results", "vera"))
    assert "No cycle has begun" in main_text(await browser.open(f"{made.path}/lessons", "vera"))


async def test_what_was_learned_is_shown_with_its_evidence(browser: Browser, made: OutcomeWorld) -> None:
    text = main_text(await browser.open(f"{made.path}/lessons", "vera"))
    assert "Posts at 18:00 get 1.7 times the engagements" in text
    assert "Confidence 99.9 %; 95 % interval 1.2 to 2.4 times; 28 posts; action: shift schedule" in text
    assert "twitter: time in force No single level passed the test" in text
    assert "replaced by a later change" in text
    assert "18:00 1.60 1.90 ↗" in text
    assert "What cycle 2 changed, the last one that was evaluated" in text
    assert "Too little data on linkedin: 1 post, and 20 are needed" in text
    assert "Revert" not in text  # a viewer may not


async def test_a_change_is_reverted_once_by_who_may_approve(browser: Browser, made: OutcomeWorld) -> None:
    page, path = f"{made.path}/lessons", f"{made.path}/changes/{made.change}/revert"
    assert f'action="{path}"' in await browser.open(page, "ann")
    await browser.send(page, path, "ed", expect=403)
    html = await browser.send(page, path, "ann")
    assert "time on twitter is taken back: the next cycle is planned without it." in html
    assert "Reverted by user:ann" in main_text(html)
    assert f'action="{path}"' not in html
    assert browser.control.audit() == [("user:ann", "insight.revert", f"change:{made.change}")]
    assert "was reverted already" in await browser.send(page, path, "ann", expect=409)
    nowhere = f"{made.path}/changes/{made.change + 99}/revert"
    assert "there is no such change" in (await browser.send(page, nowhere, "ann", expect=404)).lower()
    in_force = made.world.sql("SELECT after FROM strategy_changes WHERE reverted_at IS NULL")
    assert in_force == [({"09:00": 0.7, "18:00": 1.6},)]


async def test_the_api_has_what_the_pages_show(control: Control, made: OutcomeWorld) -> None:
    week = await control.get(f"{made.path}/calendar", since="2026-03-16", until="2026-03-22")
    assert (week["timezone"], week["first"], week["last"]) == ("Europe/Berlin", "2026-03-02", "2026-03-18")
    assert [slot["state"] for slot in week["slots"]] == ["written", "written", "failed"]
    assert [post["state"] for slot in week["slots"] for post in slot["posts"]] == [
        "pending review",
        "scheduled",
    ]
    results = await control.get(f"{made.path}/results")
    assert results["cycles"][0]["totals"] == {
        "posts": 2, "impressions": 2000, "engagements": 80, "engagement_rate": 4.0, "link_clicks": 6,
        "new_followers": 2,
    }  # fmt: skip
    assert [kpi["week_before"] for kpi in results["kpis"]] == [4.0, 80.0]
    learned = await control.get(f"{made.path}/lessons", limit=2)
    assert (learned["cycles"], [each["cycle"] for each in learned["lessons"]]) == (3, [3, 2])
    levels = {each["level"]: each for each in learned["lessons"][1]["changes"][0]["levels"]}
    assert levels["18:00"] == {
        "level": "18:00", "weight_before": 1.6, "weight_after": 1.9, "share": None, "next_share": 0.0,
    }  # fmt: skip
    for wrong in (
        {"since": "2026-03-16", "until": "2026-03-15"},
        {"since": "2026-01-01", "until": "2026-06-01"},
    ):
        await control.get(f"{made.path}/calendar", expect=422, **wrong)
    await control.get(f"{made.path}/calendar", expect=422, since="0001-01-01")
    stranger = await control("GET", f"{made.path}/results", user="stella")
    assert stranger.status_code == 404
