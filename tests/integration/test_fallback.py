"""A connection that is down or out of money has its fallback in its place; the books say who wrote.

The real SDK, engines and ledger, against two servers that answer by script.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.domain.errors import CapReached, ConfigurationError, OutOfMoney, PressroomError, TransientError
from pressroom.domain.model import ImageRequest, ImageResult, Prompt, RateLimits
from pressroom.domain.run import Run
from pressroom.engine.models import fallbacks
from pressroom.engine.models.dialects import StoredDialects
from pressroom.engine.models.fallbacks import Fallbacks
from pressroom.engine.models.images import ImageChain, ImageEngine
from pressroom.engine.models.text import BoundText, TextChain, TextEngine
from pressroom.engine.money.ledger import Caps, CostScope
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.model_desk import USED, Note, completion, note, raw
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.world import World, make_world

with airflow_as_library():
    from pressroom.orchestration.tools.connections import Connections

pytestmark = pytest.mark.integration

DEAR = {"input_cents_per_million": 1000, "output_cents_per_million": 2000}
CHEAP = {"input_cents_per_million": 500, "output_cents_per_million": 1000}
NO_MONEY = raw({"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}}, 429)
DOWN = raw({"error": {"message": "overloaded"}}, 503)
GOOD = raw(completion(note()))


class Pair:
    """Two connections, the second the fallback of the first."""

    def __init__(self, world: World, first: ScriptedOpenAI, second: ScriptedOpenAI) -> None:
        self.world, self.servers = world, (first, second)
        self.run: Run = world.run()
        self.asked = 0
        for server in self.servers:
            server.script.clear()
            server.script.update({"rules": [GOOD]})

    def first_says(self, *rules: dict[str, Any]) -> None:
        self.servers[0].script.update({"rules": list(rules)})

    def second_says(self, *rules: dict[str, Any]) -> None:
        self.servers[1].script.update({"rules": list(rules)})

    @property
    def calls(self) -> tuple[int, int]:
        return len(self.servers[0].script.journal), len(self.servers[1].script.journal)

    def write(self, times: int = 1, *, cap: Decimal | None = None, same: bool = False) -> str:
        """Ask so often, each time for something else. Returns the model that wrote last."""
        return asyncio.run(self._write(times, cap, same))

    async def _write(self, times: int, cap: Decimal | None, same: bool) -> str:
        store = self.world.store
        async with AsyncExitStack() as stack:
            engines = []
            for name, server, prices in zip(("one", "two"), self.servers, (DEAR, CHEAP), strict=True):
                more = {"model": f"model-{name}", "prices": prices, "timeout_seconds": 1}
                settings = ConnectionSettings.from_connection(
                    name, host=server.base_url, password="k", extra=more
                )
                model = await stack.enter_async_context(OpenAIText(settings, dialects=StoredDialects(store)))
                engines.append(TextEngine(model, store, text_price(settings, model.model), settings.limits))
            chain = TextChain(engines, Fallbacks(store))
            text: BoundText | None = None
            for _ in range(times):
                self.asked += 0 if same and self.asked else 1
                scope = CostScope(
                    self.world.account_id, self.world.site_id, self.run.id, "content", str(self.asked),
                    Caps(run=cap),
                )  # fmt: skip
                text = chain.bound(scope, 0.7)
                await text.generate(Prompt("note", "You write.", f"Write {self.asked}.", 200), Note)
            assert text is not None
            return text.model

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return self.world.sql(statement)


@pytest.fixture(scope="module")
def second_server() -> Iterator[ScriptedOpenAI]:
    with ScriptedOpenAI() as running:
        yield running


@pytest.fixture
def pair(
    database_url: str, store: Store, scripted_openai: ScriptedOpenAI, second_server: ScriptedOpenAI
) -> Pair:
    return Pair(make_world(database_url, store), scripted_openai, second_server)


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [(NO_MONEY, "OutOfMoney"), (DOWN, "ServiceDown"), ({"action": "hang"}, "UnknownOutcome")],
    ids=["out of money", "down", "no answer"],
)  # fmt: skip
def test_the_fallback_writes_and_the_books_say_so(pair: Pair, rule: dict[str, Any], outcome: str) -> None:
    pair.first_says(rule)
    assert pair.write() == "model-two"
    calls = pair.sql("SELECT connection, model, outcome FROM ai_calls ORDER BY id")
    assert calls == [("one", "model-one", outcome), ("two", "model-two", "ok")]
    [(cents,)] = pair.sql("SELECT cents FROM ai_calls WHERE outcome = 'ok'")
    # By the second one's price: 100 tokens in and 50 out, at half of what the first would take.
    assert (USED["prompt_tokens"], USED["completion_tokens"], cents) == (100, 50, Decimal("0.1"))
    booked = pair.sql("SELECT note, cents FROM ledger WHERE kind = 'cost' ORDER BY id")
    assert booked[-1] == ("model-two by two", Decimal("0.1"))
    assert pair.sql("SELECT coalesce(sum(cents), 0) FROM reservations") == [(0,)]


def test_the_dead_one_is_not_asked_first_by_every_call(pair: Pair) -> None:
    pair.first_says(NO_MONEY)
    pair.write(3)
    assert pair.write(3) == "model-two"  # another process: it is remembered for all workers
    assert pair.calls == (1, 6)
    [(kind, message)] = pair.sql("SELECT kind, message FROM run_events WHERE level = 'warning'")
    assert kind == "fallback_used"
    assert message == "connection 'one' is down or out of money: its fallback 'two' takes its place"


def test_a_first_that_is_not_even_asked_has_its_fallback(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallbacks, "UNPAID_FOR", timedelta(0))
    pair.first_says(NO_MONEY)
    # Nothing is remembered, and one process sends no second call to a provider that it found unpaid.
    assert pair.write(3) == "model-two"
    assert pair.calls == (1, 3)


def test_it_is_asked_again_after_a_while(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallbacks, "DOWN_FOR", timedelta(0))
    pair.first_says(DOWN)
    pair.write()
    pair.first_says(GOOD)
    assert pair.write() == "model-one"
    assert pair.calls == (2, 1)


def test_one_that_was_away_is_asked_when_its_fallback_is_away_too(pair: Pair) -> None:
    pair.first_says(NO_MONEY)
    pair.write()
    pair.first_says(GOOD)
    pair.second_says(DOWN)
    assert pair.write() == "model-one"


@pytest.mark.parametrize(
    "rule",
    [
        raw({"error": {"message": "no such key", "code": "invalid_api_key"}}, 401),
        raw({"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}, 404),
        raw({"error": {"message": "flagged", "code": "content_policy_violation"}}, 400),
        raw({"error": {"message": "frobnicate is no thing"}}, 422),
        raw({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, 429),
        raw(completion("", finish="content_filter")),
        raw(completion("no JSON")),
    ],
    ids=["wrong key", "no model", "flagged", "refused", "too fast", "filtered", "invalid"],
)
def test_what_concerns_the_request_or_the_set_up_is_not_asked_elsewhere(
    pair: Pair, rule: dict[str, Any]
) -> None:
    pair.first_says(rule)
    with pytest.raises(PressroomError) as caught:
        pair.write()
    assert not isinstance(caught.value, OutOfMoney)
    assert pair.calls[1] == 0
    assert pair.sql("SELECT * FROM connections_away") == []


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [(NO_MONEY, DOWN, TransientError), (DOWN, NO_MONEY, TransientError), (NO_MONEY, NO_MONEY, OutOfMoney)],
    ids=["may come back", "the first may come back", "both are out of money"],
)
def test_when_all_are_away_another_try_helps_if_one_may_come_back(
    pair: Pair, first: dict[str, Any], second: dict[str, Any], kind: type[Exception]
) -> None:
    pair.first_says(first)
    pair.second_says(second)
    with pytest.raises(kind):
        pair.write()
    assert pair.calls == (1, 1)
    assert pair.sql("SELECT coalesce(sum(cents), 0) FROM ledger WHERE kind = 'cost'") == [(0,)]


def test_an_answer_that_any_of_them_gave_is_not_paid_again(pair: Pair) -> None:
    pair.write()
    pair.first_says(NO_MONEY)
    pair.world.sql("INSERT INTO connections_away VALUES ('one', now() + interval '1 hour')")
    assert pair.write(same=True) == "model-one"
    assert pair.calls == (1, 0)
    assert pair.sql("SELECT outcome, model FROM ai_calls ORDER BY id") == [
        ("ok", "model-one"), ("cached", "model-one"),
    ]  # fmt: skip


def test_the_cap_is_held_by_the_price_of_the_one_that_is_asked(pair: Pair) -> None:
    # 200 tokens of an answer may cost 0.4 cents and more at the first, half as much at the second.
    pair.first_says(NO_MONEY)
    cap = Decimal("0.35")
    with pytest.raises(CapReached, match=r"run cap of 0\.35"):
        pair.write(cap=cap)
    pair.world.sql("INSERT INTO connections_away VALUES ('one', now() + interval '1 hour')")
    assert pair.write(cap=cap) == "model-two"


class Drawing:
    """A provider of pictures that raises or draws."""

    limits = RateLimits()
    priced = True

    def __init__(self, name: str, cents: str, error: Exception | None = None) -> None:
        self.connection, self.model = name, f"model-{name}"
        self._cents, self._error = Decimal(cents), error

    def estimate(self, request: ImageRequest) -> Decimal:
        return self._cents

    async def draw(self, request: ImageRequest) -> ImageResult:
        if self._error is not None:
            raise self._error
        return ImageResult(b"x", "image/png", 1, 1, self.model, self._cents)


async def test_pictures_have_fallbacks_too(pair: Pair) -> None:
    store = pair.world.store
    providers = [Drawing("one", "4", OutOfMoney("pay first")), Drawing("two", "3")]
    chain = ImageChain([ImageEngine(provider, store) for provider in providers], Fallbacks(store))
    scope = CostScope(pair.world.account_id, pair.world.site_id, pair.run.id, "images", "1")
    drawn = await chain.bound(scope).draw(ImageRequest("a hedge", "Hedges", 1, 1))
    assert drawn.model == "model-two"
    assert pair.sql("SELECT connection, model, cents FROM ai_calls WHERE outcome = 'ok'") == [
        ("two", "model-two", 3)
    ]


def connections(**extras: dict[str, Any]) -> Connections:
    made = {
        name: SimpleNamespace(
            host=None, schema=None, port=None, login=None, password="k", extra_dejson={"model": "m", **extra}
        )
        for name, extra in extras.items()
    }
    read: Callable[[str], Any] = made.__getitem__
    return Connections(read, lambda name: None, (KeyError,))


def test_a_chain_is_followed_to_its_end() -> None:
    made = connections(a={"fallback": "b"}, b={"fallback": "c"}, c={})
    assert [settings.name for settings in made.models("a")] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("extras", "words"),
    [
        ({"a": {"fallback": "a"}}, "its fallback leads back to 'a' (a → a)"),
        ({"a": {"fallback": "b"}, "b": {"fallback": "a"}}, "its fallback leads back to 'a' (a → b → a)"),
        ({"a": {"fallback": "b"}}, "fallback of connection 'a': the Airflow connection 'b' does not exist"),
        ({"a": {"fallback": "b"}, "b": {"modle": "m"}}, "the fallback of connection 'a': connection 'b'"),
    ],
    ids=["itself", "a circle", "unknown", "wrong"],
)  # fmt: skip
def test_a_chain_that_cannot_be_followed_is_refused(extras: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connections(**extras).models("a")
    assert words in str(caught.value)
