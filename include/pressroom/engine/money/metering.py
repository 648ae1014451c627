"""The booking of model calls: cents are held before a call; call, cost and answer are recorded after it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, repeat
from typing import TypeVar

from pressroom.domain.errors import (
    CapHeld,
    ConfigurationError,
    NotSent,
    PermanentError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.model import MoreRoomNeeded, Usage
from pressroom.domain.prices import ModelKind
from pressroom.domain.text import storable
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.rate_limit import RateLimiter
from pressroom.engine.runs import control
from pressroom.store.database import Store, Tx

log = logging.getLogger(__name__)

Reply = TypeVar("Reply")
Loss = Callable[[BaseException], tuple[Usage, Decimal]]
"""What a call used and cost that ended with an error in place of a reply."""

NOTHING = Usage()

WAIT_SECONDS = 600.0
"""How long a call waits for cents that others hold. A lost call holds them until its run closes."""

_PAUSES = (0.1, 0.2, 0.5, 1.0)


def price_unknown(connection: str, model: str) -> str:
    """What to tell of a model without a price, and the settings that give it one."""
    return (
        f"connection {connection!r}: the price of {model!r} is unknown, so its calls are booked at 0 cents:"
        " put its prices into the connection's extra, as prices, or the listed model that it is as base_model"
    )


def no_cap_without_price(connection: str, model: str) -> str:
    """Why a run with a cap does not call a model without a price."""
    return f"{price_unknown(connection, model)}; a cap in cents cannot hold without them"


def outcome_unknown(error: BaseException) -> bool:
    """Whether the service may finish the call, and charge for it: it was cut off, or not answered in time."""
    return isinstance(error, UnknownOutcome | asyncio.CancelledError)


@dataclass(frozen=True)
class Call:
    """The record of one call. ``outcome``: ok, cached, or the error's class."""

    outcome: str
    usage: Usage = NOTHING
    cents: Decimal = Decimal(0)
    milliseconds: int = 0


@dataclass(frozen=True)
class Prepared:
    """``answer``: the cached one, if any. ``held``: the cents held for the call, for ``book``."""

    answer: str | None
    held: Decimal


