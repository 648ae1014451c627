"""Looks once at batches whose runs are over: a process that the scheduler's sweep begins.

    python -m pressroom.orchestration.server.collect_batches ACCOUNT:BATCH …

What has ended is booked to its run and kept, so that the next run finds the answers; what a cancelled run
left is cancelled first. It does nothing that cannot be done twice, or beside a task that takes the batch up.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass

from pressroom.adapters.models.openai_batches import OpenAIBatches
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import text_price
from pressroom.domain.errors import PressroomError
from pressroom.engine.models.dialects import StoredDialects
from pressroom.engine.models.open_batches import Batch, OpenBatches
from pressroom.engine.models.text import TextEngine
from pressroom.orchestration.server.connections import OF_SERVER
from pressroom.orchestration.tools.connections import Connections
from pressroom.store.database import Store, Tx

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StrayBatch(Batch):
    """A batch whose run is over. ``run_status``: how it ended."""

    run_status: str


async def collect(store: Store, connections: Connections, account: int, number: int) -> None:
    """Look at one batch, if it still is one whose run is over. Raises TransientError, ConfigurationError or
    PermanentError; then it is as it was.
    """

    def find(tx: Tx) -> StrayBatch | None:
        return tx.maybe("stray_batch", StrayBatch, batch=number)

    batch = await store.run(account, find)
    if batch is None:
        return
    settings = connections.model(batch.connection)
    async with OpenAIText(settings, batch.model, StoredDialects(store)) as model:
        engine = TextEngine(model, store, text_price(settings, model.model), settings.limits)
        patience = settings.timeout_seconds + 1
        batches = OpenBatches(store, account, engine, model, OpenAIBatches(model), patience)
        await (batches.stop(batch) if batch.run_status == "cancelled" else batches.advance(batch))


async def _collect_all(store: Store, batches: list[tuple[int, int]]) -> None:
    for account, number in batches:
        try:
            await collect(store, OF_SERVER, account, number)
        except PressroomError as error:
            log.warning("the provider's batch %s, whose run is over, is looked at again: %s", number, error)


def main() -> None:
    """Look at the batches of the command line."""
    batches = [
        (int(account), int(number)) for account, _, number in (each.partition(":") for each in sys.argv[1:])
    ]
    with Store(OF_SERVER.database_url(), max_size=2) as store:
        asyncio.run(_collect_all(store, batches))


if __name__ == "__main__":
    main()
