"""Rollback of publishing: what is not out yet is taken back at the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from pressroom.domain.errors import TransientError
from pressroom.domain.public_ids import CONTENT, public_id
from pressroom.domain.publishing import PublicationStatus, from_sent
from pressroom.domain.run import Run
from pressroom.domain.social import Receipt, Scheduler
from pressroom.pipelines.stage import Undone
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

T = TypeVar("T")

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the tries of a call that takes a post back."""


@dataclass(frozen=True)
class Outstanding:
    """A publication that the scheduler has, or may have.

    ``unsettled``: seconds for which an unanswered call may still arrive; ``sent``: what it sent.
    """

    id: int
    status: str
    target: str
    scheduled_for: datetime
    external_id: str | None
    public_url: str
    sent: dict[str, Any]
    unsettled: float
    post: int
    platform: str


async def undo(store: Store, run: Run, tools: Tools) -> Undone:
    """Take back what is not out yet; what is out is listed, and not touched.

    What was taken back is on record even when the rest could not be: the next time goes on from there.
    """
    scheduler = tools.social.scheduler
    rows = await store.run(
        run.account_id, Tx.all, "publications_to_withdraw", Outstanding, run=run.id, mission=run.mission_id
    )
    await asyncio.sleep(max((row.unsettled for row in rows if row.external_id is None), default=0.0))
    withdrawn: list[Outstanding] = []
    out: list[tuple[Outstanding, Receipt]] = []
    try:
        for row in rows:
            receipt = await _receipt(store, run, scheduler, row)
            if receipt is not None and not await _taken_back(scheduler, row, receipt):
                out.append((row, receipt))
            else:
                withdrawn.append(row)
    finally:
        await store.run(run.account_id, _record, run, withdrawn, out)
    kept = [
        f"{public_id(CONTENT, row.post)} is out on {row.platform}: {found.public_url or found.external_id}"
        for row, found in out
    ]
    return Undone(len(withdrawn), kept)


async def _receipt(store: Store, run: Run, scheduler: Scheduler, row: Outstanding) -> Receipt | None:
    """What the scheduler has of it; where nobody knows, it is asked. None: it has nothing, or another's."""
    if row.external_id is not None:
        return Receipt(row.external_id, public_url=row.public_url)
    if not row.sent:
        return None
    found = await _patiently(partial(scheduler.find, from_sent(row.sent, row.scheduled_for)))
    if found is None:
        return None
    owner = await store.run(
        run.account_id, Tx.value, "publication_twin", publication=row.id, target=row.target,
        external_id=found.external_id,
    )  # fmt: skip
    return None if owner else found


async def _taken_back(scheduler: Scheduler, row: Outstanding, receipt: Receipt) -> bool:
    if row.status == PublicationStatus.CONFIRMED:
        return False
    return await _patiently(partial(scheduler.withdraw, receipt.external_id))


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """A call that may be repeated: one that fails in passing must not stop a rollback of hundreds."""
    for pause in PAUSES:
        try:
            return await call()
        except TransientError as error:
            if error.retry_after is not None and error.retry_after > PAUSES[-1]:
                raise
            await asyncio.sleep(error.retry_after or pause)
    return await call()


def _record(
    tx: Tx, run: Run, withdrawn: Sequence[Outstanding], out: Sequence[tuple[Outstanding, Receipt]]
) -> None:
    tx.run("publications_withdrawn", ids=[row.id for row in withdrawn])
    for row, receipt in out:
        if row.external_id is None:  # it came to light just now
            tx.run(
                "publication_accept", publication=row.id, external_id=receipt.external_id,
                preview_url=receipt.preview_url, public_url=receipt.public_url,
            )  # fmt: skip
            tx.run("posts_follow_publications", run=None, publication=row.id)
    tx.run("posts_unscheduled", mission=run.mission_id, ids=[row.post for row in withdrawn])
