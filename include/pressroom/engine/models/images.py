"""The AI engine for pictures: hold cents → shared rate limit → call → book."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from functools import partial
from typing import Protocol

from pressroom.domain.errors import PressroomError
from pressroom.domain.model import ImageProvider, ImageRequest, ImageResult, RateLimits, Usage
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
        self._meter = Meter(
            store, RateLimiter(store, provider.connection, provider.limits),
            connection=provider.connection, model=provider.model, kind="image", priced=provider.priced,
        )  # fmt: skip

    def bound(self, scope: CostScope) -> BoundImages:
        """The provider as a stage sees it: its costs are booked to ``scope``."""
        return BoundImages(self, scope)

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


class BoundImages:
    """The ``ImageProvider`` of one item."""

    def __init__(self, engine: ImageEngine, scope: CostScope) -> None:
        self._engine = engine
        self._scope = scope
        self.connection = engine.provider.connection
        self.model = engine.provider.model

    async def draw(self, request: ImageRequest) -> ImageResult:
        """One picture. Errors as in ``ImageEngine.draw``."""
        return await self._engine.draw(self._scope, request)


def _loss(held: Decimal, error: BaseException) -> tuple[Usage, Decimal]:
    charged = error.cents if isinstance(error, PressroomError) else None
    return NOTHING, held if outcome_unknown(error) else charged or Decimal(0)
