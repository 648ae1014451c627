"""The AI engine for pictures: hold cents → shared rate limit → call → book."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Protocol

from pressroom.domain.errors import PressroomError
from pressroom.domain.model import ImageProvider, ImageRequest, ImageResult, RateLimits, Usage
from pressroom.engine.models.fallbacks import Fallbacks
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.metering import NOTHING, Call, Meter, outcome_unknown
from pressroom.engine.money.rate_limit import RateLimiter
from pressroom.store.database import Store


class PricedImages(ImageProvider, Protocol):
    """An ImageProvider with its price and its rate limits.

    ``priced``: whether the price is known; without a cap, the others' calls are booked at 0.
    """

    limits: RateLimits
    priced: bool

    def estimate(self, request: ImageRequest) -> Decimal:
        """Cents, 0 when local."""
        ...


class ImageEngine:
    """One image provider with its rate limit and its booking."""

    def __init__(self, provider: PricedImages, store: Store) -> None:
        self.provider = provider
        self.connection = provider.connection
        self._store = store
        self._meter = Meter(
            store, RateLimiter(store, provider.connection, provider.limits),
            connection=provider.connection, model=provider.model, kind="image", priced=provider.priced,
        )  # fmt: skip

    def bound(self, scope: CostScope) -> BoundImages:
        """The provider as a stage sees it, without a fallback."""
        return ImageChain([self], Fallbacks(self._store)).bound(scope)

    async def draw(self, scope: CostScope, request: ImageRequest) -> ImageResult:
        """One picture, recorded and booked. Raises what the provider raises, and CapReached."""
        # No cache: a stage asks only for pictures that it does not have.
        prepared = await self._meter.prepare(scope, self.provider.estimate(request))
        result, milliseconds = await self._meter.call(
            scope, prepared.held, partial(self.provider.draw, request), partial(_loss, prepared.held)
        )
        call = Call("ok", cents=result.cents, milliseconds=milliseconds)
        await asyncio.to_thread(self._meter.book, scope, call, held=prepared.held)
        return result


class ImageChain:
    """Image providers in the order in which they are asked: a connection's, and those of its fallbacks."""

    def __init__(self, engines: Sequence[ImageEngine], fallbacks: Fallbacks) -> None:
        self.engines = engines
        self._fallbacks = fallbacks

    def bound(self, scope: CostScope) -> BoundImages:
        """The providers as a stage sees them: their costs are booked to ``scope``."""
        return BoundImages(self, scope)

    async def draw(self, scope: CostScope, request: ImageRequest) -> ImageResult:
        """One picture. Raises as ``ImageEngine.draw``."""
        result, _ = await self._fallbacks.ask(scope, self.engines, lambda engine: engine.draw(scope, request))
        return result


class BoundImages:
    """The ``ImageProvider`` of one item. The picture itself says which model drew it."""

    def __init__(self, chain: ImageChain, scope: CostScope) -> None:
        self._chain = chain
        self._scope = scope
        first = chain.engines[0].provider
        self.connection, self.model = first.connection, first.model

    async def draw(self, request: ImageRequest) -> ImageResult:
        """One picture. Errors as in ``ImageEngine.draw``."""
        return await self._chain.draw(self._scope, request)


def _loss(held: Decimal, error: BaseException) -> tuple[Usage, Decimal]:
    charged = error.cents if isinstance(error, PressroomError) else None
    return NOTHING, held if outcome_unknown(error) else charged or Decimal(0)
