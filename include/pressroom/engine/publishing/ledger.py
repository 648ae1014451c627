"""The publication ledger for operators and for a run's end: list, settle, give up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from pressroom.domain.errors import PermanentError, RunConflict, TransientError
from pressroom.domain.publishing import Publication, PublicationStatus, Target
from pressroom.domain.run import Run
from pressroom.domain.text import counted
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.publishing.attempt import OPEN, settle_once
from pressroom.engine.publishing.claim import Intent, Timing, get, publication
from pressroom.engine.runs import control
from pressroom.store.database import Store, Tx
from pressroom.store.publications import twin_of

log = logging.getLogger(__name__)

STAGE = "publish"
LOOKS_AT_ONCE = 8


def publications(tx: Tx, workflow_id: int, status: str | None = None) -> list[Publication]:
    """A workflow's publications, by the time at which they appear."""
    if status is not None and status not in set(PublicationStatus):
        raise PermanentError(
            f"there is no status {status!r} of publications: choose {', '.join(PublicationStatus)}"
        )
    rows = tx.rows("publications_of_workflow", workflow=workflow_id, status=status)
    return [publication(row) for row in rows]


def settle(
    tx: Tx, workflow_id: int, publication_id: int, *, sent: bool, external_id: str | None = None
) -> Publication:
    """Record what an operator saw at the target: it has the piece (under ``external_id``), or it does not.

    Raises RunConflict when the publication is not open, a worker is at it, or the id is another one's;
    PermanentError when the workflow has no such publication or the id is missing.
    """
    if sent and not external_id:
        raise PermanentError("say under which id the target has it")
    before = get(tx, publication_id, workflow_id)
    twin = twin_of(tx, publication_id, before.target, external_id) if sent and external_id else None
    if twin:
        raise RunConflict(f"{before.target} has {twin} under that id: look up the id of {before.content}")
    if not tx.run(
        "publication_settle", workflow=workflow_id, publication=publication_id, sent=sent,
        external_id=external_id,
    ):  # fmt: skip
        raise RunConflict(
            f"a worker is at publication {publication_id}: wait until it is through"
            if before.status in OPEN
            else f"publication {publication_id} is {before.status}: there is nothing to settle"
        )
    tx.run("posts_follow_publications", run=None, publication=publication_id)
    return get(tx, publication_id)


def give_up(tx: Tx, run_id: int) -> list[int]:
    """Publications that are still open when a run ends become unknown. Returns their ids."""
    ids: list[int] = tx.values("publication_give_up", run=run_id)
    return ids


async def settle_open(
    store: Store, run: Run, target: Target[Any], timing: Timing | None = None
) -> list[Publication]:
    """Settle what can be settled by looking; the rest of the run's open publications becomes unknown.

    For a run's end: nothing is sent. What is found is accepted, and what the target does not have is planned
    again. Returns the unknown ones. Idempotent.
    """
    gate = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def look(row: Mapping[str, Any]) -> None:
        intent = Intent(row["content"], row["target"], row["content_hash"], row["scheduled_for"])
        scope = CostScope(run.account_id, run.workflow_id, run.id, STAGE, intent.content)
        async with gate:
            try:
                await _settle_after_others(store, scope, intent, target, timing)
            except (
                TransientError,
                PermanentError,
            ) as error:  # another worker has it, or the row has the error
                log.info("%s stays as it is: %s", intent.content, error)

    rows = await store.run(run.account_id, Tx.rows, "publications_open", run=run.id)
    await asyncio.gather(*(look(row) for row in rows))
    return await store.run(run.account_id, _unknown_of, run.id)


def _unknown_of(tx: Tx, run_id: int) -> list[Publication]:
    """Give up the run's open publications, and return all of its unknown ones."""
    tx.run("lock_run", run=run_id)
    given_up = give_up(tx, run_id)
    tx.run("posts_follow_publications", run=run_id, publication=None)
    rows = tx.rows("publications_of_run", run=run_id, status=PublicationStatus.UNKNOWN)
    unknown = [publication(row) for row in rows]
    if given_up:
        names = ", ".join(each.content for each in unknown)
        message = (
            f"{counted(len(unknown), 'publication')} may or may not be published: look at the target, and"
            f" settle them: {names}"
        )
        control.event(
            tx, run_id, "publications_unknown", message, stage=STAGE, level="warning",
            data={"publications": [each.id for each in unknown]},
        )  # fmt: skip
    return unknown


async def _settle_after_others(
    store: Store, scope: CostScope, intent: Intent, target: Target[Any], timing: Timing | None
) -> None:
    """Settle; first wait for the claim of another worker to lapse, because that worker may be dead."""
    try:
        await settle_once(store, scope, intent, target, timing)
    except TransientError as busy:
        if busy.retry_after is None:
            raise
        await asyncio.sleep(busy.retry_after)
        await settle_once(store, scope, intent, target, timing)
