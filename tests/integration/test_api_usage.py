"""The ledger, what was used, and where it leads: over the API, and kept in step whatever comes in at once."""

from __future__ import annotations

import asyncio
import random
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest

from pressroom.domain.model import RateLimits, Usage
from pressroom.engine.money import ledger, usage
from pressroom.engine.money.ledger import Caps, CostScope
from pressroom.engine.money.metering import Call, Meter
from pressroom.engine.money.rate_limit import RateLimiter
from pressroom.engine.money.usage import By
from tests.support.control_world import Control
from tests.support.world import World

SUMS = ("ledger_days", "ai_call_days")


def workflow(world: World, kind: str, slug: str) -> int:
    [(number,)] = world.sql(
        "INSERT INTO workflows (account_id, kind, slug) VALUES (%s, %s, %s) RETURNING id",
        world.account_id, kind, slug,
    )  # fmt: skip
    return int(number)


def enter(world: World, kind: str, amount: float, **more: Any) -> int:
    """An entry: credits, or the cents of a cost."""
    column = "cents" if kind == "cost" else "credits"
    values = {"account_id": world.account_id, "kind": kind, column: amount, "workflow_id": world.site_id,
              "stage": "content", "entry_key": str(random.random()), **more}  # fmt: skip
    return insert(world, "ledger", values)


def call(world: World, **more: Any) -> int:
    values = {"account_id": world.account_id, "workflow_id": world.site_id, "stage": "content", "item": "1",
              "connection": "c", "model": "small", "kind": "text", "outcome": "ok", **more}  # fmt: skip
    return insert(world, "ai_calls", values)


def insert(world: World, table: str, values: dict[str, Any]) -> int:
    names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    [(number,)] = world.sql(
        f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id",  # noqa: S608  # our own names
        *values.values(),
    )
    return int(number)


def meter(world: World, model: str = "small", **limits: Any) -> Meter:
    limiter = RateLimiter(world.store, "c", RateLimits(**limits))
    return Meter(world.store, limiter, connection="c", model=model, kind="text")


# The ledger -------------------------------------------------------------------------------------------


async def test_entries_are_listed_newest_first(control: Control) -> None:
    world = control.world
    run = world.run()
    scope = CostScope(world.account_id, world.site_id, run.id, "content", "7")
    with world.store.transaction(world.account_id) as tx:
        ledger.settle(tx, scope, Decimal(5))
        ledger.book_cost(tx, scope, Decimal("0.25"), held=Decimal(0), entry_key="call:1", note="small")
    cost, charge, grant = (await control.get("/ledger"))["items"]
    assert charge | {"id": 0, "at": ""} == {
        "id": 0, "at": "", "kind": "charge", "credits": -5, "cents": 0, "job": f"job_{run.id}",
        "workflow": {"kind": "site", "slug": "brew"}, "stage": "content", "item": "7", "note": "",
    }  # fmt: skip
    assert (cost["kind"], cost["credits"], cost["cents"], cost["note"]) == ("cost", 0, 0.25, "small")
    assert (grant["kind"], grant["credits"], grant["workflow"], grant["job"]) == ("grant", 1000, None, None)
    first = await control.get("/ledger", limit=2)
    second = await control.get("/ledger", limit=2, cursor=first["next_cursor"])
    assert (first["items"], second["items"], second["next_cursor"]) == ([cost, charge], [grant], None)


async def test_entries_of_one_moment_are_each_shown_once(control: Control) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [enter(control.world, "charge", -1, at=at) for _ in range(5)]
    seen: list[int] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await control.get("/ledger", limit=2, kind="charge", **cursor)
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ids[::-1]


async def test_entries_are_filtered(control: Control) -> None:
    world = control.world
    mission, flow = workflow(world, "mission", "spring"), workflow(world, "flow", "wire")
    run = world.run().id
    at = datetime(2026, 1, 2, 12, tzinfo=UTC)
    of_site = enter(world, "charge", -1, run_id=run, at=at)
    of_mission = enter(world, "cost", 2, workflow_id=mission, stage="strategy", at=at + timedelta(hours=1))
    of_flow = enter(world, "adjustment", 3, workflow_id=flow, stage="ai", at=at + timedelta(hours=2))

    async def found(**filters: Any) -> list[int]:
        return [one["id"] for one in (await control.get("/ledger", **filters))["items"] if one["stage"]]

    assert await found() == [of_flow, of_mission, of_site]
    assert await found(kind="cost") == [of_mission]
    assert await found(kind="grant") == []
    assert await found(site=world.site_id) == [of_site]
    assert await found(mission=f"msn_{mission}") == [of_mission]
    assert await found(flow=f"flw_{flow}") == [of_flow]
    assert await found(job=f"job_{run}") == [of_site]
    assert await found(stage="ai") == [of_flow]
    assert await found(since="2026-01-02T13:00:00Z", until="2026-01-02T14:00:00Z") == [of_mission]
    assert await found(since="2026-01-02T13:00:00+01:00", stage="content") == [of_site]
    assert await found(flow=f"flw_{flow}", job=f"job_{run}") == []


