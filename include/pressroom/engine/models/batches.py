"""Asks a stage's text model in batches of the provider's, at its lower price: submitted once, read once.

What the items would ask is found out first (``recording``), and is on record, with a mark that goes along,
before anything is sent. Who finds a batch whose submission may have been cut off looks for the mark at the
provider before it submits. The replies are kept and booked in one transaction; then the stage works through
its items as always, finds them, and asks the model itself for what is missing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pressroom.domain.errors import (
    BudgetError,
    NoBatchEndpoint,
    PermanentError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.model import BatchedModel, BatchEndpoint, BatchResult, Finish, ProviderBatch, Usage
from pressroom.domain.run import Run
from pressroom.domain.text import counted
from pressroom.engine.models.batch_replies import as_row, replies
from pressroom.engine.models.recording import Known, Wanted, record
from pressroom.engine.models.text import TextEngine, used
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.money.metering import Call
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import caps_of
from pressroom.pipelines.stage import Stage
from pressroom.store.database import Store, Tx

SOONEST, LATEST = timedelta(seconds=2), timedelta(seconds=60)
"""Between two looks at a batch: a tenth of its age, within these bounds."""
ROUNDS = 8
"""So often what is known lets an item ask for more before the batch is made."""


@dataclass(frozen=True)
class Batch:
    """A batch on record that is not over. ``attempted_at``: when the present attempt to submit it began."""

    id: int
    run_id: int
    stage: str
    connection: str
    model: str
    mark: str
    status: str
    attempted_at: datetime
    external_id: str | None
    created_at: datetime


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
        self._store, self._run, self._engine, self._endpoint = store, run, engine, endpoint
        self._model = model
        self._patience = timedelta(seconds=patience)

    # What a stage calls --------------------------------------------------------------------------------

    async def prepare(
        self, stage: Stage[Any, Any], items: Sequence[Any], tools_for: Callable[[CostScope], Any]
    ) -> datetime | None:
        """Bring the batches of the stage forward: submit what the items ask for, read what has ended.

        Returns when to look again; None when the items can be worked on, because nothing is under way and
        nothing new can be asked in a batch. Raises TransientError when the provider cannot be asked now.
        """
        while True:
            due = [when for batch in await self._open(stage.name) if (when := await self._advance(batch))]
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
            if batch.external_id is None:
                if self._settled_at(batch) <= datetime.now(UTC):
                    return None
                due.append(self._settled_at(batch))
            elif (await self._endpoint.look(batch.external_id)).ended:
                return None
            else:
                due.append(self._next_look(batch))
        return min(due) if due else None

    async def stop(self) -> bool:
        """Have the provider cancel the run's batches, and book what has ended. Returns whether all have."""
        over = True
        for batch in await self._store.run(self._run.account_id, self._of_run):
            over = await self._stop(batch) and over
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

    async def _advance(self, batch: Batch) -> datetime | None:
        """Bring a batch forward. Returns when to look again; None when it is over."""
        if batch.status == "submitted" and batch.external_id is not None:
            seen = await self._endpoint.look(batch.external_id)
            if not seen.ended:
                return self._next_look(batch)
            await self._collect(batch, seen)
            return None
        settled = self._settled_at(batch)
        if settled > datetime.now(UTC):
            return settled  # who began it may still be at it
        if await self._claim(batch) is None:
            return datetime.now(UTC) + self._patience  # another process looks for it
        found = await self._endpoint.find(batch.mark)
        if found is None:  # it was never made, so what it asks for goes into another one
            await self._drop(batch)
            return None
        await self._submitted(batch, found)
        return datetime.now(UTC) + SOONEST

    async def _submit(self, batch: Batch, wanted: Mapping[str, Wanted]) -> None:
        try:
            requests = {key: each.request for key, each in wanted.items()}
            file = await self._endpoint.upload(batch.mark, requests)
            claimed = await self._claim(batch)
            if claimed is None:
                return  # it took so long that another process has dropped it
            made = await self._endpoint.submit(batch.mark, file)
        except UnknownOutcome:
            raise  # the next attempt looks for it
        except TransientError:
            await self._drop(batch)
            raise
        except PermanentError as error:
            await self._refused(batch, error)
            return
        await self._submitted(batch, made)

    async def _stop(self, batch: Batch) -> bool:
        await self._change("batch_stopped", batch)
        if batch.external_id is None:
            found = await self._endpoint.find(batch.mark)
            if found is None:
                if self._settled_at(batch) <= datetime.now(UTC) and await self._claim(batch) is not None:
                    await self._drop(batch)
                    return True
                return False
            await self._submitted(batch, found)
            batch = replace(batch, external_id=found.id)
        seen = await self._endpoint.cancel(str(batch.external_id))
        if not seen.ended:
            return False
        await self._collect(batch, seen)
        return True

    async def _claim(self, batch: Batch) -> datetime | None:
        """Begin an attempt, unless another process has begun one since the batch was read."""

        def claim(tx: Tx) -> datetime | None:
            at: datetime | None = tx.value("claim_batch", batch=batch.id, seen=batch.attempted_at)
            return at

        return await self._store.run(self._run.account_id, claim)

    async def _change(self, statement: str, batch: Batch, **values: Any) -> int:
        return await self._store.run(self._run.account_id, Tx.run, statement, batch=batch.id, **values)

    async def _submitted(self, batch: Batch, made: ProviderBatch) -> None:
        def write(tx: Tx) -> None:
            if tx.run("batch_submitted", batch=batch.id, external=made.id):
                message = f"{batch.stage}: the provider's batch {made.id} is under way"
                control.event(tx, batch.run_id, "batch_submitted", message, stage=batch.stage)

        await self._store.run(self._run.account_id, write)

    async def _drop(self, batch: Batch) -> None:
        """End a batch that the provider does not have. Its requests may go into another one."""
        await self._change("batch_stopped", batch)
        await self._end(batch, "refused", {}, "")

    async def _refused(self, batch: Batch, error: PermanentError) -> None:
        if isinstance(error, NoBatchEndpoint):
            await self._model.has_no_batches()
        message = f"{batch.stage}: {error}; its items are written by ordinary calls, at the ordinary price"
        await self._end(batch, "refused", {}, message)

    async def _collect(self, batch: Batch, seen: ProviderBatch) -> None:
        results = await self._endpoint.results(seen)
        answered = sum(result.reply is not None for result in results.values())
        message = (
            f"{batch.stage}: the provider's batch {seen.id} is {seen.status}: {counted(answered, 'answer')}"
        )
        await self._end(batch, "ended", results, f"{message}; {seen.reason}" if seen.reason else message)

    async def _end(self, batch: Batch, status: str, results: Mapping[str, BatchResult], message: str) -> None:
        """End a batch in one transaction: what became of each request, its cost, the cents that were held."""
        price, meter = self._engine.price.in_batches, self._engine.meter
        scope = self._scope(batch, f"batch {batch.id}")

        def write(tx: Tx) -> None:
            tx.run("lock_run", run=batch.run_id)
            if not tx.run("end_batch", batch=batch.id, status=status):
                return  # another process has
            if message:
                level: control.Level = "warning" if status == "refused" else "info"
                control.event(tx, batch.run_id, f"batch_{status}", message, stage=batch.stage, level=level)
            for row in tx.rows("batch_requests_open", batch=batch.id):
                result = results.get(row["key"], BatchResult(None))
                reply = result.reply
                became = "answered" if reply else "failed" if result.error else "undone"
                tx.run(
                    "settle_batch_request", batch=batch.id, key=row["key"], status=became,
                    reply=as_row(reply) if reply else None,
                )  # fmt: skip
                if reply is not None:
                    usage = used(reply, Usage(*row["expected"]))
                    outcome = "ok" if reply.finish is Finish.STOP else str(reply.finish)
                    meter.enter(tx, self._scope(batch, row["item"]), Call(outcome, usage, price.cents(usage)))
            ledger.release(tx, scope)

        await self._store.run(self._run.account_id, write)

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
            holding = self._scope(row, f"batch {row.id}")
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

    def _scope(self, batch: Batch, item: str) -> CostScope:
        run = self._run
        return CostScope(run.account_id, run.workflow_id, batch.run_id, batch.stage, item, caps_of(run))

    def _settled_at(self, batch: Batch) -> datetime:
        """From when on nobody else is at work on a batch that has no id yet."""
        return batch.attempted_at + self._patience

    @staticmethod
    def _next_look(batch: Batch) -> datetime:
        now = datetime.now(UTC)
        return now + min(max((now - batch.created_at) / 10, SOONEST), LATEST)
