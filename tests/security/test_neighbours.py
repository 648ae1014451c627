"""One account does its worst at the API: the others get their answers all the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from pressroom.definitions.checking import DefinitionProblem
from pressroom.definitions.trial import Trial
from pressroom.store.database import Store
from tests.support.control_world import Control, control_world

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


async def test_calls_that_wait_in_the_database_hold_not_every_connection(
    control: Control, database_url: str
) -> None:
    with psycopg.connect(database_url) as other_writer:
        other_writer.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_OF_DEFINITIONS])
        greedy = [
            asyncio.ensure_future(control("POST", "/brand-contexts", json={"slug": f"b{n}", "name": "B"}))
            for n in range(110)
        ]
        await asyncio.sleep(0.5)
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
        json = {"Content-Type": "application/json"}
        await control("POST", "/sites", content=large, headers=json, expect=422)
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
