"""Unpublishing on request: taking a publication of a site or a flow back from its target.

The row is claimed and the request is on record before the target is called. The row becomes ``withdrawn``
only when the target says that it does not have the piece. A target says so too when it never had the piece,
so a call whose answer was lost can be repeated.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pressroom.domain.errors import PermanentError, RunConflict, TransientError
from pressroom.domain.publishing import Place, Publication, PublicationStatus, Target, recalled
from pressroom.engine.publishing.attempt import OPEN, TRIES
from pressroom.engine.publishing.claim import Timing, get
from pressroom.engine.publishing.ledger import STAGE
from pressroom.engine.runs import control
from pressroom.store.database import Store, Tx

OpenTarget = Callable[[Place], Awaitable[AbstractAsyncContextManager[Target[Any]]]]


@dataclass(frozen=True)
class Withdrawal:
    """A claimed publication. ``claim`` None: it is withdrawn already, and there is nothing to do.

    ``sent``: what its last try sent; ``by_hand``: a person has named its external id.
    """

    publication: Publication
    claim: str | None
    sent: Mapping[str, Any] = field(default_factory=dict)
    by_hand: bool = False

    @property
    def place(self) -> Place:
        """Where it was published."""
        connection, _, handler = self.publication.target.rpartition("/")
        return Place(handler, connection, self.publication.target)


def begin(tx: Tx, publication_id: int, timing: Timing | None = None) -> Withdrawal:
    """Claim a publication that the target has, and put on record that it is to be taken back.

    Raises RunConflict when the target does not have it, or a worker is at it.
    """
    publication, lease = get(tx, publication_id), (timing or Timing()).lease
    name = f"publication {publication.id}"
    if publication.content.startswith("post:"):
        raise RunConflict(f"{name} is a mission's: roll its job back to take its posts back")
    if publication.status is PublicationStatus.WITHDRAWN:
        return Withdrawal(publication, None)
    if publication.status in OPEN:
        raise RunConflict(f"{name} is {publication.status}: settle whether it is there first")
    if not publication.there:
        raise RunConflict(f"{name} is {publication.status}: there is nothing to take back")
    claim = secrets.token_hex(8)
    control.event(
        tx, publication.run_id, "publication_unpublish", f"{publication.content} is taken back from"
        f" {publication.target}", stage=STAGE,
    )  # fmt: skip
    if not tx.run(
        "publication_claim_to_unpublish", publication=publication.id, claim=claim,
        lease=timedelta(seconds=lease),
    ):  # fmt: skip
        raise RunConflict(f"a worker is at {name}: wait until it is through")
    [row] = tx.rows("publication_sent", publication=publication.id)
    return Withdrawal(publication, claim, row["sent"], row["by_hand"])


async def unpublish(
    store: Store,
    account_id: int,
    withdrawal: Withdrawal,
    open_target: OpenTarget,
    timing: Timing | None = None,
) -> Publication:
    """Take a publication back at its target. An article then waits for review again, so no run publishes it.

    Raises RunConflict when the target can no longer take it back, TransientError when the target does not
    answer, and the target's own errors. After an error the publication is as it was.
    """
    publication, claim = withdrawal.publication, withdrawal.claim
    if claim is None:
        return publication
    timing = timing or Timing()
    try:
        async with await open_target(withdrawal.place) as target:
            gone = await _ask(store, account_id, withdrawal, target, timing)
    except (TransientError, PermanentError):
        await store.run(account_id, Tx.run, "publication_release", publication=publication.id, claim=claim)
        raise
    if not gone:
        await store.run(account_id, Tx.run, "publication_release", publication=publication.id, claim=claim)
        raise RunConflict(
            f"{publication.target} cannot take {publication.content} back any more: it stays there"
            f" as {publication.public_url or publication.external_id}"
        )
    return await store.run(account_id, _withdrawn, publication, claim)


async def _ask(
    store: Store, account_id: int, withdrawal: Withdrawal, target: Target[Any], timing: Timing
) -> bool:
    publication = withdrawal.publication
    trouble = TransientError("not tried")
    for number in range(TRIES):
        if number:
            await asyncio.sleep(trouble.retry_after or timing.backoff * 2 ** (number - 1))
        if not await store.run(
            account_id, Tx.run, "publication_hold", publication=publication.id, claim=withdrawal.claim,
            lease=timedelta(seconds=timing.lease),
        ):  # fmt: skip
            raise TransientError(
                f"another worker took over publication {publication.id}: try again in a moment"
            )
        try:
            async with asyncio.timeout(timing.call):
                if withdrawal.by_hand:
                    await _must_be_there(withdrawal, target)
                return await target.unpublish(publication.external_id or "")
        except TimeoutError:
            trouble = TransientError(f"{publication.target} did not answer in time")
        except TransientError as error:
            trouble = error
        if (trouble.retry_after or 0.0) > timing.retry_after:
            break
    raise trouble


async def _must_be_there(withdrawal: Withdrawal, target: Target[Any]) -> None:
    """Raises RunConflict unless the target itself has what was sent under the id that a person has named: it
    may be another's.
    """
    publication = withdrawal.publication
    sent = recalled(target, withdrawal.sent, publication.scheduled_for)
    placed = None if sent is None else await target.find(sent)
    if placed is None or placed.external_id != publication.external_id:
        raise RunConflict(
            f"a person has settled that {publication.target} has {publication.content} as"
            f" {publication.external_id}, and it is not found there: take it back there"
        )


def _withdrawn(tx: Tx, publication: Publication, claim: str) -> Publication:
    kind, _, number = publication.content.partition(":")
    message = f"{publication.target} no longer has {publication.content}"
    control.event(tx, publication.run_id, "publication_withdrawn", message, stage=STAGE)
    tx.run("publication_unpublished", publication=publication.id, claim=claim)
    if kind == "article":
        tx.run("article_taken_back", content=int(number), note=message)
    return get(tx, publication.id)
