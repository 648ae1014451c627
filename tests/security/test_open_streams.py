"""Open pages of one account, and calls without a login that take long: others do not wait for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT

from pressroom.api import hooks
from pressroom.api.hooks import build_app
from pressroom.api.kit import streaming
from pressroom.api.kit.access import Scope, scopes_of
from pressroom.api.kit.callers import Caller
from pressroom.api.kit.limits import in_flight
from pressroom.api.kit.limits.admission import HOOKS, Admission
from pressroom.domain.errors import QuotaExceeded
from pressroom.page.app import build_page_app
from pressroom.page.kit import live
from pressroom.store.database import Tx
from tests.support.control_world import Control
from tests.support.served import served
from tests.support.waiting import until

LONGEST = 60.0
"""Seconds in which an answer has to come that waits for nobody."""


def events_of(scopes: Sequence[Scope]) -> Any:
    page = live.stream(scopes)
    assert isinstance(page, StreamingResponse)
    return page.body_iterator


async def test_open_pages_look_together_too_and_count_as_streams(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of several accounts: each is asked once, however many watch it."""
    monkeypatch.setattr(streaming, "SILENCE_SECONDS", 3600.0)
    admission, world = Admission(), control.world
    scopes = scopes_of(control.plane, admission, Caller("root", admin=True))
    assert len(scopes) == 2
    marks = Counter[int]()

    def counted(tx: Tx, name: str, /, **params: Any) -> Any:
        marks[tx.account] += name == "account_mark"
        return original(tx, name, **params)

    original = Tx.value
    streams = [events_of(scopes) for _ in range(100)]
    monkeypatch.setattr(Tx, "value", counted)
    assert {await anext(stream) for stream in streams} == {KEEPALIVE_COMMENT}
    assert {admission.streams.count(scope.owner) for scope in scopes} == {100}
    news = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await asyncio.sleep(0)
    world.run()
    async with asyncio.timeout(LONGEST):
        assert {part.split(b"\n")[0] for part in await asyncio.gather(*news)} == {b"event: changed"}
    assert max(marks.values()) < 100
    for stream in streams:
        await stream.aclose()
    assert {admission.streams.count(scope.owner) for scope in scopes} == {0}


