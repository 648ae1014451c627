"""One account does its worst at the API: the others get their answers all the same."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import httpx
import psycopg
import pytest
from fastapi.sse import KEEPALIVE_COMMENT

from pressroom.api.hooks import build_app
from pressroom.api.kit import streaming
from pressroom.api.kit.access import Scope
from pressroom.api.kit.callers import Caller
from pressroom.api.kit.limits.admission import WORK, Admission
from pressroom.api.kit.streaming import events
from pressroom.definitions import importing
from pressroom.definitions.checking import DefinitionProblem
from pressroom.definitions.trial import Trial
from pressroom.domain.definitions import Role
from pressroom.domain.errors import TransientError
from pressroom.engine.runs.reports import LEVELS, LogFilter
from pressroom.store.database import SYSTEM, Store, Tx
from tests.support.control_things import furnish
from tests.support.control_world import Control, control_world
from tests.support.waiting import until

LONGEST = 60.0
"""Seconds in which a neighbour's answer has to come: it takes none of what is held."""
LOCK_OF_DEFINITIONS = 7305119


async def answered(control: Control, method: str, path: str, **more: Any) -> Any:
    """The answer of the neighbour, who has an account of its own."""
    async with asyncio.timeout(LONGEST):
        return await control(method, path, user="stella", **more, expect=200)


async def test_slow_definitions_hold_none_of_the_threads_of_others(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, end = threading.Event(), threading.Event()
    tried: list[str] = []

    def problems(_: Trial, definitions: Sequence[Any], **__: Any) -> list[list[DefinitionProblem]]:
        tried.extend(each.account for each in definitions)
        begun.set()
        if any(each.account == "demo" for each in definitions):
            end.wait(4 * LONGEST)
        return [[] for _ in definitions]

    monkeypatch.setattr(Trial, "problems", problems)
    mine, theirs = f"/sites/{control.world.site_id}", f"/sites/{control.other.site_id}"
    greedy = [asyncio.ensure_future(control("PATCH", mine, json={"name": f"N{n}"})) for n in range(60)]
    try:
        assert await asyncio.to_thread(begun.wait, LONGEST)
        await answered(control, "GET", theirs)
        await answered(control, "PATCH", theirs, json={"name": "Another"})
        assert tried == ["demo", "other"]
    finally:
        end.set()
        await asyncio.gather(*greedy)


def waiting_for_locks(control: Control) -> int:
    """Transactions that wait for an advisory lock."""
    [(waiting,)] = control.world.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    )
    return int(waiting)


