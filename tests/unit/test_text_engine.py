"""The text engine and its adapter: validation, repair, the ladders, and what each fault becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Literal, cast

import pytest
from pydantic import BaseModel, Field

from pressroom.adapters.models.json_schemas import strict
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.domain.errors import (
    ConfigurationError,
    EmptyAnswer,
    FilteredAnswer,
    InvalidAnswer,
    OutOfMoney,
    PermanentError,
    PressroomError,
    RefusedAnswer,
    ServiceDown,
    TransientError,
    TruncatedAnswer,
    UnknownOutcome,
)
from pressroom.domain.model import Finish, ModelReply, ModelRequest, Prompt, Tool, ToolCall, Usage
from pressroom.engine.models.answers import choice_type
from pressroom.engine.models.text import BoundText, TextEngine
from pressroom.engine.money.ledger import Caps, CostScope
from pressroom.store.database import Store
from tests.support.scripted_openai import ScriptedOpenAI

SCOPE = CostScope(1, 1, 1, "content", "7")
PROMPT = Prompt("article", "You write.", "Write about hedges.", max_tokens=100)


class Section(BaseModel):
    heading: str = Field(min_length=1, max_length=80)
    points: list[str] = Field(min_length=1, max_length=4)


class Article(BaseModel):
    title: str = Field(min_length=3, max_length=60)
    mood: Literal["calm", "lively"]
    sections: list[Section] = Field(min_length=2, max_length=3)


class Search(BaseModel):
    words: str = Field(min_length=1)


class Publish(BaseModel):
    where: Literal["blog", "feed"]
    hour: int = Field(ge=0, le=23)


GOOD = '{"title": "Hedges", "mood": "calm", "sections": [%s, %s]}' % (
    (('{"heading": "A", "points": ["x"]}'),) * 2
)


class MemoryTx:
    """The statements that the engine uses, on two dicts."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def value(self, name: str, **params: Any) -> Any:
        if name == "cached_answer":
            return self._store.cache.get(params["key"])
        self._store.calls.append(params)
        return len(self._store.calls)

    def rows(self, name: str, **params: Any) -> list[dict[str, Any]]:
        names = ("run", "workflow_month", "account_month", "account_total", "held_run", "held_account")
        return [dict.fromkeys(names, Decimal(0))]

    def run(self, name: str, **params: Any) -> int:
        if name == "cache_answer":
            self._store.cache[params["key"]] = params["answer"]
        elif name == "hold_cents":
            self._store.held += params["cents"]
        elif name == "ledger_cost":
            self._store.costs.append(params["cents"])
        return 1


class MemoryStore:
    """In place of Postgres; ``calls``: what was recorded of each model call."""

    def __init__(self) -> None:
        self.cache: dict[str, str] = {}
        self.calls: list[dict[str, Any]] = []
        self.costs: list[Decimal] = []
        self.held = Decimal(0)

    @contextmanager
    def transaction(self, account: int = -1) -> Iterator[MemoryTx]:
        yield MemoryTx(self)

    @property
    def outcomes(self) -> list[str]:
        return [call["outcome"] for call in self.calls]


class FakeModel:
    """Answers from a list; an exception in it is raised."""

    connection = "fake"
    model = "fake-1"
    facts: Mapping[str, Any] = {}

    def __init__(self, *replies: str | ModelReply | BaseException) -> None:
        self._replies: list[str | ModelReply | BaseException] = list(replies)
        self.requests: list[ModelRequest] = []

    async def most_tokens(self, request: ModelRequest) -> int:
        return request.max_tokens

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.requests.append(request)
        reply = self._replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        return said(reply) if isinstance(reply, str) else reply


def said(text: str, finish: Finish = Finish.STOP, calls: Sequence[ToolCall] = ()) -> ModelReply:
    return ModelReply(text, finish, Usage(1000, 500), "fake-1", calls)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


PRICED = ConnectionSettings.from_connection(
    "fake",
    host="https://llm.example/v1",
    password="k",
    extra={"prices": {"input_cents_per_million": 1000, "output_cents_per_million": 2000}},
)


def engine(
    store: MemoryStore, model: Any, settings: ConnectionSettings = PRICED, scope: CostScope = SCOPE
) -> BoundText:
    price = text_price(settings, model.model)
    return TextEngine(model, cast(Store, store), price, settings.limits).bound(scope, 0.5)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Sure! Here you are:\n\n{GOOD}\n\nAnything else?",
        f'<think>maybe {{}} or {{"title": 1}}</think>{GOOD}',
        f'I first thought of {{"title": 3}} but this is better: {GOOD}',
        GOOD.replace('"x"', '"line\nbreak \\u0000"', 1),
    ],
)
async def test_an_answer_is_found_whatever_stands_around_it(store: MemoryStore, text: str) -> None:
    article = await engine(store, FakeModel(text)).generate(PROMPT, Article)
    assert article.title == "Hedges"
    assert store.outcomes == ["ok"]
    assert "\x00" not in article.sections[0].points[0]