async def test_an_entry_belongs_to_one_account(control: Control) -> None:
    world, other = control.world, control.other
    enter(other, "charge", -1)
    theirs: dict[str, Any] = {
        "site": other.site_id, "mission": f"msn_{workflow(other, 'mission', 'm')}",
        "flow": f"flw_{workflow(other, 'flow', 'f')}", "job": f"job_{other.run().id}",
    }  # fmt: skip
    for name, number in theirs.items():
        await control.get("/ledger", expect=404, **{name: number})
        await control.get("/ledger", user="stella", **{name: number})
    odds: dict[str, Any] = {"site": 10**9, "mission": f"msn_{world.site_id}", "flow": "flw_x", "job": "msn_1"}
    for name, odd in odds.items():
        await control.get("/ledger", expect=404, **{name: odd})
    assert [one["kind"] for one in (await control.get("/ledger"))["items"]] == ["grant"]
    await control.get("/ledger", account="other", expect=404)
    assert (await control.get("/ledger", user="nobody"))["items"] == []


async def test_odd_questions_to_the_ledger_are_refused(control: Control) -> None:
    for odd in (
        {"kind": "theft"},
        {"since": "2026-01-01T00:00:00"},
        {"until": "soon"},
        {"stage": "a\0"},
        {"site": 0},
        {"cursor": "bm8"},
        {"cursor": "WzFd"},  # [1], as other lists have it
        {"cursor": "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwxXQ"},  # a time without a zone
        {"site": control.world.site_id, "mission": "msn_1"},
    ):
        await control.get("/ledger", expect=422, **odd)


# Usage ------------------------------------------------------------------------------------------------


def scene(world: World) -> dict[str, int]:
    """A site, a mission and a flow that used something this month."""
    other, mission = workflow(world, "site", "beans"), workflow(world, "mission", "spring")
    flow = workflow(world, "flow", "wire")
    run = world.run().id
    enter(world, "charge", -5, run_id=run)
    enter(world, "charge", -2, stage="ideas", run_id=run)
    enter(world, "adjustment", 2, stage="ideas", run_id=run)  # given back
    enter(world, "adjustment", 70, run_id=None, workflow_id=None, stage=None)  # not a run's: no refund
    enter(world, "cost", 1.5)
    enter(world, "charge", -1, workflow_id=mission, stage="strategy")
    enter(world, "cost", 4, workflow_id=flow, stage="ai")
    enter(world, "cost", 0.5, workflow_id=other, stage="ideas")
    call(world, prompt_tokens=100, completion_tokens=20, cents=1.5)
    call(world, prompt_tokens=10, completion_tokens=2, outcome="InvalidAnswer", model="large")
    call(world, prompt_tokens=9, completion_tokens=9, outcome="cached")
    call(world, workflow_id=flow, stage="ai", prompt_tokens=1, completion_tokens=1, model="large", cents=4)
    return {"other": other, "mission": mission, "flow": flow}


def row(key: Any, credits: float | None, cents: float, prompt: int = 0, completion: int = 0, calls: int = 0,
        slug: str | None = None) -> dict[str, Any]:  # fmt: skip
    return {"key": key, "slug": slug, "credits": credits, "cents": cents, "prompt_tokens": prompt,
            "completion_tokens": completion, "calls": calls}  # fmt: skip


async def test_usage_is_told_apart_by_what_is_asked_for(control: Control) -> None:
    ids = scene(control.world)
    enter(control.other, "charge", -100)
    today = datetime.now(UTC).date()
    expected = {
        "stage": [row("content", 5, 1.5, 110, 22, 2), row("strategy", 1, 0), row("ai", 0, 4, 1, 1, 1),
                  row("ideas", 0, 0.5)],
        "site": [row(str(control.world.site_id), 5, 1.5, 110, 22, 2, "brew"),
                 row(str(ids["other"]), 0, 0.5, slug="beans")],
        "mission": [row(f"msn_{ids['mission']}", 1, 0, slug="spring")],
        "flow": [row(f"flw_{ids['flow']}", 0, 4, 1, 1, 1, "wire")],
        "model": [row("large", None, 4, 11, 3, 2), row("small", None, 1.5, 100, 20, 1)],
    }  # fmt: skip
    for by, rows in expected.items():
        found = await control.get("/usage", by=by)
        assert found["rows"] == rows, by
        totals = {
            name: None if rows[0][name] is None else sum(one[name] for one in rows)
            for name in ("credits", "cents", "prompt_tokens", "completion_tokens", "calls")
        }
        assert found["totals"] == totals
        assert (found["since"], found["until"]) == (today.replace(day=1).isoformat(), today.isoformat())
    by_day = await control.get("/usage")
    assert by_day["by"] == "day"
    assert [one["key"] for one in by_day["rows"]] == [
        today.replace(day=n + 1).isoformat() for n in range(today.day)
    ]
    assert by_day["rows"][-1] == row(today.isoformat(), 6, 6, 111, 23, 3)
    assert by_day["totals"]["credits"] == 6


