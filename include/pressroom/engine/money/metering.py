"""The booking of model calls: cents are held before a call; call, cost and answer are recorded after it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pressroom.domain.errors import PermanentError
from pressroom.domain.model import Usage
from pressroom.domain.text import storable
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.rate_limit import RateLimiter
from pressroom.store.database import Store

log = logging.getLogger(__name__)

NOTHING = Usage()

_warned: set[str] = set()


def warn_unpriced(model: str) -> None:
    """Warn once per process that a model's calls are booked at 0."""
    if model not in _warned:
        _warned.add(model)
        log.warning("model %r is in no price table, so its calls cost 0 (see a connection's `prices`)", model)


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
        kind: Literal["text", "image"],
    ) -> None:
        self._store = store
        self._limiter = limiter
        self._facts = {"connection": connection, "model": model, "kind": kind}

    def prepare(self, scope: CostScope, estimate: Decimal, *, key: str | None = None) -> Prepared:
        """Look for a cached answer under ``key``, or else hold the cents. Raises CapReached."""
        if key is None and not estimate and not scope.caps.any:
            return Prepared(None, Decimal(0))
        with self._store.transaction(scope.account_id) as tx:
            answer = tx.value("cached_answer", key=key) if key else None
            if answer is not None:
                return Prepared(answer, Decimal(0))
            if estimate or scope.caps.any:
                ledger.hold_cents(tx, scope, estimate)
            return Prepared(None, estimate)

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

    def _write(
        self,
        scope: CostScope,
        call: Call,
        held: Decimal,
        expected_tokens: int | None,
        cached: tuple[str, str] | None,
    ) -> None:
        with self._store.transaction(scope.account_id) as tx:
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
            note = str(self._facts["model"])
            ledger.book_cost(tx, scope, call.cents, held=held, entry_key=f"call:{number}", note=note)
            if cached is not None:
                key, answer = cached
                tx.run("cache_answer", key=key, answer=storable(answer), model=note)
            if expected_tokens is not None:
                used = call.usage.prompt_tokens + call.usage.completion_tokens
                # Last, so that the row that all workers share is locked for the shortest time.
                self._limiter.correct(tx, estimated=expected_tokens, used=used)
