"""The AI engine for text: cache → hold cents → shared rate limit → call → validate the answer → book."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Generic

from pydantic import BaseModel, ValidationError

from pressroom.domain.errors import AnswerError, PressroomError, TransientError, TruncatedAnswer
from pressroom.domain.model import (
    BYTES_PER_TOKEN,
    Answer,
    Choice,
    Message,
    ModelReply,
    ModelRequest,
    MoreRoomNeeded,
    Prompt,
    RateLimits,
    TextModel,
    Tool,
    ToolSpec,
    Usage,
)
from pressroom.domain.prices import FREE, TextPrice
from pressroom.domain.text import storable, to_json
from pressroom.engine.models.answers import choice_type, choices, judge, repaired
from pressroom.engine.models.batch_replies import batch_reply
from pressroom.engine.models.fallbacks import Fallbacks
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.metering import Call, Meter, outcome_unknown
from pressroom.engine.money.rate_limit import RateLimiter
from pressroom.store.database import Store, Tx

MORE_ROOM = 2
"""How often an answer whose thoughts left it no room is asked for again."""


class TextEngine:
    """One text model with its cache, rate limit and booking. ``price``: None when it is unknown."""

    def __init__(self, model: TextModel, store: Store, price: TextPrice | None, limits: RateLimits) -> None:
        self.model = model
        self.connection = model.connection
        self._store = store
        self.price = price or FREE
        self.in_batches = False
        """Whether answers may have come in batches."""
        self.meter = Meter(
            store, RateLimiter(store, model.connection, limits),
            connection=model.connection, model=model.model, kind="text", priced=price is not None,
        )  # fmt: skip

    def bound(self, scope: CostScope, temperature: float | None) -> BoundText:
        """The model as a stage sees it, without a fallback."""
        return TextChain([self], Fallbacks(self._store)).bound(scope, temperature)

    def estimate(self, usage: Usage) -> Decimal:
        """The cost of a usage, in cents."""
        return self.price.cents(usage)

    async def answer(
        self, scope: CostScope, request: ModelRequest, output_type: type[Answer], *, looked_up: bool = False
    ) -> Answer:
        """A validated answer, from the cache or from the model, with at most one repair round. ``looked_up``:
        it is known that the cache has none.

        Raises as ``Text.generate``. Every call is recorded, also failed ones.
        """
        key = self.key(request)
        batched = await self._batched(scope, key, request, output_type)
        if batched.answer is not None:
            return batched.answer
        return await self._ask(
            scope, key, batched.request, output_type, spoilt=batched.request is not request,
            looked_up=looked_up,
        )  # fmt: skip

    async def _ask(
        self,
        scope: CostScope,
        key: str,
        request: ModelRequest,
        output_type: type[Answer],
        *,
        spoilt: bool,
        looked_up: bool,
    ) -> Answer:
        """``spoilt``: the request says what was wrong with an answer, and there is no other try."""
        thinking = 0
        look_up = not (spoilt or looked_up)
        attempt = request
        while True:
            expected = _expected(attempt, await self.model.most_tokens(attempt))
            prepared = await self.meter.prepare(
                scope, self.price.cents(expected), key=key if look_up else None
            )
            look_up = False  # a second try must not find the same cached answer
            if prepared.answer is not None:
                cached = _revalidated(prepared.answer, output_type)
                if cached is not None:
                    await asyncio.to_thread(self.meter.book, scope, Call("cached"))
                    return cached
                continue  # cached under other validators than today's: ask the model
            held = replace(attempt, held_tokens=expected.completion_tokens)
            try:
                reply, milliseconds = await self.meter.call(
                    scope,
                    prepared.held,
                    partial(self.model.complete, held),
                    partial(self._loss, expected),
                    expected_tokens=_total(expected),
                )
            except MoreRoomNeeded:
                continue  # hold more, by what was learned meanwhile
            usage = used(reply, expected)
            judged = _judged(reply, output_type)
            outcome = type(judged).__name__ if isinstance(judged, Exception) else "ok"
            call = Call(outcome, usage, self.price.cents(usage), milliseconds)
            await asyncio.to_thread(
                self.meter.book,
                scope,
                call,
                held=prepared.held,
                expected_tokens=_total(expected),
                key=key,
                answer=None if isinstance(judged, Exception) else judged[1],
            )
            if not isinstance(judged, Exception):
                return judged[0]
            if isinstance(judged, TruncatedAnswer) and thinking < MORE_ROOM:
                # The call may have taught how much the model thinks; then the same request has more room.
                thinking += 1
                if await self.model.most_tokens(attempt) > expected.completion_tokens:
                    continue
            again = None
            if isinstance(judged, AnswerError) and not spoilt:
                again = repaired(attempt, reply, judged)
            if again is None:
                raise judged
            attempt, spoilt = again, True

    async def expected(self, request: ModelRequest) -> Usage:
        """The most that a call is likely to use."""
        return _expected(request, await self.model.most_tokens(request))

    def key(self, request: ModelRequest) -> str:
        """What determines the answer, as the cache and batches know it."""
        return cache_key(self.model.model, request, self.model.facts)

    async def _batched(
        self, scope: CostScope, key: str, request: ModelRequest, output_type: type[Answer]
    ) -> Batched[Answer]:
        """What a batch brought: the answer, or how to ask again after one that cannot be used. Raises its
        error when asking again cannot help.
        """
        reply = await batch_reply(self._store, scope, key) if self.in_batches else None
        if reply is None:
            return Batched(None, request)
        judged = _judged(reply, output_type)
        if not isinstance(judged, Exception):
            await self._store.run(
                scope.account_id, Tx.run, "cache_answer", key=key, answer=storable(judged[1]),
                model=self.model.model,
            )  # fmt: skip
            return Batched(judged[0], request)
        if isinstance(judged, TransientError):
            return Batched(None, request)
        again = repaired(request, reply, judged) if isinstance(judged, AnswerError) else None
        if again is None:
            raise judged
        return Batched(None, again)

    async def brought(
        self, scope: CostScope, request: ModelRequest, output_type: type[Answer]
    ) -> Answer | None:
        """What a batch brought; None when it brought nothing, or nothing that can be used."""
        return (await self._batched(scope, self.key(request), request, output_type)).answer

    async def cached(self, scope: CostScope, keys: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """The cached answers to these requests, each with its key."""
        return await self._store.run(scope.account_id, Tx.rows, "cached_answers", keys=list(keys))

    def _loss(self, expected: Usage, error: BaseException) -> tuple[Usage, Decimal]:
        """What is known to be used; with an unknown outcome the bound, too: it may all have been done."""
        usage = (error.usage if isinstance(error, PressroomError) else None) or Usage()
        if outcome_unknown(error):
            usage = usage + expected
        return usage, self.price.cents(usage)


@dataclass(frozen=True)
class Batched(Generic[Answer]):
    """What a batch brought for a request. ``request``: the one to send when there is no answer."""

    answer: Answer | None
    request: ModelRequest


class TextChain:
    """Text models in the order in which they are asked: a connection's, and those of its fallbacks."""

    def __init__(self, engines: Sequence[TextEngine], fallbacks: Fallbacks) -> None:
        self.engines = engines
        self._fallbacks = fallbacks

    def bound(self, scope: CostScope, temperature: float | None) -> BoundText:
        """The models as a stage sees them: their costs are booked to ``scope``."""
        return BoundText(self, scope, temperature)

    async def answer(
        self, scope: CostScope, request: ModelRequest, output_type: type[Answer]
    ) -> tuple[Answer, str]:
        """A validated answer, and the model that wrote it. Raises as ``TextEngine.answer``."""
        kept = await self._kept(scope, request, output_type)
        if kept is not None:
            return kept
        answer, engine = await self._fallbacks.ask(
            scope,
            self.engines,
            lambda engine: engine.answer(scope, request, output_type, looked_up=len(self.engines) > 1),
        )
        return answer, engine.model.model

    async def _kept(
        self, scope: CostScope, request: ModelRequest, output_type: type[Answer]
    ) -> tuple[Answer, str] | None:
        """What any of several models has answered, or a batch of the first one brought: it is not paid for
        again. A single one looks itself.
        """
        if len(self.engines) == 1:
            return None
        keys = {engine.key(request): engine for engine in self.engines}
        rows = await self.engines[0].cached(scope, list(keys))
        answers = {row["key"]: row["answer"] for row in rows}
        for key, engine in keys.items():
            answer = _revalidated(answers[key], output_type) if key in answers else None
            if answer is not None:
                await asyncio.to_thread(engine.meter.book, scope, Call("cached"))
                return answer, engine.model.model
        # A batch is paid for, also while its connection is away.
        first = self.engines[0]
        brought = await first.brought(scope, request, output_type)
        return None if brought is None else (brought, first.model.model)


