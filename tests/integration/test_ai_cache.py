"""The engine on a real Postgres: cache, call records, costs and caps add up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from pressroom.adapters.models.card_images import CardImages
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.domain.errors import CapReached, InvalidAnswer, TransientError
from pressroom.domain.model import ImageRequest, Prompt
from pressroom.engine.models.images import ImageEngine
from pressroom.engine.models.text import TextEngine
from pressroom.engine.money.ledger import Caps, CostScope
from pressroom.store.database import Store
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.world import World, make_world

pytestmark = pytest.mark.integration

PROMPT = Prompt("idea", "You plan.", "Plan a post about ponds.", max_tokens=200)


class Idea(BaseModel):
    title: str = Field(min_length=3)
    tags: list[str] = Field(min_length=1, max_length=3)


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store)


@pytest.fixture
def server() -> Iterator[ScriptedOpenAI]:
    with ScriptedOpenAI() as running:
        yield running


def scope(world: World, caps: Caps = Caps(), item: str = "1") -> CostScope:  # noqa: B008
    return CostScope(world.account_id, world.site_id, world.run().id, "ideas", item, caps)


def settings(server: ScriptedOpenAI, **extra: Any) -> ConnectionSettings:
    prices = {"input_cents_per_million": 100_000, "output_cents_per_million": 100_000}
    return ConnectionSettings.from_connection(
        "text", host=server.base_url, password=None, extra={"model": "scripted-1", "prices": prices, **extra}
    )


async def ask(
    world: World,
    server: ScriptedOpenAI,
    where: CostScope,
    *,
    kind: type[Idea] = Idea,
    times: int = 1,
    **extra: Any,
) -> list[Idea]:
    async with OpenAIText(settings(server, **extra)) as model:
        text = TextEngine(
            model, world.store, text_price(model.settings, model.model), model.settings.limits
        ).bound(where, 0.7)
        return [await text.generate(PROMPT, kind) for _ in range(times)]


def until(happened: Callable[[], bool]) -> None:
    for _ in range(200):
        if happened():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within 10 seconds")


async def test_one_call_is_kept_and_priced(world: World, server: ScriptedOpenAI) -> None:
    first, second = await ask(world, server, scope(world), times=2)
    assert first == second
    assert len(server.script.journal) == 1
    rows = world.sql(
        "SELECT outcome, prompt_tokens + completion_tokens, cents, kind FROM ai_calls ORDER BY id"
    )
    assert [row[0] for row in rows] == ["ok", "cached"]
    assert rows[0][2] == Decimal(rows[0][1]) / 10
    assert rows[1][1:3] == (0, 0)
    assert world.sql("SELECT sum(cents) FROM ledger") == [(rows[0][2],)]
    assert world.sql("SELECT coalesce(sum(cents), 0) FROM reservations") == [(Decimal(0),)]
    assert world.sql("SELECT note, stage, item FROM ledger WHERE kind = 'cost'") == [
        ("scripted-1 by text", "ideas", "1")
    ]


async def test_a_call_that_is_cut_off_counts_at_its_most_because_it_may_be_charged(
    world: World, server: ScriptedOpenAI
) -> None:
    server.script.update({"rules": [{"action": "delay", "latency": 30}]})
    asking = asyncio.create_task(ask(world, server, scope(world)))
    await asyncio.to_thread(until, lambda: bool(server.script.journal))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert world.sql("SELECT outcome, cents > 20 FROM ai_calls") == [("CancelledError", True)]
    assert world.sql("SELECT sum(cents) > 20 FROM ledger") == [(True,)]
    assert world.sql("SELECT sum(cents) FROM reservations") == [(Decimal(0),)]


async def test_another_account_does_not_see_it(world: World, server: ScriptedOpenAI) -> None:
    await ask(world, server, scope(world))
    world.sql("INSERT INTO accounts (slug, name, definition) VALUES ('rival', 'Rival', '{}')")
    with world.store.transaction(world.account_id) as tx:
        [key] = [row[0] for row in world.sql("SELECT key FROM ai_cache")]
        assert tx.value("cached_answer", key=key)
    [[rival]] = world.sql("SELECT id FROM accounts WHERE slug = 'rival'")
    with world.store.transaction(rival) as tx:
        assert tx.value("cached_answer", key=key) is None


async def test_an_unusable_answer_is_not_kept(world: World, server: ScriptedOpenAI) -> None:
    server.script.update({"rules": [{"action": "wrong_schema"}]})
    with pytest.raises(InvalidAnswer):
        await ask(world, server, scope(world))
    assert world.sql("SELECT count(*) FROM ai_cache") == [(0,)]
    assert world.sql("SELECT outcome, cents > 0 FROM ai_calls") == [("InvalidAnswer", True)] * 2
    assert world.sql("SELECT count(*) FROM ledger WHERE kind = 'cost'") == [(2,)]


async def test_an_answer_kept_under_laxer_rules_is_asked_for_anew(
    world: World, server: ScriptedOpenAI
) -> None:
    class Stricter(Idea):
        @field_validator("title")
        @classmethod
        def short(cls, title: str) -> str:
            if not limits["lax"]:
                raise ValueError("too long")
            return title

    limits = {"lax": True}
    where = scope(world)
    await ask(world, server, where, kind=Stricter)
    limits["lax"] = False
    with pytest.raises(InvalidAnswer):
        await ask(world, server, where, kind=Stricter)
    assert len(server.script.journal) == 3


async def test_a_failed_call_is_recorded_and_holds_nothing(world: World, server: ScriptedOpenAI) -> None:
    server.script.update({"rules": [{"action": "status", "status": 429, "retry_after": 20}]})
    where = scope(world)
    with pytest.raises(TransientError) as caught:
        await ask(world, server, where, requests_per_minute=600)
    assert caught.value.retry_after == 20
    assert world.sql("SELECT outcome, cents FROM ai_calls") == [("TransientError", Decimal(0))]
    assert world.sql("SELECT coalesce(sum(cents), 0) FROM reservations") == [(Decimal(0),)]
    # What one worker was told holds for the next: it does not even call.
    with pytest.raises(TransientError, match="rate limit"):
        await ask(world, server, where, requests_per_minute=600, max_wait_seconds=1)
    assert len(server.script.journal) == 1
    assert world.sql("SELECT coalesce(sum(cents), 0) FROM reservations") == [(Decimal(0),)]


async def test_the_rate_limit_is_corrected_by_what_was_used(world: World, server: ScriptedOpenAI) -> None:
    where = scope(world)
    before = world.sql("SELECT clock_timestamp()")[0][0]
    await ask(world, server, where, tokens_per_minute=60)
    [[used]] = world.sql("SELECT prompt_tokens + completion_tokens FROM ai_calls")
    [[due]] = world.sql("SELECT due_at FROM rate_limits WHERE unit = 'tokens'")
    assert (due - before).total_seconds() == pytest.approx(used, abs=5)


async def test_a_cap_ends_the_calls(world: World, server: ScriptedOpenAI) -> None:
    with pytest.raises(CapReached):
        await ask(world, server, scope(world, Caps(run=Decimal(1))))
    assert server.script.journal == []
    assert world.sql("SELECT count(*) FROM ai_calls") == [(0,)]


async def test_many_at_once_add_up(world: World, server: ScriptedOpenAI) -> None:
    run = scope(world)
    async with OpenAIText(settings(server)) as model:
        engine = TextEngine(
            model, world.store, text_price(model.settings, model.model), model.settings.limits
        )

        async def one(number: int) -> Idea:
            mine = CostScope(run.account_id, run.workflow_id, run.run_id, "ideas", str(number))
            return await engine.bound(mine, 0.7).generate(Prompt("idea", "", f"Number {number}"), Idea)

        ideas = await asyncio.gather(*(one(number) for number in range(24)))
    assert len({idea.title for idea in ideas}) == 24
    assert world.sql("SELECT count(*), count(DISTINCT item) FROM ledger WHERE kind = 'cost'") == [(24, 24)]
    [[same]] = world.sql("SELECT (SELECT sum(cents) FROM ai_calls) = (SELECT spent_cents FROM accounts)")
    assert same


async def test_a_card_is_recorded_and_free(world: World) -> None:
    engine = ImageEngine(CardImages(), world.store)
    result = await engine.bound(scope(world)).draw(ImageRequest("p", "Title", 300, 300))
    assert result.width == 300
    assert world.sql("SELECT kind, model, outcome, cents FROM ai_calls") == [
        ("image", "card", "ok", Decimal(0))
    ]
    assert world.sql("SELECT count(*) FROM ledger WHERE kind = 'cost'") == [(0,)]
