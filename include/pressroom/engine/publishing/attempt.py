"""One attempt at one publication: the intent is committed before each call to the target.

After an attempt, by this process or by one that died, the piece is not sent again until the target was asked
for it as it was attempted. "Not found" counts only when a lost call can no longer arrive. No call outlasts
the worker's claim, so there is one call at a time.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pressroom.domain.errors import (
    ApprovalVoid,
    ConfigurationError,
    PastDate,
    PermanentError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.model import RateLimits
from pressroom.domain.publishing import (
    UPDATES_IN_PLACE,
    Approval,
    Piece,
    Placed,
    Publication,
    PublicationStatus,
    Submission,
    Target,
    recalled,
)
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.rate_limit import RateLimiter
from pressroom.engine.publishing.claim import Claim, Intent, Timing
from pressroom.store.database import Store

TRIES = 3
OPEN = (PublicationStatus.ATTEMPTING, PublicationStatus.UNKNOWN)
"""The target may or may not have the piece."""


async def publish_once(
    store: Store,
    scope: CostScope,
    target: Target[Any],
    name: str,
    submission: Submission[Any],
    timing: Timing | None = None,
) -> Publication:
    """Publish a piece on its target, or find that it is there. ``name``: how the ledger names the target.

    A piece to update is sent again under the same key, when the target has it with another hash and can
    change it in place.

    Raises ApprovalVoid when it is not what was approved, PastDate when the time is over, each when the target
    does not have it; TimeTaken when something else of the workflow appears there at that time, TransientError
    when another try may help, PermanentError when the target refuses it.
    """
    piece = submission.piece
    intent = Intent(
        submission.content, name, submission.content_hash, piece.at or datetime.now(UTC), piece.on_record,
        alone=submission.alone, updates=submission.update and target.handler in UPDATES_IN_PLACE,
    )  # fmt: skip
    timing = (timing or Timing()).with_upload(sum(len(picture.data) for picture in piece.pictures))
    return await _Attempt(store, scope, intent, target, timing).publish(piece, submission.approval)


async def settle_once(
    store: Store, scope: CostScope, intent: Intent, target: Target[Any], timing: Timing | None = None
) -> Publication:
    """Find out about an open publication, and send nothing: accepted, planned again, or else unknown.

    Raises TransientError when another worker is at it, PermanentError when what is there is another's.
    """
    return await _Attempt(store, scope, intent, target, timing).settle()


class _Attempt:
    def __init__(
        self,
        store: Store,
        scope: CostScope,
        intent: Intent,
        target: Target[Any],
        timing: Timing | None,
    ) -> None:
        self._intent, self._target, self._timing = intent, target, timing or Timing()
        self._claim = Claim(store, scope, intent, self._timing, target.settle_seconds)
        limits = RateLimits(requests_per_minute=target.arguments.limits.requests_per_minute)
        self._limiter = RateLimiter(store, target.connection, limits)
        self._update = False

    async def publish(self, piece: Piece[Any], approval: Approval | None) -> Publication:
        claimed = await self._claim.take()
        before = claimed.publication
        if before.there:
            await self._say_when_older(before)
            return before
        self._update = claimed.update
        piece = replace(piece, known=claimed.known, noted=self._claim.note)
        if before.status in OPEN:
            # As it was attempted: its time and its text may have changed since.
            at = claimed.last_try.at
            record = claimed.last_try.sent
            # It is found by the key that was sent, also when keys are made in another way by now.
            key = str(record.get("key") or piece.key)
            sent = recalled(self._target, record, at) or replace(piece, key=key, at=piece.at and at)
            placed = await self._look(sent, claimed.unsettled, unclear=before.status)
            # With an update, the target may have the version before: it is sent again, under the same key.
            if placed is not None and not self._update:
                return await self._adopt(placed)
        try:
            if approval is not None:
                approval.must_hold(self._intent.target)
            piece.check(self._target.handler, datetime.now(UTC))
        except ApprovalVoid as error:
            await self._claim.release(PublicationStatus.PLANNED, str(error))
            raise
        except PermanentError as error:
            await self._claim.release(PublicationStatus.FAILED, str(error))
            raise
        return await self._send(piece)

    async def settle(self) -> Publication:
        claimed = await self._claim.take()
        before = claimed.publication
        if before.there:
            return before
        if before.status not in OPEN:
            return await self._claim.release(before.status, before.error)
        sent = recalled(self._target, claimed.last_try.sent, claimed.last_try.at)
        if sent is None:
            return await self._claim.release(PublicationStatus.UNKNOWN, "what was sent is not on record")
        try:
            placed = await self._look(sent, claimed.unsettled, unclear=PublicationStatus.UNKNOWN)
        except (TransientError, PermanentError):
            return await self._claim.current()
        if placed is None:
            return await self._claim.release(PublicationStatus.PLANNED, before.error)
        return await self._adopt(placed)

    async def _send(self, piece: Piece[Any]) -> Publication:
        trouble = TransientError("not tried")
        for number in range(TRIES):
            if number:
                await asyncio.sleep(self._pause(trouble, number))
            await self._turn(PublicationStatus.PLANNED)
            deadline = asyncio.get_running_loop().time() + self._timing.call
            await self._claim.begin()
            try:
                placed = await self._submit(piece, deadline)
            except UnknownOutcome as error:
                trouble = error
                lost = await self._look_for_lost(piece)
                if lost is not None and not self._update:
                    return await self._adopt(lost)
            except TransientError as error:  # the target did not take it
                trouble = error
            except (PastDate, ConfigurationError) as error:  # nothing is wrong with the content itself
                await self._claim.release(PublicationStatus.PLANNED, str(error))
                raise
            except PermanentError as error:
                await self._claim.release(PublicationStatus.FAILED, str(error))
                raise
            else:
                # Outside the try: the target has the piece, and an error of the store is not the target's.
                return await self._accept(placed)
            if self._too_long(trouble):
                break
        # The refusal or the last look said that the target does not have it: the next try starts over.
        await self._claim.release(PublicationStatus.PLANNED, str(trouble))
        raise TransientError(str(trouble), retry_after=trouble.retry_after)

    async def _turn(self, status: PublicationStatus) -> None:
        """Wait for the target's rate limit, which all workers share.

        When the wait is too long, the publication gets ``status``, and TransientError says when to try again.
        """
        try:
            wait = await asyncio.to_thread(self._limiter.take)
        except TransientError as error:
            await self._claim.release(status, str(error))
            raise
        if wait > 0:
            await self._claim.hold(wait)
            await asyncio.sleep(wait)

    async def _submit(self, piece: Piece[Any], deadline: float) -> Placed:
        if asyncio.get_running_loop().time() >= deadline:
            # The claim may have lapsed meanwhile.
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
        """What the target has, None when it does not have the piece. A lost call may arrive for ``unsettled``
        seconds, so "not found" is asked for again after that.

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
                async with asyncio.timeout(self._timing.call):
                    return await self._target.find(sent)
            except TimeoutError:
                trouble = TransientError(f"{self._intent.target} did not answer in time")
            except TransientError as error:
                trouble = error
            except PermanentError as error:
                await self._claim.release(unclear, str(error))
                raise
            if number == TRIES or self._too_long(trouble):
                break
            await asyncio.sleep(self._pause(trouble, number))
        await self._claim.release(unclear, str(trouble))
        raise trouble

    def _too_long(self, trouble: TransientError) -> bool:
        return trouble.retry_after is not None and trouble.retry_after > self._timing.retry_after

    def _pause(self, trouble: TransientError, number: int) -> float:
        return trouble.retry_after or self._timing.backoff * 2 ** (number - 1)

    async def _adopt(self, placed: Placed) -> Publication:
        """Accept what an earlier call placed. Raises PermanentError when it is another publication's."""
        twin = await self._claim.twin(placed)
        if twin is not None:
            text = (
                f"{self._intent.target} already has the same text at the same time, as {twin}:"
                " change the text or the time"
            )
            await self._claim.release(PublicationStatus.FAILED, text)
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
            text = (
                f"{published.content} was changed after it was sent to {where}, which has the older version"
            )
            await self._claim.warn("publication_differs", text)