async def test_calls_that_wait_in_the_database_hold_not_every_connection(
    control: Control, database_url: str
) -> None:
    with psycopg.connect(database_url) as other_writer:
        other_writer.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_OF_DEFINITIONS])
        greedy = [
            asyncio.ensure_future(control("POST", "/brand-contexts", json={"slug": f"b{n}", "name": "B"}))
            for n in range(110)
        ]
        await until(lambda: waiting_for_locks(control) >= WORK // 2)
        for _ in range(5):
            await answered(control, "GET", f"/sites/{control.other.site_id}")
        other_writer.rollback()
        answers = await asyncio.gather(*greedy)
    refused = [answer for answer in answers if answer.status_code != 201]
    assert 0 < len(refused) < 110
    assert {answer.status_code for answer in refused} == {429}
    assert all(answer.headers["Retry-After"] for answer in refused)
    assert "this account" in refused[0].json()["detail"]


async def key(control: Control, **more: Any) -> dict[str, str]:
    made = await control("POST", "/api-keys", user="olga", json={"name": "k", **more}, expect=201)
    return {"Authorization": f"Bearer {made.json()['key']}"}


async def test_more_keys_are_not_more_calls(store: Store, database_url: str) -> None:
    async with control_world(database_url, store, rate="6/minute") as control:
        keys = [await key(control) for _ in range(3)]
        for headers in keys:
            await control("GET", "/sites", user=None, headers=headers, expect=200)
            await control("GET", "/sites", user=None, headers=headers, expect=200)
        for headers in keys:
            await control("GET", "/sites", user=None, headers=headers, expect=429)
        await control("GET", "/sites", user="vera", expect=200)


async def test_what_moves_much_counts_as_several_calls(store: Store, database_url: str) -> None:
    async with control_world(database_url, store, rate="6/minute") as control:
        large = b'{"slug": "x", "name": "' + b"n" * 450_000 + b'"}'
        typed = {"Content-Type": "application/json"}
        await control("POST", "/sites", content=large, headers=typed, expect=422)
        await control("GET", "/sites", user="ed", expect=200)
        refused = await control("GET", "/sites", user="ed", expect=429)
        assert "bytes" in refused.json()["detail"]


async def test_wrong_keys_are_limited_by_address(control: Control) -> None:
    good = await key(control)
    await control("GET", "/sites", user=None, headers=good, expect=200)
    statuses = []
    for number in range(40):
        wrong = {"Authorization": f"Bearer prk_{number}"}
        statuses.append((await control("GET", "/sites", user=None, headers=wrong)).status_code)
    assert statuses == [401] * 30 + [429] * 10
    await control("GET", "/sites", user=None, headers=good, expect=200)


async def test_nothing_is_read_of_who_is_not_known(control: Control) -> None:
    read = []

    async def body() -> Any:
        for _ in range(5):
            read.append(1)
            yield b"[" * 100_000

    await control("POST", "/sites", user=None, content=body(), expect=401)
    assert len(read) < 2


async def test_open_streams_look_together(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    run, admission, opened = control.world.run(), Admission(), 150
    monkeypatch.setattr(streaming, "SILENCE_SECONDS", 1.5)
    transactions = 0

    def counted(store: Store, account: int = SYSTEM) -> Any:
        nonlocal transactions
        transactions += 1
        return original(store, account)

    original = Store.transaction
    monkeypatch.setattr(Store, "transaction", counted)
    streams = []
    for level in LEVELS[:2]:
        for _ in range(opened // 2):
            scope = Scope(
                control.plane, admission, Caller("vera"), run.account_id, "demo", Role.VIEWER, run.id
            )
            streams.append(events(scope, run.id, 10**6, LogFilter(level=level)))
    async with asyncio.timeout(LONGEST):
        assert set(await asyncio.gather(*map(anext, streams))) == {KEEPALIVE_COMMENT}
    assert transactions < opened
    assert admission.streams.count("account:" + str(run.account_id)) == opened
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
    assert admission.streams.count("account:" + str(run.account_id)) == 0


def set_quotas(control: Control, **quotas: int) -> None:
    control.world.sql(
        "UPDATE accounts SET definition = definition || jsonb_build_object('quotas', %s::jsonb)"
        " WHERE id = %s",
        json.dumps(quotas), control.world.account_id,
    )  # fmt: skip


LONG = "word " * 3000


@pytest.mark.parametrize(
    ("quota", "value", "user", "method", "path", "more"),
    [
        ("sites", 1, "ed", "POST", "/sites", {"json": {"slug": "more", "name": "More"}}),
        ("brand_contexts", 0, "ed", "POST", "/brand-contexts", {"json": {"slug": "b", "name": "B"}}),
        ("api_keys", 0, "olga", "POST", "/api-keys", {"json": {"name": "k"}}),
        ("keywords", 2, "ed", "POST", "/keywords/import?site_id={site}", {
            "content": b"keyword\none\ntwo\nthree\n", "headers": {"Content-Type": "text/csv"}}),
        ("keywords", 0, "ed", "POST", "/keywords", {"json": {"keywords": [{"text": "one"}]}}),
        ("definition_bytes", 10_000, "ed", "PATCH", "/sites/{site}", {
            "json": {"prompts": {"ideas": {"system": LONG}}}}),
        ("brand_bytes", 10_000, "ed", "POST", "/brand-contexts", {
            "json": {"slug": "b", "name": "B", "topics": [LONG]}}),
        ("item_bytes", 10_000, "ed", "POST", "/pipeline/jobs", {
            "json": {"item": {"text": LONG}}}),
        ("log_streams", 0, "vera", "GET", "/pipeline/jobs/{run}/logs?stream=true", {}),
    ],
)  # fmt: skip
async def test_a_quota_names_itself_and_who_can_raise_it(
    control: Control, quota: str, value: int, user: str, method: str, path: str, more: dict[str, Any]
) -> None:
    things = furnish(control.world)
    set_quotas(control, **{quota: value})
    named = {"/keywords": {"site_id": int(things["site"])}, "/pipeline/jobs": {"flow_id": things["flow"]}}
    if path in named:
        more = {"json": more["json"] | named[path]}
    refused = await control(method, path.format_map(things), user=user, **more, expect=403)
    problem = refused.json()
    assert str(value) in problem["detail"]
    assert "operator" in problem["remedy"]
    assert quota in problem["remedy"]


async def test_an_import_holds_no_connection_over_the_whole_list(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut off after its second chunk; sent again, it goes on there."""
    data = b"keyword\n" + b"".join(b"keyword %d\n" % number for number in range(3500))
    add = importing._add
    chunks: list[int] = []

    def cut_off(tx: Tx, site: int, chunk: str) -> int:
        if len(chunks) == 2:
            raise TransientError("the server ends")
        chunks.append(add(tx, site, chunk))
        return chunks[-1]

    path, headers = f"/keywords/import?site_id={control.world.site_id}", {"Content-Type": "text/csv"}
    monkeypatch.setattr(importing, "_add", cut_off)
    await control("POST", path, content=data, headers=headers, expect=503)
    assert control.world.sql("SELECT count(*) FROM keywords WHERE text LIKE 'keyword _%%'") == [(2000,)]
    monkeypatch.setattr(importing, "_add", add)
    answer = (await control("POST", path, content=data, headers=headers, expect=201)).json()
    assert (answer["added"], answer["duplicates"]) == (1500, 2000)


async def test_a_page_is_bounded_in_bytes_too(control: Control) -> None:
    large = {f"k{n}": "w" * 20_000 for n in range(40)}
    for number in range(6):
        control.world.sql(
            "INSERT INTO audit_log (account_id, actor, action, target, details)"
            " VALUES (%s, 'a', 'a', 'a', %s)",
            control.world.account_id, json.dumps(large | {"number": number}),
        )  # fmt: skip
    seen, cursor = [], None
    while True:
        params = {"limit": 200, "actor": "a"} | ({"cursor": cursor} if cursor else {})
        answer = await control("GET", "/audit", user="olga", params=params, expect=200)
        assert len(answer.content) < 2_500_000
        seen += [row["details"]["number"] for row in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break
    assert seen == [5, 4, 3, 2, 1, 0]


async def test_hooks_are_limited_by_address(control: Control) -> None:
    async def statuses(address: str, calls: int) -> list[int]:
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://hooks") as client:
            return [(await client.post(f"/flows/guess-{n}", json={})).status_code for n in range(calls)]

    app = build_app(control.plane)
    assert await statuses("192.0.2.1", 35) == [401] * 30 + [429] * 5
    assert await statuses("192.0.2.2", 1) == [401]
    assert await statuses("2001:db8::1", 30) == [401] * 30
    assert await statuses("2001:db8::2", 1) == [429]


@pytest.mark.parametrize("quota", ["ideas", "articles"])
async def test_no_run_begins_without_room_for_what_it_makes(control: Control, quota: str) -> None:
    set_quotas(control, **{quota: 0})
    refused = await control("POST", "/pipeline/jobs", json={"site_id": control.world.site_id}, expect=403)
    assert quota in refused.json()["remedy"]
