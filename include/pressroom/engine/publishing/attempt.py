"""One worker at one publication: intent is committed before a call, and what may have happened is looked for.

A publication that was attempted before, by this process or by one that died, is never sent again before the
target was asked for it as it was attempted, and "it is not there" counts only when a lost call can no longer
arrive. No call outlasts the worker's claim, so there is one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pressroom.domain.errors import (
    ConfigurationError,
    PastDate,
    PermanentError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Publication, PublicationStatus
from pressroom.domain.social import Receipt
from pressroom.engine.money.ledger import Scope
from pressroom.engine.publishing.claim import Attempted, Claim, Intent, Patience
from pressroom.store.database import Store

TRIES = 3
OPEN = (PublicationStatus.ATTEMPTING, PublicationStatus.UNKNOWN)
"""Where the target may have it, and nobody knows."""


@dataclass(frozen=True)
class Outside:
    """The target, for one publication. ``settle_seconds`` as in ``Scheduler``."""

    submit: Callable[[], Awaitable[Receipt]]
    find: Callable[[Attempted], Awaitable[Receipt | None]]
    settle_seconds: float


async def publish_once(
    store: Store, scope: Scope, intent: Intent, outside: Outside, patience: Patience | None = None
) -> Publication:
    """Bring one piece of content to one target, or find that it is there. Errors as in ``Publisher``."""
    return await _Attempt(store, scope, intent, outside, patience or Patience()).publish()


async def settle_once(
    store: Store, scope: Scope, intent: Intent, outside: Outside, patience: Patience | None = None
) -> Publication:
    """Find out about an open publication, and send nothing: accepted, planned again, or else unknown.

    Raises TransientError when another worker is at it, PermanentError when what is there is another's.
    """
    return await _Attempt(store, scope, intent, outside, patience or Patience()).settle()


class _Attempt:
    def __init__(
        self, store: Store, scope: Scope, intent: Intent, outside: Outside, patience: Patience
    ) -> None:
        self._intent, self._outside, self._patience = intent, outside, patience
        self._claim = Claim(store, scope, intent, patience, outside.settle_seconds)
        self._update = False

    async def publish(self) -> Publication:
        taken = await self._claim.take()
        before = taken.publication
        if before.there:
            await self._say_when_older(before)
            return before
        self._update = taken.update
        if before.status in OPEN:
            receipt = await self._look(taken.attempted, taken.unsettled, unclear=before.status)
            # Of an update, what is there may be the version before: it is sent again, under the same key.
            if receipt is not None and not self._update:
                return await self._adopt(receipt)
        return await self._send()

    async def settle(self) -> Publication:
        taken = await self._claim.take()
        before = taken.publication
        if before.there:
            return before
        if before.status not in OPEN:
            return await self._claim.back(before.status, before.error)
        if not taken.attempted.sent:
            return await self._claim.back(PublicationStatus.UNKNOWN, "what was sent is not on record")
        try:
            receipt = await self._look(taken.attempted, taken.unsettled, unclear=PublicationStatus.UNKNOWN)
        except (TransientError, PermanentError):
            return await self._claim.current()
        if receipt is None:
            return await self._claim.back(PublicationStatus.PLANNED, before.error)
        return await self._adopt(receipt)

    async def _send(self) -> Publication:
        trouble = TransientError("not tried")
        for number in range(TRIES):
            if number:
                await asyncio.sleep(self._pause(trouble, number))
            deadline = asyncio.get_running_loop().time() + self._patience.call
            await self._claim.begin()
            try:
                receipt = await self._submit(deadline)
            except UnknownOutcome as error:
                trouble = error
                found = await self._look_for_lost()
                if found is not None and not self._update:
                    return await self._adopt(found)
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
                return await self._accept(receipt)
            if self._too_long(trouble):
                break
        # The refusal, or the last look, said that it is not there: the next try begins anew.
        await self._claim.back(PublicationStatus.PLANNED, str(trouble))
        raise TransientError(str(trouble), retry_after=trouble.retry_after)

    async def _submit(self, deadline: float) -> Receipt:
        if asyncio.get_running_loop().time() >= deadline:
            # Whoever stood still for so long may have lost its claim meanwhile, and must not send.
            raise TransientError("this worker stood still, and has sent nothing")
        try:
            async with asyncio.timeout_at(deadline):
                return await self._outside.submit()
        except TimeoutError:
            raise UnknownOutcome(f"{self._intent.target} did not answer in time") from None

    async def _look_for_lost(self) -> Receipt | None:
        await self._claim.lost()
        return await self._look(
            Attempted(self._intent.at, self._intent.sent), self._outside.settle_seconds,
            unclear=PublicationStatus.ATTEMPTING,
        )  # fmt: skip

    async def _look(
        self, attempted: Attempted, unsettled: float, *, unclear: PublicationStatus
    ) -> Receipt | None:
        """What the target has, once a lost call can no longer arrive, as it can for ``unsettled`` seconds.

        When the target cannot be asked, the publication stays open (``unclear``): the next try looks again.
        """
        receipt = await self._ask(attempted, unclear)
        if receipt is None and unsettled > 0:
            await self._claim.hold(unsettled)
            await asyncio.sleep(unsettled)
            receipt = await self._ask(attempted, unclear)
        return receipt

    async def _ask(self, attempted: Attempted, unclear: PublicationStatus) -> Receipt | None:
        for number in range(1, TRIES + 1):
            await self._claim.hold()
            try:
                async with asyncio.timeout(self._patience.call):
                    return await self._outside.find(attempted)
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

    async def _adopt(self, receipt: Receipt) -> Publication:
        """It is there from an earlier call. Raises PermanentError when it is another publication's."""
        other = await self._claim.twin(receipt)
        if other is not None:
            text = f"{self._intent.target} has the same text at the same time already, as {other}"
            await self._claim.back(PublicationStatus.FAILED, text)
            raise PermanentError(text)
        return await self._accept(
            receipt, f"{self._intent.content} was on {self._intent.target} already: it is not sent again"
        )

    async def _accept(self, receipt: Receipt, adopted: str = "") -> Publication:
        accepted = await self._claim.accept(receipt, adopted)
        await self._say_when_older(accepted)
        return accepted

    async def _say_when_older(self, there: Publication) -> None:
        if there.content_hash != self._intent.content_hash:
            text = (
                f"{there.content} was changed since it was handed to {there.target}, which has it as it was"
            )
            await self._claim.warn("publication_differs", text)