async def test_whoever_used_nothing_has_zeros(control: Control) -> None:
    zero = {"credits": 0, "cents": 0, "prompt_tokens": 0, "completion_tokens": 0, "calls": 0}
    for user in ("vera", "nobody"):
        for by in By:
            found = await control.get("/usage", user=user, by=by.value)
            assert found["totals"] == zero | ({"credits": None} if by is By.MODEL else {})
            assert all(one["cents"] == 0 for one in found["rows"]) if by is By.DAY else found["rows"] == []
    await control.get("/usage/forecast", user="nobody", expect=404)
    await control.get("/usage", account="other", expect=404)
    await control.get("/usage/forecast", account="other", expect=404)


async def test_a_period_is_of_a_year_at_most(control: Control) -> None:
    enter(control.world, "charge", -3, at=datetime(2025, 5, 4, 23, 59, 59, tzinfo=UTC))
    enter(control.world, "charge", -4, at=datetime(2025, 5, 5, tzinfo=UTC))
    one = await control.get("/usage", since="2025-05-04", until="2025-05-04", by="stage")
    assert [found["credits"] for found in one["rows"]] == [3]
    assert (await control.get("/usage", since="2024-05-05", until="2025-05-05"))["totals"]["credits"] == 7
    only_until = await control.get("/usage", until="2025-05-05")
    assert (only_until["since"], only_until["totals"]["credits"]) == ("2025-05-01", 7)
    for odd in (
        {"since": "2024-05-03", "until": "2025-05-05"},
        {"since": "2025-05-05", "until": "2025-05-04"},
        {"until": "9999-12-31"},
        {"since": "0001-01-01", "until": "0001-02-01"},
        {"since": "yesterday"},
        {"by": "hour"},
    ):
        await control.get("/usage", expect=422, **odd)


def test_every_period_adds_up_to_what_the_ledger_and_the_calls_say(control: Control) -> None:
    world, dice = control.world, random.Random(7)
    ids = [world.site_id, workflow(world, "site", "beans"), workflow(world, "site", "corn")]
    today = datetime.now(UTC).date()
    begin = datetime.combine(today - timedelta(days=130), datetime.min.time(), UTC)
    for _ in range(60):
        at = begin + timedelta(seconds=dice.randrange(130 * 86400))
        facts = {"at": at, "workflow_id": dice.choice(ids), "stage": dice.choice(["content", "images"])}
        enter(world, "charge", -dice.randrange(1, 9), **facts)
        enter(world, "cost", dice.randrange(1, 900) / 100, **facts)
        call(world, prompt_tokens=dice.randrange(99), model=dice.choice("ab"), **facts)
    columns = {By.DAY: "(at AT TIME ZONE 'UTC')::date::text", By.STAGE: "stage", By.SITE: "workflow_id::text"}
    for _ in range(12):
        since, until = sorted(today - timedelta(days=dice.randrange(131)) for _ in range(2))
        for by, column in columns.items():
            asked = [world.account_id, since, until + timedelta(days=1)]
            where = "WHERE account_id = %s AND at >= %s AND at < %s AND workflow_id IS NOT NULL GROUP BY 1"
            money = world.sql(f"SELECT {column}, -sum(credits), sum(cents) FROM ledger {where}", *asked)  # noqa: S608
            made = world.sql(f"SELECT {column}, sum(prompt_tokens), count(*) FROM ai_calls {where}", *asked)  # noqa: S608
            with world.store.transaction(world.account_id) as tx:
                found = usage.usage(tx, by, since, until, today)
            assert {(one.key, one.credits, one.cents) for one in found if one.cents} == set(money)
            assert {(one.key, one.prompt_tokens, one.calls) for one in found if one.calls} == set(made)