async def test_in_a_crowd_pages_take_turns_and_one_page_waits_for_nobody(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(streaming, "SILENCE_SECONDS", 3600.0)
    admission, world = Admission(), control.world
    scopes = scopes_of(control.plane, admission, Caller("olga"))
    monkeypatch.setattr(live, "rest", noted)

    async def waited_with(others: int) -> list[float]:
        """How long a page waits around what it hears of a change, beside so many others."""
        with ExitStack() as stack:
            for _ in range(others):
                stack.enter_context(admission.streams.counted(*(scope.owner for scope in scopes)))
            stream = events_of(scopes)
            await anext(stream)
            waits.clear()
            for name in ("first", "second"):
                news = asyncio.ensure_future(anext(stream))
                await sleep(0)
                world.sql(
                    "INSERT INTO audit_log (account_id, actor, action, target) VALUES (%s, 'x', 'y', %s)",
                    world.account_id, name,
                )  # fmt: skip
                async with asyncio.timeout(LONGEST):
                    assert (await news).startswith(b"event: changed")
            await stream.aclose()
            return list(waits)

    alone = await waited_with(0)
    assert max(alone) <= live.REST_SECONDS / live.CROWD
    crowded = await waited_with(live.CROWD)
    assert live.REST_SECONDS in crowded
    assert all(each <= live.SPREAD_SECONDS for each in crowded if each != live.REST_SECONDS)


async def test_a_page_is_one_stream_of_the_quota(control: Control) -> None:
    control.world.sql(
        "UPDATE accounts SET definition = definition || '{\"quotas\": {\"log_streams\": 0}}' WHERE id = %s",
        control.world.account_id,
    )  # fmt: skip
    scopes = scopes_of(control.plane, Admission(), Caller("vera"))
    with pytest.raises(QuotaExceeded, match="streams of logs and of the page"):
        live.stream(scopes)
    with pytest.raises(QuotaExceeded):
        live.stream(scopes, control.world.site_id)


async def test_a_page_ends_with_the_right_to_read_it(control: Control) -> None:
    scopes = scopes_of(control.plane, Admission(), Caller("vera"))
    stream = events_of(scopes)
    assert await anext(stream) == KEEPALIVE_COMMENT
    control.world.sql("DELETE FROM members WHERE username = 'vera'")
    async with asyncio.timeout(LONGEST):
        assert [part async for part in stream] == []
    assert scopes[0].admission.streams.count(scopes[0].owner) == 0


async def test_a_page_that_is_closed_counts_no_more(control: Control) -> None:
    """Over a real connection."""
    admission = Admission()
    owner = scopes_of(control.plane, admission, Caller("vera"))[0].owner
    with served(build_page_app(control.plane, admission)) as url:
        async with httpx.AsyncClient(base_url=url, headers={"X-User": "vera"}, timeout=60) as client:
            for path in ("/events", "/review/events", f"/sites/{control.world.site_id}/events"):
                async with client.stream("GET", path) as answer:
                    assert answer.status_code == 200
                    lines = answer.aiter_lines()
                    assert await anext(lines) == KEEPALIVE_COMMENT.decode().strip()
                    assert admission.streams.count(owner) == 1
                    control.world.run()
                    async with asyncio.timeout(LONGEST):
                        while await anext(lines) != "event: changed":
                            pass
                await until(lambda: admission.streams.count(owner) == 0)
                control.world.sql("DELETE FROM runs")


async def test_who_has_no_account_has_no_stream(control: Control) -> None:
    scopes = scopes_of(control.plane, Admission(), Caller("nobody"))
    assert live.stream(scopes).status_code == 204


async def hook(app: FastAPI, address: str, body: AsyncIterator[bytes] | bytes = b"{}") -> int:
    transport = httpx.ASGITransport(app=app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://hooks") as client:
        return (await client.post("/flows/guess", content=body)).status_code


async def test_a_body_that_does_not_come_holds_no_hook_of_others(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "MOST_OF_ONE", 3)
    monkeypatch.setattr(in_flight, "BODY_SECONDS", 3600.0)
    begun = 0

    async def dripping() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    app = build_app(control.plane)
    slow = [asyncio.create_task(hook(app, "192.0.2.1", dripping())) for _ in range(3)]
    async with asyncio.timeout(LONGEST):
        await until(lambda: begun == 3)
        assert await hook(app, "192.0.2.1") == 429
        assert await hook(app, "192.0.2.2") == 401
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        # Nor for ever those of its own address.
        monkeypatch.setattr(in_flight, "BODY_SECONDS", 0.1)
        for _ in range(4):
            assert await hook(app, "192.0.2.1", dripping()) == 408
        assert await hook(app, "192.0.2.1") == 401


async def test_hooks_that_take_long_are_few_and_each_address_has_its_share(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, most = Counter[str](), 0
    over = asyncio.Event()

    async def slow(airflow: Any, slug: str, request: Request, owner: str | None = None) -> Response:
        nonlocal most
        assert request.client is not None
        at_work[request.client.host] += 1
        most = max(most, at_work.total())
        await over.wait()
        at_work[request.client.host] -= 1
        return Response(status_code=202)

    monkeypatch.setattr(hooks, "_start_flow", slow)
    app = build_app(control.plane)
    calls = [asyncio.create_task(hook(app, "192.0.2.1")) for _ in range(8)]
    async with asyncio.timeout(LONGEST):
        await until(lambda: at_work["192.0.2.1"] > 0)
        calls += [asyncio.create_task(hook(app, "192.0.2.2")) for _ in range(8)]
        await until(lambda: at_work["192.0.2.2"] > 0)
        over.set()
        assert set(await asyncio.gather(*calls)) == {202}
    assert most < HOOKS
