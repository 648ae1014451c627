"""Spend on the page: every number against one that was added up by hand, and what is behind it."""

from __future__ import annotations

import csv
import html
import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from pressroom.api.kit.csv_files import csv_file
from pressroom.engine.money import usage
from pressroom.engine.money.usage import ForecastAccount
from pressroom.store.database import Tx
from tests.support.control_things import furnish
from tests.support.control_world import Control
from tests.support.page_world import Browser

FIRST = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND, THIRD = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
MAY = "?account=demo&since=2026-05-01&until=2026-05-03"


def enter(
    control: Control, at: datetime, kind: str, credits: str, cents: str, stage: str, note: str = ""
) -> None:
    world = control.world
    world.sql(
        "INSERT INTO ledger (account_id, workflow_id, at, kind, credits, cents, stage, note, entry_key)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, gen_random_uuid()::text)",
        world.account_id, world.site_id, at, kind, Decimal(credits),
        Decimal(cents), stage, note,
    )  # fmt: skip


def spend(control: Control) -> None:
    """By hand: on the 1st 7.5 credits and 1.2345 cents, on the 2nd 5 and 0.0055, on the 3rd 0 and 2."""
    enter(control, FIRST, "charge", "-5", "0", "content")
    enter(control, FIRST, "charge", "-2.50", "0", "images")
    enter(control, FIRST, "cost", "0", "1.2345", "content", "small by pressroom_text")
    enter(control, SECOND, "charge", "-5", "0", "content")
    enter(control, SECOND, "cost", "0", "0.0055", "content", "small by pressroom_text")
    enter(control, THIRD, "cost", "0", "2", "images", "big by pressroom_images")


def rows_of(page: str, by: str) -> dict[str, tuple[str, str, str]]:
    """Heading → credits, cents, and where the cents lead to."""
    start = page.index(f'id="by-{by}"')
    table = page[start : page.index("</table>", start)]
    found = {}
    for head, cells in re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', table, re.DOTALL):
        numbers = re.findall(r">([^<>]+)(?:</a>)?</td>", cells)
        links = re.findall(r'href="([^"]+)"', cells)
        name = re.sub(r"<[^>]+>", "", head).strip()
        found[name] = (numbers[0], numbers[1], html.unescape(links[-1]))
    return found


async def test_every_number_is_the_one_added_up_by_hand(browser: Browser) -> None:
    spend(browser.control)
    page = await browser.open(f"/spend{MAY}", "vera")
    assert '<div class="big" id="spent-credits">12.5</div>' in page
    assert '<div class="big" id="spent-cents">3.24 ¢</div>' in page
    days = rows_of(page, "day")
    assert {day: row[:2] for day, row in days.items()} == {
        "2026-05-01": ("7.5", "1.2345"), "2026-05-02": ("5", "0.0055"), "2026-05-03": ("0", "2"),
    }  # fmt: skip
    stages = rows_of(page, "stage")
    assert {stage: row[:2] for stage, row in stages.items()} == {
        "content": ("10", "1.24"), "images": ("2.5", "2"),
    }  # fmt: skip
    assert rows_of(page, "site")["brew"][:2] == ("12.5", "3.24")

    # What is behind each: the entries that make it up, and their sum.
    behind = await browser.open(days["2026-05-01"][2], "vera")
    assert "3 entries here: -7.5 credits, 1.2345 ¢" in behind
    behind = await browser.open(stages["content"][2], "vera")
    assert "4 entries here: -10 credits, 1.24 ¢" in behind
    assert "small by pressroom_text" in behind
    behind = await browser.open(f"/spend/entries{MAY}&model=big&kind=cost", "vera")
    assert "1 entry here: 0 credits, 2 ¢" in behind


@pytest.mark.parametrize(
    ("day", "left", "expected"),
    [
        (datetime(2026, 5, 15, 12, tzinfo=UTC), 16.5, "61 ¢"),  # 28 are spent, and 16.5 days are to come
        (datetime(2026, 6, 1, 6, tzinfo=UTC), 29.75, "59.5 ¢"),  # the 28 are of the month before
    ],
)
async def test_the_month_is_forecast_as_by_hand(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, day: datetime, left: float, expected: str
) -> None:
    read = usage.account_of

    def then(tx: Tx) -> ForecastAccount | None:
        account = read(tx)
        return account and replace(account, now=day)

    monkeypatch.setattr(usage, "account_of", then)
    control = browser.control
    control.world.sql("UPDATE accounts SET created_at = '2026-04-01T00:00Z'")
    enter(control, day - timedelta(days=1), "cost", "0", "28", "content")
    forecast = await control.get("/usage/forecast", account="demo")
    # 28 cents in the last 14 whole days are 2 a day.
    assert forecast["daily_mean"] == {"credits": 0.0, "cents": 2.0, "days": 14}
    assert forecast["days_left"] == left
    page = await browser.open("/spend?account=demo", "vera")
    assert f'<div class="big">{expected}</div><div class="small soft">expected by' in page
    assert "at the pace of the last 14 whole days" in page


async def test_a_download_is_exact_and_no_cell_of_it_is_a_formula(control: Control) -> None:
    spend(control)
    enter(control, THIRD, "cost", "0", "0.0001", '=HYPERLINK("http://x")')
    answer = await control("GET", f"/usage/download{MAY}&by=stage", user="vera", expect=200)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="demo-by-stage-2026-05-01-2026-05-03.csv"' in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [(row["stage"], Decimal(row["credits"]), Decimal(row["cents"])) for row in rows] == [
        ("content", Decimal(10), Decimal("1.24")), ("images", Decimal("2.5"), Decimal(2)),
        ('\'=HYPERLINK("http://x")', Decimal(0), Decimal("0.0001")),
    ]  # fmt: skip
    await control("GET", f"/usage/download{MAY}&by=stage", user="stella", expect=404)


@pytest.mark.parametrize("text", ["=1", "+1", "-x", "@x", "\t=1", " =1", "\r=1"])
def test_what_a_spreadsheet_would_calculate_is_text(text: str) -> None:
    body = bytes(csv_file("x", ["a"], [[text]]).body).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(body, newline="")))[1] == [f"'{text}"]


async def test_spend_is_its_accounts_and_a_wrong_period_says_so(browser: Browser) -> None:
    furnish(browser.control.world)
    spend(browser.control)
    await browser.open(f"/spend{MAY}", "stella", expect=404)
    await browser.open(f"/spend/entries{MAY}", "stella", expect=404)
    assert "belong to no account" in await browser.open("/spend", "nobody")
    wrong = await browser.open("/spend?account=demo&since=2026-05-03&until=2026-05-01", "vera", expect=422)
    assert "is after" in wrong
    assert "Nothing in this period" in await browser.open("/spend?since=&until=2025-01-01", "vera")
    await browser.open("/spend/entries?account=demo&before=x", "vera", expect=404)
