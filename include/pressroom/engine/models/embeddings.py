"""The AI engine for embeddings: hold cents → shared rate limit → call → book, and how close the texts are.

Each model has its own idea of close: two texts that have nothing in common are at 0.1 in one and at 0.75 in
another. What a model says of such texts is its zero here, so that one threshold does for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from statistics import fmean
from typing import Any, Protocol

from pressroom.domain.errors import PressroomError
from pressroom.domain.model import BYTES_PER_TOKEN, Embedded, Embedder, RateLimits, Similarity, Usage
from pressroom.domain.prices import FREE, TextPrice
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.metering import Call, Meter, outcome_unknown
from pressroom.engine.money.rate_limit import RateLimiter
from pressroom.store.database import Store

UNRELATED = (
    "morning coffee", "garden shears", "tax return", "guitar lessons", "winter tyres", "wedding dress",
    "flu vaccine", "hiking in norway", "python tutorial", "dog food", "mortgage rates", "chess openings",
)  # fmt: skip
"""Search phrases of which no two have anything in common."""
KEPT = 20_000
"""Vectors kept for the texts that come again, as a site's clusters do in each call."""


class PricedEmbedder(Embedder, Protocol):
    """An Embedder with its price, None when it is unknown, and its rate limits."""

    limits: RateLimits
    price: TextPrice | None
    texts_per_call: int


class EmbeddingEngine:
    """One embedding model with its rate limit and its booking."""

    def __init__(self, embedder: PricedEmbedder, store: Store) -> None:
        self.embedder = embedder
        self._price = embedder.price or FREE
        self._kept: dict[str, Sequence[float]] = {}
        self._meter = Meter(
            store, RateLimiter(store, embedder.connection, embedder.limits),
            connection=embedder.connection, model=embedder.model, kind="embedding",
            priced=embedder.price is not None,
        )  # fmt: skip

    def bound(self, scope: CostScope) -> BoundEmbeddings:
        """The engine as a stage sees it: its costs are booked to ``scope``."""
        return BoundEmbeddings(self, scope)

    async def similarity(self, scope: CostScope, texts: Sequence[str]) -> Similarity:
        """How close the texts are. Each is paid for once. Raises as ``Embeddings.similarity``."""
        if len(self._kept) > KEPT:
            self._kept.clear()
        wanted = [text for text in dict.fromkeys([*UNRELATED, *texts]) if text.strip()]
        missing = [text for text in wanted if text not in self._kept]
        while missing:
            asked = missing[: self.embedder.texts_per_call]
            answer = await self._embed(scope, asked)
            self._kept.update(zip(asked, answer.vectors, strict=True))
            missing = missing[len(asked) :]
        return VectorSimilarity({text: self._kept[text] for text in wanted})

    async def _embed(self, scope: CostScope, texts: Sequence[str]) -> Embedded:
        tokens = sum(len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN + 2 for text in texts)
        expected = Usage(prompt_tokens=tokens)
        prepared = await self._meter.prepare(scope, self._price.cents(expected))
        answer, milliseconds = await self._meter.call(
            scope, prepared.held, partial(self.embedder.embed, texts), partial(self._loss, expected),
            expected_tokens=tokens,
        )  # fmt: skip
        # What the server does not say is expected: unknown is not free.
        used = answer.usage if answer.usage.prompt_tokens else replace(answer.usage, prompt_tokens=tokens)
        used = replace(used, completion_tokens=0)
        call = Call("ok", used, self._price.cents(used), milliseconds)
        await asyncio.to_thread(self._meter.book, scope, call, held=prepared.held, expected_tokens=tokens)
        return answer

    def _loss(self, expected: Usage, error: BaseException) -> tuple[Usage, Any]:
        usage = (error.usage if isinstance(error, PressroomError) else None) or Usage()
        if outcome_unknown(error):
            usage = usage + expected
        return usage, self._price.cents(usage)


class BoundEmbeddings:
    """The ``Embeddings`` of one item."""

    def __init__(self, engine: EmbeddingEngine, scope: CostScope) -> None:
        self._engine, self._scope = engine, scope

    async def similarity(self, texts: Sequence[str]) -> Similarity:
        return await self._engine.similarity(self._scope, texts)


class VectorSimilarity:
    """The ``Similarity`` of texts by their vectors, among them those of ``UNRELATED``.

    A text without a vector, which is an empty one, is close to nothing.
    """

    def __init__(self, vectors: Mapping[str, Sequence[float]]) -> None:
        import numpy as np  # takes 0.1 s, which importing this module must not

        self._rows = {text: row for row, text in enumerate(vectors)}
        matrix = np.array(list(vectors.values()), dtype=np.float64)
        self._matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        unrelated = self._vectors(UNRELATED)
        cosines = [float(left @ right) for left, right in combinations(unrelated, 2)]
        self._zero = min(max(fmean(cosines), 0.0), 0.99)

    def matrix(self, left: Sequence[str], right: Sequence[str]) -> Sequence[Sequence[float]]:
        """A row for each of ``left``, a column for each of ``right``. 1: the same; 0: unrelated."""
        if not left or not right:
            return [[] for _ in left]
        cosines = self._vectors(left) @ self._vectors(right).T
        close = (cosines - self._zero) / (1 - self._zero)
        close[[not text.strip() for text in left], :] = 0
        close[:, [not text.strip() for text in right]] = 0
        result: list[list[float]] = close.tolist()
        return result

    def _vectors(self, texts: Sequence[str]) -> Any:
        return self._matrix[[self._rows[text] if text.strip() else 0 for text in texts]]
