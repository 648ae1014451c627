"""One worker at one publication: intent is committed before a call, and what may have happened is looked for.

A publication that was attempted before, by this process or by one that died, is never sent again before the
target was asked for it as it was attempted, and "it is not there" counts only when a lost call can no longer
arrive. No call outlasts the worker's claim, so there is one at a time.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pressroom.domain.errors import (
    ConfigurationError,
    PastDate,
    PermanentError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.model import RateLimits
from pressroom.domain.publishing import (
    UPDATES_IN_PLACE,
    Piece,
    Placed,
    Publication,
    PublicationStatus,
    Target,
    recalled,
)
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.rate_limit import RateLimiter
from pressroom.engine.publishing.claim import Claim, Intent, Patience
from pressroom.store.database import Store

TRIES = 3
OPEN = (PublicationStatus.ATTEMPTING, PublicationStatus.UNKNOWN)
"""Where the target may have it, and nobody knows."""


async def publish_once(
    store: Store,
    scope: CostScope,
    target: Target[Any],
    name: str,
    content: str,
    content_hash: str,
    piece: Piece[Any],
    *,
    update: bool = False,
    alone: bool = False,
    patience: Patience | None = None,
) -> Publication:
    """Bring a piece to its target, or find that it is there. ``name``: how the ledger names the target.

    ``update``: when the target has it with another hash and can change it in place, it is sent again, under
    the same key. ``alone``: nothing else of the workflow may appear there at that time.

    Raises PastDate when the time is over and the target does not have it, TimeTaken when something else of
    the workflow appears there at that time, TransientError when another try may help, PermanentError when
    the target refuses it.
    """
    intent = Intent(
        content, name, content_hash, piece.at or datetime.now(UTC), piece.on_record, alone=alone,
        updates=update and target.handler in UPDATES_IN_PLACE,
    )  # fmt: skip
    return await _Attempt(store, scope, intent, target, patience).publish(piece)


async def settle_once(
    store: Store, scope: CostScope, intent: Intent, target: Target[Any], patience: Patience | None = None
) -> Publication:
    """Find out about an open publication, and send nothing: accepted, planned again, or else unknown.

    Raises TransientError when another worker is at it, PermanentError when what is there is another's.
    """
    return await _Attempt(store, scope, intent, target, patience).settle()


class _Attempt:
    def __init__(
        self,
        store: Store,
        scope: CostScope,
        intent: Intent,
        target: Target[Any],
        patience: Patience | None,
    ) -> None:
        self._intent, self._target, self._patience = intent, target, patience or Patience()
        self._claim = Claim(store, scope, intent, self._patience, target.settle_seconds)
        limits = RateLimits(requests_per_minute=target.arguments.limits.requests_per_minute)
        self._limiter = RateLimiter(store, target.connection, limits)
        self._update = False

    async def publish(self, piece: Piece[Any]) -> Publication:
        taken = await self._claim.take()
        before = taken.publication
        if before.there:
            await self._say_when_older(before)
            return before
        self._update = taken.update
        if before.status in OPEN:
            # As it was attempted: since then its time may be another, and its text.
            at = taken.attempted.at
            sent = recalled(self._target, taken.attempted.sent, at) or replace(piece, at=piece.at and at)
            placed = await self._look(sent, taken.unsettled, unclear=before.status)
            # Of an update, what is there may be the version before: it is sent again, under the same key.
            if placed is not None and not self._update:
                return await self._adopt(placed)
        try:
            piece.check(self._target.handler, datetime.now(UTC))
        except PermanentError as error:
            await self._claim.back(PublicationStatus.FAILED, str(error))
            raise
        return await self._send(piece)

    async def settle(self) -> Publication:
        taken = await self._claim.take()
        before = taken.publication
        if before.there:
            return before
        if before.status not in OPEN:
            return await self._claim.back(before.status, before.error)
        sent = recalled(self._target, taken.attempted.sent, taken.attempted.at)
        if sent is None:
            return await self._claim.back(PublicationStatus.UNKNOWN, "what was sent is not on record")
        try:
            placed = await self._look(sent, taken.unsettled, unclear=PublicationStatus.UNKNOWN)
        except (TransientError, PermanentError):
            return await self._claim.current()
        if placed is None:
            return await self._claim.back(PublicationStatus.PLANNED, before.error)
        return await self._adopt(placed)

    async def _send(self, piece: Piece[Any]) -> Publication:
        trouble = TransientError("not tried")
        for number in range(TRIES):
            if number:
                await asyncio.sleep(self._pause(trouble, number))
            await self._turn(PublicationStatus.PLANNED)
            deadline = asyncio.get_running_loop().time() + self._patience.call
            await self._claim.begin()
            try:
                placed = await self._submit(piece, deadline)
            except UnknownOutcome as error:
                trouble = error
                lost = await self._look_for_lost(piece)
                if lost is not None and not self._update:
                    return await self._adopt(lost)
            except TransientError as error:  # it was not taken
                trouble = error
            except (PastDate, ConfigurationError) as error:  # nothing is wrong with the content itself
                await self._claim.back(PublicationStatus.PLANNED, str(error))
                raise
            except PermanentError as error:
                await self._claim.back(PublicationStatus.FAILED, str(error))
                raise
            else:
                # Not under the try: an error of the store is none of the target, which has it now.
                return await self._accept(placed)
            if self._too_long(trouble):
                break
        # The refusal, or the last look, said that it is not there: the next try starts over.
        await self._claim.back(PublicationStatus.PLANNED, str(trouble))
        raise TransientError(str(trouble), retry_after=trouble.retry_after)

    async def _turn(self, status: PublicationStatus) -> None:
        """Wait for the target's rate, which all workers share.

        When that takes too long, the publication gets the status, and TransientError says when to try again.
        """
        try:
            wait = await asyncio.to_thread(self._limiter.take)
        except TransientError as error:
            await self._claim.back(status, str(error))
            raise
        if wait > 0:
            await self._claim.hold(wait)
            await asyncio.sleep(wait)

    async def _submit(self, piece: Piece[Any], deadline: float) -> Placed:
        if asyncio.get_running_loop().time() >= deadline:
            # Its claim may have lapsed meanwhile.
            raise TransientError("the worker was suspended past its deadline; nothing was sent")
        try:
            async with asyncio.timeout_at(deadline):
                return await self._target.publish(piece)
        except TimeoutError:
            raise UnknownOutcome(f"{self._intent.target} did not answer in time") from None

    async def _look_for_lost(self, piece: Piece[Any]) -> Placed | None:
        await self._claim.lost()
        return await self._look(piece, self._target.settle_seconds, unclear=PublicationStatus.ATTEMPTING)

    async def _look(self, sent: Piece[Any], unsettled: float, *, unclear: PublicationStatus) -> Placed | None:
        """What the target has, once a lost call can no longer arrive, as it can for ``unsettled`` seconds.

        When the target cannot be asked, the publication stays open (``unclear``): the next try looks again.
        """
        placed = await self._ask(sent, unclear)
        if placed is None and unsettled > 0:
            await self._claim.hold(unsettled)
            await asyncio.sleep(unsettled)
            placed = await self._ask(sent, unclear)
        return placed

    async def _ask(self, sent: Piece[Any], unclear: PublicationStatus) -> Placed | None:
        for number in range(1, TRIES + 1):
            await self._turn(unclear)
            await self._claim.hold()
            try:
                async with asyncio.timeout(self._patience.call):
                    return await self._target.find(sent)
            except TimeoutError:
                trouble = TransientError(f"{self._intent.target} did not answer in time")
            except TransientError as error:
                trouble = error
            except PermanentError as error:
                await self._claim.back(unclear, str(error))
                raise
            if number == TRIES or self._too_long(trouble):
                break
            await asyncio.sleep(self._pause(trouble, number))
        await self._claim.back(unclear, str(trouble))
        raise trouble

    def _too_long(self, trouble: TransientError) -> bool:
        return trouble.retry_after is not None and trouble.retry_after > self._patience.retry_after

    def _pause(self, trouble: TransientError, number: int) -> float:
        return trouble.retry_after or self._patience.backoff * 2 ** (number - 1)

    async def _adopt(self, placed: Placed) -> Publication:
        """It is there from an earlier call. Raises PermanentError when it is another publication's."""
        other = await self._claim.twin(placed)
        if other is not None:
            text = f"{self._intent.target} has the same text at the same time already, as {other}"
            await self._claim.back(PublicationStatus.FAILED, text)
            raise PermanentError(text)
        return await self._accept(
            placed, f"{self._intent.content} was on {self._intent.target} already: it is not sent again"
        )

    async def _accept(self, placed: Placed, adopted: str = "") -> Publication:
        accepted = await self._claim.accept(placed, adopted)
        await self._say_when_older(accepted)
        return accepted

    async def _say_when_older(self, published: Publication) -> None:
        if published.content_hash != self._intent.content_hash:
            where = published.target
            text = f"{published.content} was changed since it was handed to {where}, which has it as it was"
            await self._claim.warn("publication_differs", text)
