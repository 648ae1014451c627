"""A connection that takes batches and has a fallback: who is asked when it is down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.domain.errors import ServiceDown
from pressroom.engine.models.fallbacks import Fallbacks
from pressroom.engine.models.text import TextChain
from pressroom.engine.runs.batch import run_batch
from pressroom.engine.runs.stopping import Stopper
from pressroom.pipelines.stage import Key
from tests.support.airflow_library import airflow_as_library
from tests.support.batch_desk import STAGE, BatchDesk, tools

with airflow_as_library():
    from pressroom.orchestration.tasks.stage import prepare_batches

pytestmark = pytest.mark.integration


def prepare(desk: BatchDesk, keys: Sequence[Key], *, fallbacks: int) -> datetime | None:
    """As a task does, of whose connection this is known already: what it accepts."""

    async def work() -> datetime | None:
        async with desk._model() as model:
            engine, batches = desk._of(model)
            known = SimpleNamespace(takes_batches=model.takes_batches, knows=_yes)
            box: Any = SimpleNamespace(
                run=desk.run, store=desk.world.store, text_models=[known] * (1 + fallbacks), batches=batches,
                bound=tools(engine),
            )  # fmt: skip
            return await prepare_batches(box, STAGE, keys, Stopper())

    return asyncio.run(work())


async def _yes() -> bool:
    return True


def test_a_batch_that_cannot_be_handed_in_is_left_to_the_fallback(batch_desk: BatchDesk) -> None:
    batch_desk.server.down = True
    keys = batch_desk.items(2)
    assert prepare(batch_desk, keys, fallbacks=1) is None
    assert batch_desk.held[1] == 0
    assert batch_desk.world.sql("SELECT status FROM model_batches") == [("refused",)]
    with pytest.raises(ServiceDown):  # without one, the next try comes with a batch
        prepare(batch_desk, keys, fallbacks=0)


def test_what_a_batch_is_at_work_on_is_not_written_by_the_fallback_too(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(2)
    assert prepare(batch_desk, keys, fallbacks=1) is not None
    batch_desk.server.down = True
    with pytest.raises(ServiceDown):
        prepare(batch_desk, keys, fallbacks=1)
    batch_desk.server.down = False
    batch_desk.server.work()
    assert prepare(batch_desk, keys, fallbacks=1) is None
    assert batch_desk.write(keys).done == 2
    assert (batch_desk.server.billed, batch_desk.server.chats) == (2, [])


def test_what_a_batch_brought_is_used_while_its_connection_is_away(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(2)
    assert batch_desk.prepare(keys) is not None
    batch_desk.server.work()
    assert batch_desk.prepare(keys) is None
    batch_desk.world.sql("INSERT INTO connections_away VALUES ('text', now() + interval '1 hour')")
    store = batch_desk.world.store

    async def write() -> int:
        async with batch_desk._model() as model, batch_desk._model(model="other") as other:
            first, _ = batch_desk._of(model)
            second, _ = batch_desk._of(other)
            second.connection, second.in_batches = "other", False
            chain = TextChain([first, second], Fallbacks(store))
            report = await run_batch(
                STAGE, batch_desk.run, keys, store=store, concurrency=2,
                tools_for=lambda scope: SimpleNamespace(text=chain.bound(scope, 0.7)),
            )  # fmt: skip
            return report.done

    assert asyncio.run(write()) == 2
    assert (batch_desk.server.billed, batch_desk.server.chats) == (2, [])
