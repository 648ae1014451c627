"""A site's articles and image prompts, asked for in the provider's batches: a process that may be killed.

    python -m benchmarks.halved DATABASE_URL SERVER_URL SITE RUN

``benchmarks.spending`` starts it, kills it between a batch and its record, and starts it again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.support.whole_runs import PRICES, connection

from pressroom.adapters.models.openai_batches import OpenAIBatches
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import text_price
from pressroom.domain.run import Run
from pressroom.engine.models.batches import Batches
from pressroom.engine.models.dialects import StoredDialects
from pressroom.engine.models.text import TextEngine
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs.batch import run_batch, workable
from pressroom.pipelines.site import SITE
from pressroom.pipelines.stage import Key, Stage, waiting
from pressroom.pipelines.tools import Tools
from pressroom.store.database import SYSTEM, Store, Tx
from pressroom.store.workflows import workflow
from pressroom.testing import tools as fake_tools

PATIENCE = 2.0
"""Seconds in which every request of a killed process is over."""


async def write(store: Store, server: str, run: Run, *, batched: bool) -> None:
    """Write what waits, in batches or by ordinary calls."""
    for stage in SITE.stages:
        if not stage.by_batch:
            continue
        keys = await store.run(run.account_id, _plan, stage, run)
        settings = connection(server, prices={**PRICES, "batch_share": 0.5}, timeout_seconds=PATIENCE)
        async with OpenAIText(settings, dialects=StoredDialects(store)) as model:
            price = text_price(settings, model.model)
            engine = TextEngine(model, store, price, settings.limits)
            engine.in_batches = batched
            if batched:
                batches = Batches(store, run, engine, model, OpenAIBatches(model), PATIENCE)
                items = await store.run(run.account_id, workable, stage, run, keys)
                due = await batches.prepare(stage, items, _tools(engine, run))
                while due is not None:
                    await asyncio.sleep((due - datetime.now(UTC)).total_seconds())
                    due = await batches.prepare(stage, items, _tools(engine, run))
            report = await run_batch(
                stage, run, keys, store=store, tools_for=_tools(engine, run), concurrency=4, last_try=True
            )
        if report.done < len(keys):
            raise SystemExit(f"{stage.name}: {report.done} of {len(keys)} items were written")


def _plan(tx: Tx, stage: Stage[Any, Any], run: Run) -> list[Key]:
    keys = list(waiting(stage.pending(tx, run)))
    tx.run("plan_stage", run=run.id, stage=stage.name, planned=len(keys), skipped=None)
    return keys


def _tools(engine: TextEngine, run: Run) -> Callable[[CostScope], Tools]:
    quick = fake_tools(run.account, run.workflow)
    return lambda scope: replace(quick, text=engine.bound(scope, 0.7))


def main() -> None:
    """Write in batches."""
    url, server, slug, run_id = sys.argv[1:]
    with Store(url) as store:
        with store.transaction(SYSTEM) as tx:
            row = workflow(tx, f"site/{slug}")
        asyncio.run(write(store, server, row.run(int(run_id)), batched=True))


if __name__ == "__main__":
    main()
