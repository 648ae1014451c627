"""Rollback of publishing: what is not out yet is taken back at the target."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from pressroom.domain.errors import TransientError
from pressroom.domain.public_ids import CONTENT, public_id
from pressroom.domain.publishing import Placed, PublicationStatus, Target, recalled
from pressroom.domain.run import Run
from pressroom.pipelines.stage import Undone
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx
from pressroom.store.publications import twin_of

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_PAUSE = 8.0
"""Seconds between the tries of a call that takes a post back, at most."""


@dataclass(frozen=True)
class Outstanding:
    """A publication that the target has, or may have.

    ``unsettled``: seconds for which an unanswered call may still arrive; ``sent``: what it sent; ``by_hand``:
    a person has named the external id.
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
    by_hand: bool


async def undo(store: Store, run: Run, tools: Tools) -> Undone:
    """Take back what is not out yet; what is out is listed, and not touched.

    What was taken back is on record even when the rest could not be: the next time goes on from there.
    """
    rows = await store.run(
        run.account_id, Tx.all, "publications_to_withdraw", Outstanding, run=run.id, mission=run.mission_id
    )
    await asyncio.sleep(max((row.unsettled for row in rows if row.external_id is None), default=0.0))
    withdrawn: list[Outstanding] = []
    out: list[tuple[Outstanding, Placed]] = []
    try:
        for row in rows:
            target = tools.outside.target(run.mission.place(row.platform))
            if row.by_hand and not await _is_there(target, row):
                out.append((row, Placed(row.external_id or "", row.public_url)))
                continue
            placed = await _placed(store, run, target, row)
            if placed is not None and not await _taken_back(target, row, placed):
                out.append((row, placed))
            else:
                withdrawn.append(row)
    finally:
        await store.run(run.account_id, _record, run, withdrawn, out)
    kept = [
        f"{public_id(CONTENT, row.post)} is out on {row.platform}: {placed.url or placed.external_id}"
        + (" (settled by a person, and not found there: take it back there)" if row.by_hand else "")
        for row, placed in out
    ]
    return Undone(len(withdrawn), kept)


async def _is_there(target: Target[Any], row: Outstanding) -> bool:
    """Whether the target itself has what was sent under the id that a person has named."""
    sent = recalled(target, row.sent, row.scheduled_for)
    placed = None if sent is None else await _patiently(target.find, sent)
    return placed is not None and placed.external_id == row.external_id


async def _placed(store: Store, run: Run, target: Target[Any], row: Outstanding) -> Placed | None:
    """What the target has of it; where nobody knows, it is asked. None: it has nothing, or another's."""
    if row.external_id is not None:
        return Placed(row.external_id, row.public_url)
    sent = recalled(target, row.sent, row.scheduled_for)
    if sent is None:
        return None
    placed = await _patiently(target.find, sent)
    if placed is None:
        return None
    owner = await store.run(run.account_id, twin_of, row.id, row.target, placed.external_id)
    return None if owner else placed


async def _taken_back(target: Target[Any], row: Outstanding, placed: Placed) -> bool:
    if row.status == PublicationStatus.CONFIRMED:
        return False
    return await _patiently(target.unpublish, placed.external_id)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TransientError) and (error.retry_after or 0) <= LONGEST_PAUSE


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, TransientError) else None
    return asked or wait_exponential(LONGEST_PAUSE / 2**4, max=LONGEST_PAUSE)(state)


async def _patiently(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """A call that may be repeated: one that fails in passing must not stop a rollback of hundreds."""
    retrying = AsyncRetrying(
        retry=retry_if_exception(_may_pass), wait=_pause, stop=stop_after_attempt(6), reraise=True
    )
    result: T = await retrying(call, *args, **kwargs)
    return result


def _record(
    tx: Tx, run: Run, withdrawn: Sequence[Outstanding], out: Sequence[tuple[Outstanding, Placed]]
) -> None:
    tx.run("publications_withdrawn", ids=[row.id for row in withdrawn])
    for row, placed in out:
        if row.external_id is None:  # it came to light just now
            tx.run(
                "publication_accept", publication=row.id, external_id=placed.external_id,
                preview_url=placed.preview_url, public_url=placed.url,
            )  # fmt: skip
            tx.run("posts_follow_publications", run=None, publication=row.id)
    tx.run("posts_unscheduled", mission=run.mission_id, ids=[row.post for row in withdrawn])