async def test_the_call_is_priced_and_nothing_stays_held(store: MemoryStore) -> None:
    await engine(store, FakeModel(GOOD)).generate(PROMPT, Article)
    assert store.costs == [Decimal(2)]  # 1,000 tokens in at 10 $, 500 out at 20 $ a million
    assert store.calls[0]["prompt_tokens"] == 1000
    assert store.calls[0]["milliseconds"] >= 0
    assert store.held == 0


async def test_the_same_prompt_is_answered_from_the_cache(store: MemoryStore) -> None:
    model = FakeModel(GOOD, GOOD)
    text = engine(store, model)
    first = await text.generate(PROMPT, Article)
    assert await text.generate(PROMPT, Article) == first
    assert len(model.requests) == 1
    assert store.outcomes == ["ok", "cached"]
    assert store.costs == [Decimal(2)]
    await text.generate(
        Prompt("article", "You write.", PROMPT.user, max_tokens=100, temperature=0.1), Article
    )
    assert len(model.requests) == 2


async def test_an_invalid_answer_is_shown_its_error_and_repaired(store: MemoryStore) -> None:
    model = FakeModel('{"title": "H", "mood": "angry", "sections": []}', GOOD)
    assert (await engine(store, model).generate(PROMPT, Article)).title == "Hedges"
    assert store.outcomes == ["InvalidAnswer", "ok"]
    assert store.costs == [Decimal(2), Decimal(2)]
    *_, answer, correction = model.requests[1].messages
    assert (answer.role, correction.role) == ("assistant", "user")
    assert "mood" in correction.content
    assert "sections" in correction.content
    assert len(store.cache) == 1


async def test_only_one_repair_round(store: MemoryStore) -> None:
    model = FakeModel("no", "still no", GOOD)
    with pytest.raises(InvalidAnswer, match="no JSON"):
        await engine(store, model).generate(PROMPT, Article)
    assert store.outcomes == ["InvalidAnswer"] * 2
    assert store.cache == {}
    assert store.held == 0


async def test_a_truncated_answer_is_asked_for_with_twice_the_room(store: MemoryStore) -> None:
    model = FakeModel(said(GOOD[:30], Finish.LENGTH), GOOD)
    await engine(store, model).generate(PROMPT, Article)
    assert [request.max_tokens for request in model.requests] == [100, 200]
    assert store.outcomes == ["TruncatedAnswer", "ok"]


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (said("", Finish.FILTERED), FilteredAnswer),
        (ModelReply("", Finish.REFUSED, Usage(1, 1), "m", refusal="I will not"), RefusedAnswer),
        (said("  "), EmptyAnswer),
    ],
)
async def test_what_cannot_be_repaired_is_not_asked_again(
    store: MemoryStore, reply: ModelReply, wanted: type[PressroomError]
) -> None:
    model = FakeModel(reply, GOOD)
    with pytest.raises(wanted):
        await engine(store, model).generate(PROMPT, Article)
    assert len(model.requests) == 1
    assert store.outcomes == [wanted.__name__]
    assert store.held == 0


@pytest.mark.parametrize("error", [TransientError("x"), ConfigurationError("x")])
async def test_a_failed_call_is_recorded_and_holds_nothing(store: MemoryStore, error: BaseException) -> None:
    with pytest.raises(type(error)):
        await engine(store, FakeModel(error)).generate(PROMPT, Article)
    assert store.outcomes == [type(error).__name__]
    assert store.costs == []
    assert store.held == 0


