"""The life of a provider's batch from its record to its end: found again, looked at, cancelled, booked.

Nothing of a stage is known here, so a batch can be ended whose run is over. The replies are kept and booked
in one transaction with the end of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pressroom.domain.errors import NoBatchEndpoint, PermanentError
from pressroom.domain.model import BatchedModel, BatchEndpoint, BatchResult, Finish, ProviderBatch, Usage
from pressroom.domain.text import counted
from pressroom.engine.models.batch_replies import as_row
from pressroom.engine.models.text import TextEngine, used
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.metering import Call
from pressroom.engine.runs import control
from pressroom.store.database import Store, Tx

SOONEST, LATEST = timedelta(seconds=2), timedelta(seconds=60)
"""Between two looks at a batch: a tenth of its age, within these bounds."""
LOST = "BatchLost"
"""The outcome of a request whose answer the provider no longer has."""


@dataclass(frozen=True)
class Batch:
    """A batch on record that is not over. ``attempted_at``: when the present attempt to submit it began."""

    id: int
    workflow_id: int
    run_id: int
    stage: str
    connection: str
    model: str
    mark: str
    status: str
    attempted_at: datetime
    external_id: str | None
    created_at: datetime

    @property
    def next_look(self) -> datetime:
        """When to look at it again, when it is at work now."""
        now = datetime.now(UTC)
        return now + min(max((now - self.created_at) / 10, SOONEST), LATEST)

    def scope(self, account: int, item: str | None = None) -> CostScope:
        """What an item's request is booked to; without an item, what the batch's cents are held for."""
        item = f"batch {self.id}" if item is None else item
        return CostScope(account, self.workflow_id, self.run_id, self.stage, item)


class OpenBatches:
    """An account's batches of one text model. ``patience``: seconds in which every request is over."""

    def __init__(
        self,
        store: Store,
        account: int,
        engine: TextEngine,
        model: BatchedModel,
        endpoint: BatchEndpoint,
        patience: float,
    ) -> None:
        self.endpoint = endpoint
        self._store, self._account, self._engine, self._model = store, account, engine, model
        self._patience = timedelta(seconds=patience)

    async def advance(self, batch: Batch) -> datetime | None:
        """Bring a batch forward. Returns when to look again; None when it is over."""
        if batch.external_id is not None:
            seen = await self.endpoint.look(batch.external_id)
            if seen is not None and not seen.ended:
                return batch.next_look
            await self._collect(batch, seen)
            return None
        settled = self.settled_at(batch)
        if settled > datetime.now(UTC):
            return settled  # who began it may still be at it
        if await self.claim(batch) is None:
            return datetime.now(UTC) + self._patience  # another process looks for it
        found = await self.endpoint.find(batch.mark)
        if found is None:  # it was never made, so what it asks for goes into another one
            await self.drop(batch)
            return None
        await self.submitted(batch, found)
        return datetime.now(UTC) + SOONEST

    async def working(self, batch: Batch) -> datetime | None:
        """When to look again at a batch that only the provider works on; None when there is something to do:
        it has ended, or is to be looked for.
        """
        if batch.external_id is None:
            settled = self.settled_at(batch)
            return settled if settled > datetime.now(UTC) else None
        seen = await self.endpoint.look(batch.external_id)
        return None if seen is None or seen.ended else batch.next_look

    async def stop(self, batch: Batch) -> bool:
        """Have the provider cancel a batch, and book what it did. Returns whether it is over."""
        await self._change("batch_stopped", batch)
        if batch.external_id is None:
            found = await self.endpoint.find(batch.mark)
            if found is None:
                if self.settled_at(batch) <= datetime.now(UTC) and await self.claim(batch) is not None:
                    await self.drop(batch)
                    return True
                return False
            await self.submitted(batch, found)
            batch = replace(batch, external_id=found.id)
        seen = await self.endpoint.cancel(str(batch.external_id))
        if seen is not None and not seen.ended:
            return False
        await self._collect(batch, seen)
        return True

    async def claim(self, batch: Batch) -> datetime | None:
        """Begin an attempt, unless another process has begun one since the batch was read."""

        def claim(tx: Tx) -> datetime | None:
            at: datetime | None = tx.value("claim_batch", batch=batch.id, seen=batch.attempted_at)
            return at

        return await self._store.run(self._account, claim)

    async def submitted(self, batch: Batch, made: ProviderBatch) -> None:
        """Record the provider's id of a batch."""

        def write(tx: Tx) -> None:
            if tx.run("batch_submitted", batch=batch.id, external=made.id):
                message = f"{batch.stage}: the provider's batch {made.id} is under way"
                control.event(tx, batch.run_id, "batch_submitted", message, stage=batch.stage)

        await self._store.run(self._account, write)

    async def drop(self, batch: Batch) -> None:
        """End a batch that the provider does not have. Its requests may go into another one."""
        await self._change("batch_stopped", batch)
        await self._end(batch, "refused", {}, "")

    async def refused(self, batch: Batch, error: PermanentError) -> None:
        """End a batch that the provider does not take. Its requests go the ordinary way."""
        if isinstance(error, NoBatchEndpoint):
            await self._model.has_no_batches()
        message = f"{batch.stage}: {error}; its items are written by ordinary calls, at the ordinary price"
        await self._end(batch, "refused", {}, message)

    def settled_at(self, batch: Batch) -> datetime:
        """From when on nobody else is at work on a batch that has no id yet."""
        return batch.attempted_at + self._patience

    async def _change(self, statement: str, batch: Batch, **values: Any) -> int:
        return await self._store.run(self._account, Tx.run, statement, batch=batch.id, **values)

    async def _collect(self, batch: Batch, seen: ProviderBatch | None) -> None:
        """End a batch by its results. ``seen``: None when the provider no longer has it."""
        results = None if seen is None else await self.endpoint.results(seen)
        if seen is None or results is None:
            message = (
                f"{batch.stage}: the provider no longer has the batch {batch.external_id} or its results:"
                f" it was deleted there, or connection {batch.connection!r} has another project's key."
                " The most that it may have cost is booked, and its items are written by ordinary calls"
            )
            await self._end(batch, "ended", {}, message, lost=True)
            return
        answered = sum(result.reply is not None for result in results.values())
        message = (
            f"{batch.stage}: the provider's batch {seen.id} is {seen.status}: {counted(answered, 'answer')}"
        )
        await self._end(batch, "ended", results, f"{message}; {seen.reason}" if seen.reason else message)

    async def _end(
        self,
        batch: Batch,
        status: str,
        results: Mapping[str, BatchResult],
        message: str,
        *,
        lost: bool = False,
    ) -> None:
        """End a batch in one transaction: what became of each request, its cost, the cents that were held.
        ``lost``: what became of them is not known, so the bound is booked.
        """
        price, meter = self._engine.price.in_batches, self._engine.meter

        def write(tx: Tx) -> None:
            tx.run("lock_run", run=batch.run_id)
            if not tx.run("end_batch", batch=batch.id, status=status):
                return  # another process has
            if message:
                level: control.Level = "warning" if lost or status == "refused" else "info"
                control.event(tx, batch.run_id, f"batch_{status}", message, stage=batch.stage, level=level)
            for row in tx.rows("batch_requests_open", batch=batch.id):
                result = results.get(row["key"], BatchResult(None))
                reply, expected = result.reply, Usage(*row["expected"])
                became = "answered" if reply else "failed" if result.error else "undone"
                tx.run(
                    "settle_batch_request", batch=batch.id, key=row["key"], status=became,
                    reply=as_row(reply) if reply else None,
                )  # fmt: skip
                if reply is None and not lost:
                    continue
                usage = expected if reply is None else used(reply, expected)
                outcome = (
                    LOST if reply is None else "ok" if reply.finish is Finish.STOP else str(reply.finish)
                )
                scope = batch.scope(self._account, row["item"])
                meter.enter(tx, scope, Call(outcome, usage, price.cents(usage)))
            ledger.release(tx, batch.scope(self._account))

        await self._store.run(self._account, write)
