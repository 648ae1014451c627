"""Embeddings of a server: the real SDK, engine and ledger, against one that answers by script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from pressroom.adapters.models.openai_embeddings import OpenAIEmbeddings, read_embeddings
from pressroom.adapters.models.replies import NoCompletion
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.adapters.models.similarity import WordLlamaSimilarity
from pressroom.domain.errors import (
    CapReached,
    ConfigurationError,
    OutOfMoney,
    PressroomError,
    RequestRefused,
    ServiceDown,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.model import Similarity
from pressroom.engine.models.embeddings import UNRELATED, EmbeddingEngine
from pressroom.engine.money.ledger import Caps, CostScope
from tests.support.model_desk import ModelDesk

pytestmark = pytest.mark.integration

PRICES = {"input_cents_per_million": 1_000_000}
"""A cent a token."""
TEXTS = ["burr coffee grinder", "manual coffee grinder", "cold brew ratio", "latte art"]
LOCAL = WordLlamaSimilarity()


Ask = Callable[..., list[Similarity]]


@pytest.fixture
def ask(desk: ModelDesk) -> Ask:
    """The closeness of each list of texts, asked of one engine."""

    def asked(*lists: Sequence[str], cap: int | None = None, **extra: Any) -> list[Similarity]:
        desk.runs += 1
        run = desk.world.run(f"manual__{desk.runs}")
        scope = CostScope(
            desk.world.account_id, desk.world.site_id, run.id, "clusters", "1",
            caps=Caps(run=None if cap is None else Decimal(cap)),
        )  # fmt: skip

        async def work() -> list[Similarity]:
            settings = desk.settings(**{"prices": PRICES, **extra})
            async with OpenAIEmbeddings(settings) as embedder:
                engine = EmbeddingEngine(embedder, desk.world.store)
                return [await engine.bound(scope).similarity(texts) for texts in lists]

        try:
            return asyncio.run(work())
        finally:
            desk.world.sql("UPDATE runs SET status = 'failed', completed_at = now() WHERE id = %s", run.id)

    return asked


def tokens(texts: Sequence[str]) -> int:
    """What the server counts."""
    return sum(len(text) // 4 + 1 for text in texts)


def test_closeness_is_that_of_the_local_model_whatever_all_texts_have_in_common(ask: Ask) -> None:
    [found] = ask([*TEXTS, "", "  "])
    ours = found.matrix(TEXTS, TEXTS)
    theirs = LOCAL.matrix(TEXTS, TEXTS)
    for own, other in zip(ours, theirs, strict=True):
        assert own == pytest.approx(other, abs=0.01)
    [[nothing, _], [same, also_nothing]] = found.matrix(["", "latte art"], ["latte art", " "])
    assert (nothing, also_nothing) == (0, 0)
    assert same == pytest.approx(1)
    assert found.matrix([], TEXTS) == []
    assert found.matrix(["latte art"], []) == [[]]


def test_each_text_is_paid_for_once_and_booked_by_the_answers_usage(desk: ModelDesk, ask: Ask) -> None:
    ask(TEXTS[:2], TEXTS[:3], TEXTS[:2])
    first, second = tokens([*UNRELATED, *TEXTS[:2]]), tokens(TEXTS[2:3])
    assert desk.calls == [("ok", first, 0, Decimal(first)), ("ok", second, 0, Decimal(second))]
    assert desk.world.sql("SELECT DISTINCT kind, model, connection FROM ai_calls") == [
        ("embedding", "scripted-1", "text")
    ]
    assert desk.spent == first + second
    assert desk.held == (0, 0)


def test_usage_that_is_not_said_is_booked_as_expected_and_not_as_nothing(desk: ModelDesk, ask: Ask) -> None:
    rows = [{"index": n, "embedding": [1.0, n]} for n in range(len(UNRELATED) + 1)]
    desk.answers({"action": "raw", "body": {"data": rows}})
    ask(["latte art"])
    [(outcome, counted, _, cents)] = desk.calls
    assert outcome == "ok"
    assert counted >= tokens([*UNRELATED, "latte art"])
    assert desk.spent == cents == counted


def test_a_cap_holds(desk: ModelDesk, ask: Ask) -> None:
    with pytest.raises(CapReached):
        ask(TEXTS, cap=3)
    assert desk.server.script.journal == []
    assert (desk.spent, desk.held) == (0, (0, 0))


def test_a_model_without_a_price_is_not_called_under_a_cap(
    desk: ModelDesk, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConnectionSettings, "is_local", False)
    with pytest.raises(ConfigurationError, match="the price of 'scripted-1' is unknown"):
        ask(TEXTS, cap=3, prices=None)
    assert desk.server.script.journal == []
    ask(TEXTS, cap=300, prices=None, base_model="text-embedding-3-small")
    assert 0 < desk.spent < Decimal("0.001")


def test_many_texts_go_in_batches_that_the_server_takes(desk: ModelDesk, ask: Ask) -> None:
    desk.server.script.most_texts = 30
    many = [f"keyword {number}" for number in range(150)]
    [found] = ask(many)
    assert found.matrix(["keyword 7"], ["keyword 7"])[0][0] == pytest.approx(1)
    sizes = [entry["prompt"].count("\n") + 1 for entry in desk.server.script.journal]
    assert max(sizes) <= 30
    assert sum(sizes) == 150 + len(UNRELATED)
    assert desk.spent == tokens([*UNRELATED, *many])


@pytest.mark.parametrize(
    ("rule", "expected", "words"),
    [
        ({"action": "status", "status": 401, "message": "Incorrect API key: sk-test-12345678"},
         ConfigurationError, "401"),
        ({"action": "status", "status": 404, "code": "model_not_found", "message": "no such model"},
         ConfigurationError, "404"),
        ({"action": "status", "status": 429, "code": "insufficient_quota", "message": "no money"},
         OutOfMoney, "no money"),
        ({"action": "status", "status": 429, "retry_after": 7, "message": "slow down"},
         TransientError, "slow down"),
        ({"action": "status", "status": 503}, ServiceDown, "503"),
        ({"action": "status", "status": 400, "message": "input is too strange"},
         RequestRefused, "too strange"),
        ({"action": "raw", "body": {"error": {"code": 402, "message": "insufficient credits"}}},
         OutOfMoney, "insufficient credits"),
        ({"action": "raw", "body": {"data": []}}, TransientError, "not an answer with"),
        ({"action": "raw", "body_text": "<html>"}, TransientError, "not what the API promises"),
    ],
)  # fmt: skip
def test_refusals_are_classed_as_those_of_texts_are(
    desk: ModelDesk, ask: Ask, rule: dict[str, Any], expected: type[PressroomError], words: str
) -> None:
    desk.answers(rule)
    with pytest.raises(expected, match=words) as caught:
        ask(TEXTS)
    assert type(caught.value) is expected
    assert "sk-test" not in str(caught.value)
    assert desk.held == (0, 0)
    assert desk.spent == 0
    assert [call[0] for call in desk.calls] == [expected.__name__]


def test_a_call_without_an_answer_is_booked_at_its_bound(desk: ModelDesk, ask: Ask) -> None:
    desk.answers({"action": "hang"})
    with pytest.raises(UnknownOutcome):
        ask(TEXTS, timeout_seconds=0.3)
    assert desk.spent >= tokens([*UNRELATED, *TEXTS])


VECTORS = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    "entries",
    [
        [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}],
        [{"embedding": [1, 0]}, {"embedding": [0, 1]}],  # a server that does not number them
        [{"index": 0, "embedding": [1, 0]}, {"index": 0, "embedding": [0, 1]}],  # one that numbers none right
        [{"index": 0, "embedding": "AACAPwAAAAA="}, {"index": 1, "embedding": "AAAAAAAAgD8="}],
    ],
)
def test_vectors_are_read_in_the_order_of_their_texts(entries: list[dict[str, Any]]) -> None:
    assert read_embeddings({"data": entries}, 2).vectors == VECTORS


@pytest.mark.parametrize(
    "entries",
    [
        [{"index": 0, "embedding": [1, 0]}],
        [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": [1, 0, 0]}],
        [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": [0, 0]}],
        [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": None}],
        [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": ["1", "0"]}],
        [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": json.loads("[NaN, 1]")}],
        [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": "not base64!"}],
        [{"index": 0, "embedding": [1, 0]}, "x"],
        None,
        {},
    ],
)
def test_what_is_no_vector_is_an_error_and_not_a_vector_of_zeros(entries: Any) -> None:
    for body in ({"data": entries}, entries):
        with pytest.raises(NoCompletion, match="not an answer with 2 embeddings"):
            read_embeddings(body, 2)


def test_what_an_answer_without_vectors_used_is_booked(desk: ModelDesk, ask: Ask) -> None:
    desk.answers({"action": "raw", "body": {"data": [], "usage": {"prompt_tokens": 9, "total_tokens": 9}}})
    with pytest.raises(TransientError):
        ask(TEXTS)
    assert desk.spent == 9


def test_a_check_asks_for_no_embedding(desk: ModelDesk) -> None:
    async def check(model: str) -> str:
        async with OpenAIEmbeddings(desk.settings(), model) as embedder:
            return await embedder.check()

    assert asyncio.run(check("scripted-1")) == ""
    with pytest.raises(ConfigurationError, match="no model 'scripted-2'"):
        asyncio.run(check("scripted-2"))
    assert desk.server.script.journal == []
    assert desk.calls == []
