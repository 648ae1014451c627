"""Asks a stage's text model in batches of the provider's, at its lower price: submitted once, read once.

What the items would ask is found out first (``recording``), and is on record, with a mark that goes along,
before anything is sent. Who finds a batch whose submission may have been cut off looks for the mark at the
provider before it submits. The replies are kept and booked in one transaction; then the stage works through
its items as always, finds them, and asks the model itself for what is missing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pressroom.domain.errors import BudgetError, PermanentError, TransientError, UnknownOutcome
from pressroom.domain.model import BatchedModel, BatchEndpoint
from pressroom.domain.run import Run
from pressroom.engine.models.batch_replies import replies
from pressroom.engine.models.open_batches import Batch, OpenBatches
from pressroom.engine.models.recording import Known, Wanted, record
from pressroom.engine.models.text import TextEngine
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import caps_of
from pressroom.pipelines.stage import Stage
from pressroom.store.database import Store, Tx

ROUNDS = 8
"""So often what is known lets an item ask for more before the batch is made."""


class Batches:
    """The batches of one run's text model. ``patience``: seconds in which every request is over."""

    def __init__(
        self,
        store: Store,
        run: Run,
        engine: TextEngine,
        model: BatchedModel,
        endpoint: BatchEndpoint,
        patience: float,
    ) -> None:
        self._store, self._run, self._engine, self._model = store, run, engine, model
        self._batches = OpenBatches(store, run.account_id, engine, model, endpoint, patience)

    # What a stage calls --------------------------------------------------------------------------------

    async def prepare(
        self, stage: Stage[Any, Any], items: Sequence[Any], tools_for: Callable[[CostScope], Any]
    ) -> datetime | None:
        """Bring the batches of the stage forward: submit what the items ask for, read what has ended.

        Returns when to look again; None when the items can be worked on, because nothing is under way and
        nothing new can be asked in a batch. Raises TransientError when the provider cannot be asked now.
        """
        while True:
            due = [
                when for batch in await self._open(stage.name) if (when := await self._batches.advance(batch))
            ]
            if due:
                return min(due)
            wanted = await self._wanted(stage, items, tools_for)
            if not wanted or not await self._plan(stage, items, wanted):
                return None

    async def working(self, stage: str) -> datetime | None:
        """When to look again at batches that only the provider works on; None when there is something to do:
        one has ended, or is to be submitted.
        """
        due = []
        for batch in await self._open(stage):
            when = await self._batches.working(batch)
            if when is None:
                return None
            due.append(when)
        return min(due) if due else None

    async def under_way(self, stage: str) -> bool:
        """Whether a batch of the stage is not over."""
        return bool(await self._open(stage))

    async def stop(self) -> bool:
        """Have the provider cancel the run's batches, and book what has ended. Returns whether all have."""
        over = True
        for batch in await self._store.run(self._run.account_id, self._of_run):
            over = await self._batches.stop(batch) and over
        return over

    # One batch -----------------------------------------------------------------------------------------

    async def _open(self, stage: str) -> list[Batch]:
        def look(tx: Tx) -> list[Batch]:
            return tx.all("open_batches", Batch, workflow=self._run.workflow_id, stage=stage)

        found = await self._store.run(self._run.account_id, look)
        model = (self._engine.connection, self._model.model)
        return [batch for batch in found if (batch.connection, batch.model) == model]

    def _of_run(self, tx: Tx) -> list[Batch]:
        return tx.all("open_batches_of_run", Batch, run=self._run.id)

    async def _submit(self, batch: Batch, wanted: Mapping[str, Wanted]) -> None:
        try:
            requests = {key: each.request for key, each in wanted.items()}
            file = await self._batches.endpoint.upload(batch.mark, requests)
            if await self._batches.claim(batch) is None:
                return  # it took so long that another process has dropped it
            made = await self._batches.endpoint.submit(batch.mark, file)
        except UnknownOutcome:
            raise  # the next attempt looks for it
        except TransientError:
            await self._batches.drop(batch)
            raise
        except PermanentError as error:
            await self._batches.refused(batch, error)
            return
        await self._batches.submitted(batch, made)

    # What is asked -------------------------------------------------------------------------------------

    async def _wanted(
        self, stage: Stage[Any, Any], items: Sequence[Any], tools_for: Callable[[CostScope], Any]
    ) -> dict[str, Wanted]:
        """What the items would ask that is not answered, and in no batch of this run."""
        known = Known({}, {})
        for _ in range(ROUNDS):
            wanted: dict[str, Wanted] = {}
            for item in items:
                tools = tools_for(self._item_scope(stage, stage.key(item)))
                wanted |= await record(stage, item, tools, self._engine, known)
            if not await self._store.run(self._run.account_id, self._recall, list(wanted), known):
                break
        asked = await self._store.run(self._run.account_id, self._asked, list(wanted))
        return {key: each for key, each in wanted.items() if key not in asked}

    @staticmethod
    def _recall(tx: Tx, keys: Sequence[str], known: Known) -> bool:
        """Add what is answered. Returns whether that was anything."""
        answers = {row["key"]: row["answer"] for row in tx.rows("cached_answers", keys=keys)}
        brought = replies(tx, keys)
        known.answers |= answers
        known.replies |= brought
        return bool(answers or brought)

    def _asked(self, tx: Tx, keys: Sequence[str]) -> set[str]:
        return set(tx.values("batch_requests_known", keys=keys, run=self._run.id))

    async def _plan(self, stage: Stage[Any, Any], items: Sequence[Any], wanted: Mapping[str, Wanted]) -> bool:
        """Put a batch on record, hold its credits and cents, and submit it. Returns whether there was
        anything that the account can pay.
        """
        expected = {key: await self._engine.expected(each.request) for key, each in wanted.items()}
        by_key = {stage.key(item): item for item in items}
        mark = f"pressroom-{uuid.uuid4().hex}"

        def write(tx: Tx) -> Batch | None:
            tx.run("lock_run", run=self._run.id)
            control.get(tx, self._run.id).must_be_live()
            asked = self._asked(tx, list(wanted))  # another task of the run may have asked meanwhile
            [row] = tx.all(
                "insert_batch", Batch, workflow=self._run.workflow_id, run=self._run.id, stage=stage.name,
                connection=self._engine.connection, model=self._model.model, mark=mark,
            )  # fmt: skip
            holding = replace(row.scope(self._run.account_id), caps=caps_of(self._run))
            paid: set[str] = set()
            put = 0
            for key, each in wanted.items():
                if key in asked:
                    continue
                try:
                    ledger.hold_cents(tx, holding, self._engine.price.in_batches.cents(expected[key]))
                    if each.item not in paid:
                        scope = self._item_scope(stage, each.item)
                        ledger.reserve(tx, scope, stage.charge(self._run, by_key[each.item]))
                        paid.add(each.item)
                except BudgetError:
                    break  # the ordinary way meets it again, and says so
                usage = expected[key]
                tx.run(
                    "insert_batch_request", batch=row.id, key=key, item=each.item,
                    expected=[usage.prompt_tokens, usage.completion_tokens],
                )  # fmt: skip
                put += 1
            if not put:
                tx.run("end_batch", batch=row.id, status="refused")
                ledger.release(tx, holding)
                return None
            return row

        batch = await self._store.run(self._run.account_id, write)
        if batch is None:
            return False
        rows = await self._store.run(self._run.account_id, Tx.rows, "batch_requests_open", batch=batch.id)
        await self._submit(batch, {row["key"]: wanted[row["key"]] for row in rows})
        return True

    def _item_scope(self, stage: Stage[Any, Any], item: str) -> CostScope:
        run = self._run
        return CostScope(run.account_id, run.workflow_id, run.id, stage.name, item, caps_of(run))
