"""A stage of notes that are asked for in batches, at a strict server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from pressroom.adapters.models.openai_batches import OpenAIBatches
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.domain.model import Prompt
from pressroom.domain.run import Run
from pressroom.engine.models.batches import Batches
from pressroom.engine.models.dialects import StoredDialects
from pressroom.engine.models.text import TextEngine
from pressroom.engine.runs.batch import Report, run_batch, workable
from pressroom.pipelines.stage import Key, Saved, Stage
from pressroom.store.database import Tx
from tests.support.model_desk import Note
from tests.support.strict_batches import StrictBatches
from tests.support.world import World

PRICES = {"input_cents_per_million": 1000, "output_cents_per_million": 2000, "batch_share": 0.5}
WHOLE, HALF = Decimal(2), Decimal(1)
"""Cents of one answer, by an ordinary call and in a batch."""


class BatchDesk:
    """A stage of notes, asked in batches; each method is a process of its own."""

    def __init__(self, world: World, server: StrictBatches, url: str) -> None:
        self.world, self.server, self.url = world, server, url
        self.run = world.run()
        self.patience = 0.0
        with world.store.transaction(world.account_id) as tx:
            tx.run("plan_stage", run=self.run.id, stage="ideas", planned=9, skipped=None)

    def items(self, number: int) -> list[Key]:
        return list(self.world.clusters(number))

    def prepare(self, keys: Sequence[Key], **extra: Any) -> datetime | None:
        """Bring the batches forward."""

        async def work() -> datetime | None:
            async with self._model(**extra) as model:
                engine, batches = self._of(model)
                items = await self.world.store.run(self.world.account_id, workable, STAGE, self.run, keys)
                return await batches.prepare(STAGE, items, tools(engine))

        return asyncio.run(work())

    def write(self, keys: Sequence[Key], **extra: Any) -> Report:
        """Work through the items as always."""

        async def work() -> Report:
            async with self._model(**extra) as model:
                engine, _ = self._of(model)
                return await run_batch(
                    STAGE, self.run, keys, store=self.world.store, tools_for=tools(engine), concurrency=4
                )

        return asyncio.run(work())

    def stop(self) -> bool:
        async def work() -> bool:
            async with self._model() as model:
                return await self._of(model)[1].stop()

        return asyncio.run(work())

    def working(self) -> datetime | None:
        async def work() -> datetime | None:
            async with self._model() as model:
                return await self._of(model)[1].working("ideas")

        return asyncio.run(work())

    def _model(self, **extra: Any) -> OpenAIText:
        more = {"model": "m", "prices": PRICES, "timeout_seconds": 5, **extra}
        settings = ConnectionSettings.from_connection("text", host=self.url, password="sk-test", extra=more)
        return OpenAIText(settings, dialects=StoredDialects(self.world.store))

    def _of(self, model: OpenAIText) -> tuple[TextEngine, Batches]:
        price = text_price(model.settings, model.model)
        engine = TextEngine(model, self.world.store, price, model.settings.limits)
        engine.in_batches = True
        batches = Batches(self.world.store, self.run, engine, model, OpenAIBatches(model), self.patience)
        return engine, batches

    @property
    def written(self) -> int:
        [[number]] = self.world.sql("SELECT count(*) FROM clusters WHERE status = 'planned'")
        return int(number)

    @property
    def spent(self) -> Decimal:
        [[cents]] = self.world.sql("SELECT coalesce(sum(cents), 0) FROM ledger WHERE kind = 'cost'")
        return Decimal(cents)

    @property
    def held(self) -> tuple[Any, ...]:
        [row] = self.world.sql("SELECT coalesce(sum(credits), 0), coalesce(sum(cents), 0) FROM reservations")
        return tuple(row)

    @property
    def events(self) -> list[tuple[str, str]]:
        rows = self.world.sql(
            "SELECT kind, message FROM run_events WHERE kind ~ '^batch_(s|e|r)' ORDER BY id"
        )
        return [(row[0], row[1]) for row in rows]


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> list[int]:
    statement = "SELECT id FROM clusters WHERE status = 'new' AND id = ANY(%s) ORDER BY id"
    return [row[0] for row in tx._connection.execute(statement, [list(keys)]).fetchall()]


async def process(item: int, tools: Any) -> Note:
    written: Note = await tools.text.generate(Prompt("note", "You write.", f"Note <{item}>.", 200), Note)
    return written


def save(tx: Tx, run: Run, item: int, output: Note) -> Saved:
    tx._connection.execute("UPDATE clusters SET status = 'planned' WHERE id = %s", [item])
    return Saved(created=1)


STAGE: Stage[int, Note] = Stage(
    name="ideas", title="notes", pending=lambda tx, run: [], load=load, process=process, save=save, key=str,
    result_fields={}, charge=lambda run, item: Decimal(2), by_batch=True,
)  # fmt: skip


def tools(engine: TextEngine) -> Any:
    return lambda scope: SimpleNamespace(text=engine.bound(scope, 0.7))
