"""The AI engine for pictures: hold cents → shared rate limit → call → book."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Protocol

from pressroom.domain.errors import PressroomError, TransientError, UnknownOutcome
from pressroom.domain.model import ImageProvider, ImageRequest, ImageResult, RateLimits
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.metering import Call, Meter
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
        self._limiter = RateLimiter(store, provider.connection, provider.limits)
        self._meter = Meter(
            store, self._limiter, connection=provider.connection, model=provider.model, kind="image",
            priced=provider.priced,
        )  # fmt: skip

    def bound(self, scope: CostScope) -> BoundImages:
        """The provider as a stage sees it: its costs are booked to ``scope``."""
        return BoundImages(self, scope)

    async def draw(self, scope: CostScope, request: ImageRequest) -> ImageResult:
        """One picture, recorded and booked. Raises what the provider raises, and CapReached."""
        # No cache: a stage asks only for pictures that it does not have.
        prepared = await self._meter.prepare(scope, self.provider.estimate(request))
        try:
            await self._limiter.acquire()
        except BaseException:
            await asyncio.to_thread(self._meter.release, scope, prepared.held)
            raise
        started = time.monotonic()
        try:
            result = await self.provider.draw(request)
        # BaseException: a cancelled call must also give back what it held.
        except BaseException as error:
            # The service may finish, and charge, a call that is cut off or not answered in time.
            unclear = isinstance(error, UnknownOutcome | asyncio.CancelledError)
            charged = error.cents if isinstance(error, PressroomError) else None
            spent = prepared.held if unclear else charged or Decimal(0)
            milliseconds = round((time.monotonic() - started) * 1000)
            call = Call(type(error).__name__, cents=spent, milliseconds=milliseconds)
            await asyncio.to_thread(self._meter.book, scope, call, held=prepared.held)
            if isinstance(error, TransientError) and error.retry_after is not None:
                await self._limiter.penalize(error.retry_after)
            raise
        call = Call("ok", cents=result.cents, milliseconds=round((time.monotonic() - started) * 1000))
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