class Meter:
    """Books the calls of one connection and model."""

    def __init__(
        self,
        store: Store,
        limiter: RateLimiter,
        *,
        connection: str,
        model: str,
        kind: ModelKind,
        priced: bool = True,
    ) -> None:
        self._store = store
        self._priced = priced
        self._told: set[int] = set()
        self._limiter = limiter
        self._facts = {"connection": connection, "model": model, "kind": kind}

    async def prepare(self, scope: CostScope, estimate: Decimal, *, key: str | None = None) -> Prepared:
        """Look for a cached answer under ``key``, or else hold the cents.

        When only calls in flight stand in the way of a cap, it waits for their true cost. Raises CapReached;
        ConfigurationError when there is a cap and the price is unknown.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        pauses = chain(_PAUSES, repeat(_PAUSES[-1]))
        while True:
            try:
                return await asyncio.to_thread(self._prepare, scope, estimate, key)
            except CapHeld:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(next(pauses))

    def _prepare(self, scope: CostScope, estimate: Decimal, key: str | None) -> Prepared:
        if self._priced and key is None and not estimate and not scope.caps.any:
            return Prepared(None, Decimal(0))
        with self._store.transaction(scope.account_id) as tx:
            answer = tx.value("cached_answer", key=key) if key else None
            if answer is not None:
                return Prepared(answer, Decimal(0))
            if not self._priced:
                self._tell(tx, scope)
            if estimate or scope.caps.any:
                ledger.hold_cents(tx, scope, estimate)
            return Prepared(None, estimate)

    def _tell(self, tx: Tx, scope: CostScope) -> None:
        """Say once in a run that its calls are booked at 0. Raises ConfigurationError when it has a cap."""
        connection, model = self._facts["connection"], self._facts["model"]
        if scope.caps.any:
            raise ConfigurationError(no_cap_without_price(connection, model))
        if scope.run_id in self._told:
            return
        message = price_unknown(connection, model)
        tx.run("lock_run", run=scope.run_id)  # one worker at a time: only one of them says it
        if not tx.value("run_was_told", run=scope.run_id, message=message):
            control.event(tx, scope.run_id, "price_unknown", message, stage=scope.stage, level="warning")
        self._told.add(scope.run_id)

    async def call(
        self,
        scope: CostScope,
        held: Decimal,
        send: Callable[[], Awaitable[Reply]],
        loss: Loss,
        *,
        expected_tokens: int | None = None,
    ) -> tuple[Reply, int]:
        """Wait for the rate limit, then make the call: its reply and the milliseconds it took.

        A call without a reply is booked here, as ``loss`` says; one that was not sent gives back what it
        held.
        """
        try:
            await self._limiter.acquire(expected_tokens or 0)
        except BaseException:
            await asyncio.to_thread(self.release, scope, held)
            raise
        started = time.monotonic()
        try:
            reply = await send()
        except (MoreRoomNeeded, NotSent):
            await asyncio.to_thread(self.release, scope, held)
            raise
        # BaseException: a cancelled call must also give back what it held.
        except BaseException as error:
            usage, cents = loss(error)
            failed = Call(type(error).__name__, usage, cents, _since(started))
            await asyncio.to_thread(self.book, scope, failed, held=held, expected_tokens=expected_tokens)
            if isinstance(error, TransientError) and error.retry_after is not None:
                await self._limiter.penalize(error.retry_after)
            raise
        return reply, _since(started)

    def release(self, scope: CostScope, held: Decimal) -> None:
        """Give back what was held for a call that did not happen."""
        if held:
            with self._store.transaction(scope.account_id) as tx:
                ledger.book_cost(tx, scope, Decimal(0), held=held, entry_key="", note="")

    def book(
        self,
        scope: CostScope,
        call: Call,
        *,
        held: Decimal = Decimal(0),
        expected_tokens: int | None = None,
        key: str | None = None,
        answer: str | None = None,
    ) -> None:
        """Record, in one transaction, the call, its cost, the answer for the cache, and correct the rate
        limit.

        ``expected_tokens``: those that the rate limit counted; None when it was not used. An answer that the
        database refuses is not cached, and hides no cost.
        """
        cached = None if key is None or answer is None else (key, answer)
        try:
            self._write(scope, call, held, expected_tokens, cached)
        except PermanentError as error:
            if cached is None:
                raise
            log.warning("an answer of %s is not cached: %s", self._facts["model"], error)
            self._write(scope, call, held, expected_tokens, None)

    def enter(self, tx: Tx, scope: CostScope, call: Call, *, held: Decimal = Decimal(0)) -> None:
        """Record the call and its cost in a transaction of the caller's."""
        # The call before its cost: all transactions lock the sums of calls first, then the account.
        number = tx.value(
            "insert_ai_call",
            outcome=call.outcome,
            prompt_tokens=call.usage.prompt_tokens,
            completion_tokens=call.usage.completion_tokens,
            cents=call.cents,
            milliseconds=call.milliseconds,
            **self._facts,
            **scope.key,
        )
        note = f"{self._facts['model']} by {self._facts['connection']}"
        ledger.book_cost(tx, scope, call.cents, held=held, entry_key=f"call:{number}", note=note)

    def _write(
        self,
        scope: CostScope,
        call: Call,
        held: Decimal,
        expected_tokens: int | None,
        cached: tuple[str, str] | None,
    ) -> None:
        with self._store.transaction(scope.account_id) as tx:
            self.enter(tx, scope, call, held=held)
            if cached is not None:
                key, answer = cached
                tx.run("cache_answer", key=key, answer=storable(answer), model=self._facts["model"])
            if expected_tokens is not None:
                used = call.usage.prompt_tokens + call.usage.completion_tokens
                # Last, so that the row that all workers share is locked for the shortest time.
                self._limiter.correct(tx, estimated=expected_tokens, used=used)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