def kept(world: World) -> list[list[tuple[Any, ...]]]:
    return [world.sql(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4") for table in SUMS]  # noqa: S608


def test_what_was_there_before_the_sums_is_in_them(control: Control) -> None:
    scene(control.world)
    enter(control.world, "cost", 3, at=datetime(2025, 12, 31, 23, 30, tzinfo=UTC))
    enter(control.other, "charge", -3)
    before = kept(control.world)
    assert all(before)
    text = files("pressroom.store").joinpath("migrations", "0006_items_and_usage.sql").read_text("utf-8")
    for table in SUMS:
        control.world.sql(f"DELETE FROM {table}")  # noqa: S608
        [fill] = re.findall(rf"^INSERT INTO {table} .*?;", text, re.DOTALL | re.MULTILINE)
        control.world.sql(fill)
    assert kept(control.world) == before


def test_calls_and_charges_at_once_do_not_lock_each_other_out(control: Control) -> None:
    world = control.world
    other = replace(world, site_id=workflow(world, "site", "beans"))
    run = world.run().id
    caps = Caps(account_month=Decimal(10**6))
    meters = [meter(world, model, tokens_per_minute=10**9) for model in ("small", "large")]
    rounds, workers = 25, 8

    def work(number: int) -> None:
        of = (world, other)[number % 2].site_id
        for step in range(rounds):
            stage = ("content", "ideas")[(number + step) % 2]
            scope = CostScope(world.account_id, of, run, stage, f"{number}:{step}", caps)
            chosen = meters[step % 2]
            held = asyncio.run(chosen.prepare(scope, Decimal("0.5"))).held
            spent = Call("ok", Usage(3, 4), Decimal("0.25"))
            chosen.book(scope, spent, held=held, expected_tokens=9)
            with world.store.transaction(world.account_id) as tx:
                ledger.reserve(tx, scope, Decimal(1))
            with world.store.transaction(world.account_id) as tx:
                ledger.settle(tx, scope, Decimal(1))

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, number) for number in range(workers)]:
            done.result()  # a deadlock would raise TransientError
    number = rounds * workers
    today = datetime.now(UTC).date()
    for by in (By.STAGE, By.SITE, By.MODEL):
        with world.store.transaction(world.account_id) as tx:
            total = usage.total(by, usage.usage(tx, by, today - timedelta(days=1), today, today))
        assert (total.calls, total.prompt_tokens, total.cents) == (
            number,
            3 * number,
            number * Decimal("0.25"),
        )
        assert total.credits in (number, None)


# Forecast ---------------------------------------------------------------------------------------------


async def test_the_month_is_foretold(control: Control) -> None:
    world = control.world
    world.sql("UPDATE accounts SET created_at = now() - interval '5 days'")
    world.sql(
        "UPDATE accounts SET definition = jsonb_set(definition, '{caps,month_cents}', '1.5') WHERE id = %s",
        world.account_id,
    )
    today = datetime.now(UTC).date()
    for back in range(1, 5):
        at = datetime.combine(today - timedelta(days=back), datetime.min.time(), UTC)
        enter(world, "charge", -100, at=at)
        enter(world, "cost", 2, at=at)
    enter(world, "charge", -3)
    enter(control.other, "cost", 500)
    found = await control.get("/usage/forecast")
    this_month = [back for back in range(1, 5) if (today - timedelta(days=back)).month == today.month]
    assert found["daily_mean"] == {"credits": 100, "cents": 2, "days": 4}
    assert found["spent"] == {"credits": 100 * len(this_month) + 3, "cents": 2 * len(this_month)}
    assert found["expected"]["cents"] == pytest.approx(
        found["spent"]["cents"] + 2 * found["days_left"], abs=1e-3
    )
    assert found["cap"]["month_cents"] == 1.5
    assert found["cap"]["reached"] is (found["expected"]["cents"] >= 1.5)
    assert found["credits"]["balance"] == found["credits"]["available"] == 1000 - 403
    end = date.fromisoformat(found["credits"]["run_out_on"])
    assert today + timedelta(days=5) <= end <= today + timedelta(days=6)
    following = (today.replace(day=1) + timedelta(days=31)).replace(day=1)
    assert found["month_ends_on"] == (following - timedelta(days=1)).isoformat()


async def test_a_new_account_has_no_pace_yet(control: Control) -> None:
    found = await control.get("/usage/forecast")
    assert (found["daily_mean"], found["expected"], found["credits"]["run_out_on"]) == (None, None, None)
    assert found["cap"] == {"month_cents": None, "reached": None}
    assert found["spent"] == {"credits": 0, "cents": 0}


async def test_credits_that_are_reserved_are_not_available(control: Control) -> None:
    world = control.world
    with world.store.transaction(world.account_id) as tx:
        ledger.reserve(
            tx, CostScope(world.account_id, world.site_id, world.run().id, "content", "1"), Decimal(9)
        )
    found = await control.get("/usage/forecast")
    assert (found["credits"]["balance"], found["credits"]["available"]) == (1000, 991)