@pytest.mark.parametrize("error", [UnknownOutcome("x"), asyncio.CancelledError()])
async def test_a_call_that_may_have_been_worked_on_is_booked_at_its_bound(
    store: MemoryStore, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        await engine(store, FakeModel(error)).generate(PROMPT, Article)
    assert store.outcomes == [type(error).__name__]
    assert store.calls[0]["completion_tokens"] == PROMPT.max_tokens
    assert store.costs == [store.calls[0]["cents"]]
    assert store.costs[0] > Decimal("0.2")  # 100 tokens out at 20 $ a million, and the prompt
    assert store.held == 0


async def test_without_usage_the_estimate_is_charged(store: MemoryStore) -> None:
    await engine(store, FakeModel(ModelReply(GOOD, Finish.STOP, Usage(), "m"))).generate(PROMPT, Article)
    assert store.costs[0] > 0


TOOLS: list[Tool[Any]] = [Tool("search", "Look something up", Search), Tool("publish", "Publish it", Publish)]


async def test_native_tool_calls_are_validated(store: MemoryStore) -> None:
    wrong = said("", calls=[ToolCall("publish", '{"where": "moon", "hour": 99}')])
    right = said(
        "", calls=[ToolCall("publish", '{"where": "blog", "hour": 9}'), ToolCall("search", '{"words": "a"}')]
    )
    chosen = await engine(store, FakeModel(wrong, right)).choose(PROMPT, TOOLS)
    assert [(choice.tool, choice.arguments) for choice in chosen] == [
        ("publish", Publish(where="blog", hour=9)),
        ("search", Search(words="a")),
    ]
    assert store.outcomes == ["InvalidAnswer", "ok"]


def test_strict_schemas() -> None:
    made = strict(Article.model_json_schema(), basic=True)
    assert made["required"] == ["title", "mood", "sections"]
    assert made["additionalProperties"] is False
    assert made["$defs"]["Section"]["additionalProperties"] is False
    assert "maxLength" not in str(made)
    assert made["properties"]["title"]["description"] == "at most 60 characters, at least 3 characters"
    assert strict(Article.model_json_schema())["properties"]["title"]["maxLength"] == 60


# The adapter, against a server -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedOpenAI]:
    with ScriptedOpenAI() as server:
        yield server


@pytest.fixture
def server(running: ScriptedOpenAI) -> ScriptedOpenAI:
    running.script.clear()
    return running


@pytest.fixture
async def model(server: ScriptedOpenAI) -> AsyncIterator[OpenAIText]:
    async with OpenAIText(settings(server)) as made:
        yield made


def settings(server: ScriptedOpenAI, **extra: Any) -> ConnectionSettings:
    more = {"model": "scripted-1", "timeout_seconds": 1, **extra}
    return ConnectionSettings.from_connection(
        "text", host=server.base_url, password="sk-test-12345678", extra=more
    )


def journal(server: ScriptedOpenAI, name: str) -> list[Any]:
    return [entry[name] for entry in server.script.journal]


async def test_a_server_with_everything(
    store: MemoryStore, server: ScriptedOpenAI, model: OpenAIText
) -> None:
    article = await engine(store, model).generate(PROMPT, Article)
    assert 2 <= len(article.sections) <= 3
    assert journal(server, "format") == ["json_schema"]
    assert store.calls[0]["completion_tokens"] > 0
    [chosen] = await engine(store, model).choose(PROMPT, TOOLS)
    assert chosen.tool in ("search", "publish")


@pytest.mark.parametrize(
    ("unsupported", "formats"),
    [
        (["maxLength"], ["json_schema", "json_schema"]),
        (["json_schema"], ["json_schema", "json_schema", "json_object"]),
        (["json_schema", "json_object"], ["json_schema", "json_schema", "json_object", None]),
        (["max_tokens"], ["json_schema", "json_schema"]),
        (["temperature"], ["json_schema", "json_schema"]),
        (["max_tokens", "temperature", "maxLength"], ["json_schema"] * 4),
    ],
)
async def test_each_ladder_is_climbed_once(
    store: MemoryStore,
    server: ScriptedOpenAI,
    model: OpenAIText,
    unsupported: list[str],
    formats: list[str | None],
) -> None:
    server.script.update({"unsupported": unsupported})
    text = engine(store, model)
    assert isinstance(await text.generate(PROMPT, Article), Article)
    assert journal(server, "format") == formats
    again = Prompt("article", "You write.", "Write about ponds.")
    assert isinstance(await text.generate(again, Article), Article)
    assert len(server.script.journal) == len(formats) + 1  # what was learned is remembered
    assert store.outcomes == ["ok", "ok"]


@pytest.mark.parametrize("unsupported", [["tools"], ["tools_ignored"]])
async def test_without_tool_calls_the_choice_is_a_structured_answer(
    store: MemoryStore, server: ScriptedOpenAI, model: OpenAIText, unsupported: list[str]
) -> None:
    server.script.update({"unsupported": unsupported})
    chosen = await engine(store, model).choose(PROMPT, TOOLS)
    assert {choice.tool for choice in chosen} <= {"search", "publish"}
    assert len(server.script.journal) == 2
    await engine(store, model).choose(Prompt("other", "", "Another."), TOOLS)
    assert len(server.script.journal) == 3


async def test_a_pinned_way_is_kept(store: MemoryStore, server: ScriptedOpenAI) -> None:
    async with OpenAIText(settings(server, structured="prompt")) as pinned:
        await engine(store, pinned).generate(PROMPT, Article)
    assert journal(server, "format") == [None]
    server.script.update({"unsupported": ["json_schema"]})
    async with OpenAIText(settings(server, structured="json_schema")) as pinned:
        with pytest.raises(PermanentError, match="400"):
            await engine(store, pinned).generate(Prompt("a", "", "b"), Article)


async def test_a_long_prompts_400_is_no_reason_to_step_down(
    store: MemoryStore, server: ScriptedOpenAI, model: OpenAIText
) -> None:
    message = "the request exceeds the available context size, try increasing it"
    server.script.update({"rules": [{"action": "status", "status": 400, "message": message}]})
    with pytest.raises(PermanentError, match="context size"):
        await engine(store, model).generate(PROMPT, Article)
    assert len(server.script.journal) == 1


FAULTS: list[tuple[dict[str, Any], type[PressroomError], int]] = [
    ({"action": "status", "status": 429, "retry_after": 7}, TransientError, 1),
    ({"action": "status", "status": 429, "code": "insufficient_quota"}, OutOfMoney, 1),
    ({"action": "status", "status": 500}, ServiceDown, 1),
    ({"action": "status", "status": 401}, ConfigurationError, 1),
    ({"action": "status", "status": 404, "message": "model not found"}, ConfigurationError, 1),
    ({"action": "hang"}, UnknownOutcome, 1),
    ({"action": "broken_body"}, TransientError, 1),
    ({"action": "broken_json"}, InvalidAnswer, 2),
    ({"action": "wrong_schema"}, InvalidAnswer, 2),
    ({"action": "length"}, TruncatedAnswer, 2),
    ({"action": "content_filter"}, FilteredAnswer, 1),
    ({"action": "refusal"}, RefusedAnswer, 1),
    ({"action": "empty"}, EmptyAnswer, 1),
]


@pytest.mark.parametrize(("rule", "wanted", "calls"), FAULTS, ids=lambda value: str(value)[:40])
async def test_each_fault_ends_as_its_class_says(
    store: MemoryStore,
    server: ScriptedOpenAI,
    model: OpenAIText,
    rule: dict[str, Any],
    wanted: Any,
    calls: int,
) -> None:
    server.script.update({"rules": [rule]})
    with pytest.raises(wanted) as caught:
        await engine(store, model).generate(PROMPT, Article)
    assert type(caught.value) is wanted
    assert "sk-test" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert store.outcomes == [wanted.__name__] * calls
    assert store.held == 0
    if "retry_after" in rule:
        assert caught.value.retry_after == 7


async def test_a_fault_that_passes_is_repaired(
    store: MemoryStore, server: ScriptedOpenAI, model: OpenAIText
) -> None:
    server.script.update({"rules": [{"action": "length", "times": 1}]})
    assert isinstance(await engine(store, model).generate(PROMPT, Article), Article)
    assert store.outcomes == ["TruncatedAnswer", "ok"]


async def test_an_unreachable_server(store: MemoryStore) -> None:
    away = ConnectionSettings.from_connection(
        "text", host="http://127.0.0.1:9/v1", password="", extra={"model": "m"}
    )
    async with OpenAIText(away) as nobody:
        with pytest.raises(TransientError, match="not reachable"):
            await engine(store, nobody, away).generate(PROMPT, Article)


async def test_the_server_says_how_many_calls_were_in_flight(
    server: ScriptedOpenAI, model: OpenAIText
) -> None:
    text = engine(MemoryStore(), model)
    await text.generate(PROMPT, Article)  # the first call to a server goes alone
    server.script.update({"latency": 0.5})
    prompts = [Prompt("n", "", f"number {n}") for n in range(8)]
    articles = await asyncio.gather(*(text.generate(prompt, Article) for prompt in prompts))
    assert server.script.max_in_flight == 8
    assert len({article.title for article in articles}) == 8


async def test_a_reached_cap_stops_the_call(store: MemoryStore) -> None:
    model = FakeModel(GOOD)
    text = engine(store, model, scope=CostScope(1, 1, 1, "content", "7", Caps(run=Decimal("0.01"))))
    with pytest.raises(PressroomError, match="cap"):
        await text.generate(PROMPT, Article)
    assert model.requests == []


def test_tools_that_are_the_same_for_every_item_have_one_type_and_one_schema() -> None:
    form = choice_type((Tool("search", "Look something up", Search),))
    assert choice_type((Tool("search", "Look something up", Search),)) is form
    assert choice_type((Tool("search", "Look it up", Search),)) is not form
    assert choice_type((Tool("publish", "Look something up", Publish),)) is not form