class BoundText:
    """The ``Text`` of one item. ``model``: the one that wrote last, at first the workflow's."""

    def __init__(self, chain: TextChain, scope: CostScope, temperature: float | None) -> None:
        self._chain = chain
        self._scope = scope
        self._temperature = temperature
        self.model = chain.engines[0].model.model

    async def generate(self, prompt: Prompt, output_type: type[Answer]) -> Answer:
        return await self._answer(self._request(prompt, output_type), output_type)

    def estimate(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        return self._chain.engines[0].estimate(Usage(prompt_tokens, completion_tokens))

    async def choose(self, prompt: Prompt, tools: Sequence[Tool[Any]]) -> list[Choice]:
        """The tools that the model chooses. A server without tool calls is asked for an answer of a type that
        is the union of the tools' argument types.
        """
        form: type[BaseModel] = choice_type(tuple(tools))
        specs = [_spec(tool) for tool in tools]
        return choices(await self._answer(self._request(prompt, form, specs), form))

    async def _answer(self, request: ModelRequest, form: type[Answer]) -> Answer:
        answer, self.model = await self._chain.answer(self._scope, request, form)
        return answer

    def request(self, prompt: Prompt, form: type[BaseModel]) -> ModelRequest:
        """The request for an answer of this type."""
        return self._request(prompt, form)

    def _request(self, prompt: Prompt, form: type[BaseModel], tools: Sequence[ToolSpec] = ()) -> ModelRequest:
        never = self._temperature is None  # the workflow's null means that it is never sent
        texts = (("system", prompt.system), ("user", prompt.user))
        return ModelRequest(
            messages=[Message(role, text) for role, text in texts if text],
            schema_name=form.__name__,
            schema=_schema_of(form),
            max_tokens=prompt.max_tokens,
            temperature=self._temperature if prompt.temperature is None or never else prompt.temperature,
            tools=tools,
        )


def _spec(tool: Tool[Any]) -> ToolSpec:
    arguments: type[BaseModel] = tool.arguments
    return ToolSpec(tool.name, tool.description, _schema_of(arguments))


@lru_cache(maxsize=256)
def _schema_of(form: type[BaseModel]) -> Mapping[str, Any]:
    # A batch asks for the same type for every item, and making its schema takes milliseconds.
    return form.model_json_schema()


def cache_key(model: str, request: ModelRequest, facts: Mapping[str, Any]) -> str:
    """SHA-256 over everything that determines the answer. ``facts``: of the model, besides its name."""
    everything = {
        "model": model,
        **facts,
        "messages": [(message.role, message.content) for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "schema": request.schema,
        "tools": [(tool.name, tool.description, tool.schema) for tool in request.tools],
    }
    return _digest(to_json(everything))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _revalidated(text: str, output_type: type[Answer]) -> Answer | None:
    try:
        return output_type.model_validate_json(text)
    except ValidationError:
        return None


def _expected(request: ModelRequest, answered: int) -> Usage:
    """The most that this call is likely to use, for caps and rate limits. ``answered``: tokens of it."""
    schema = len(to_json(request.schema)) // BYTES_PER_TOKEN if request.schema else 0
    prompt = request.prompt_tokens + schema
    return Usage(prompt, answered, cache_write_tokens=prompt)  # the dearest way to read a prompt


def _judged(reply: ModelReply, output_type: type[Answer]) -> tuple[Answer, str] | Exception:
    """As ``judge``. An error is returned, because the call is booked first, whatever became of its answer."""
    try:
        return judge(reply, output_type)
    except Exception as error:  # noqa: BLE001  # also a defect of a validator
        return error


def used(reply: ModelReply, expected: Usage) -> Usage:
    """What the call used. What the server does not say is expected: unknown is not free."""
    used = reply.usage
    prompt, completion = used.prompt_tokens, used.completion_tokens
    written = bool(reply.text or reply.tool_calls) or not prompt
    if not completion and written:
        completion = expected.completion_tokens
    return replace(used, prompt_tokens=prompt or expected.prompt_tokens, completion_tokens=completion)


def _total(usage: Usage) -> int:
    return usage.prompt_tokens + usage.completion_tokens
