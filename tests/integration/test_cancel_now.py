"""A run that is cancelled at once, over the API, while a model does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from pydantic import BaseModel

from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.domain.model import Prompt
from pressroom.domain.run import Run
from pressroom.engine.models.text import TextEngine
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs.batch import Report, Stop, run_batch
from pressroom.engine.runs.stopping import Stopper
from pressroom.pipelines.stage import Saved, Stage
from pressroom.pipelines.tools import Tools
from tests.support.control_world import Control
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.waiting import until

pytestmark = pytest.mark.integration


class Written(BaseModel):
    text: str


@pytest.fixture
def server() -> Iterator[ScriptedOpenAI]:
    with ScriptedOpenAI() as running:
        running.script.update({"rules": [{"action": "hang", "match": "Write about"}]})
        yield running


async def write(
    control: Control, server: ScriptedOpenAI, run: Run, clusters: list[int], stopper: Stopper | None = None
) -> Report:
    """A batch whose every item asks the model once, for two credits."""
    prices = {"input_cents_per_million": 100_000, "output_cents_per_million": 100_000}
    settings = ConnectionSettings.from_connection(
        "text", host=server.base_url, password=None,
        extra={"model": "scripted-1", "prices": prices, "timeout_seconds": 120},
    )  # fmt: skip
    async with OpenAIText(settings) as model:
        engine = TextEngine(model, control.world.store, text_price(settings, model.model), settings.limits)

        # The first call ever to a model goes alone, so one is made before.
        known = CostScope(run.account_id, run.workflow_id, run.id, "ideas", "0")
        await engine.bound(known, 0.7).generate(Prompt("idea", "", "Who are you?", max_tokens=50), Written)

        async def process(cluster: int, tools: Tools) -> Written:
            scope = CostScope(run.account_id, run.workflow_id, run.id, "ideas", str(cluster))
            prompt = Prompt("idea", "You write.", f"Write about {cluster}.", max_tokens=500)
            return await engine.bound(scope, 0.7).generate(prompt, Written)

        stage: Stage[int, Written] = Stage(
            name="ideas", title="Ideas", pending=lambda tx, run: [], load=lambda tx, run, keys: clusters,
            process=process, save=lambda tx, run, item, output: Saved(), key=str, result_fields={},
            charge=lambda run, item: Decimal(2),
        )  # fmt: skip
        return await run_batch(
            stage, run, list(clusters), store=control.world.store, concurrency=3, stopper=stopper,
            tools_for=lambda scope: None,  # type: ignore[arg-type,return-value]
        )  # fmt: skip


async def test_calls_in_flight_are_stopped_booked_and_their_items_wait(
    control: Control, server: ScriptedOpenAI
) -> None:
    clusters, run = control.world.clusters(3), control.world.run()
    with control.world.store.transaction(run.account_id) as tx:
        tx.run("plan_stage", run=run.id, stage="ideas", planned=3, skipped=None)
    writing = asyncio.create_task(write(control, server, run, clusters))
    await until(lambda: server.script.in_flight >= 3 or writing.done())
    assert not writing.done(), writing.result()
    began = time.monotonic()
    await control("POST", f"/pipeline/jobs/job_{run.id}/cancel", json={"now": True}, expect=200)
    report = await writing
    assert time.monotonic() - began < 10
    assert (report.stop, report.done, report.failed, report.waiting) == (Stop.CANCELLED, 0, 0, [])
    world = control.world
    assert (
        world.sql("SELECT outcome, cents > 50 FROM ai_calls WHERE outcome <> 'ok'")
        == [("CancelledError", True)] * 3
    )
    assert world.sql("SELECT sum(cents) > 150 FROM ledger WHERE kind = 'cost'") == [(True,)]
    assert world.sql("SELECT count(*) FROM ledger WHERE kind = 'charge'") == [(0,)]
    assert world.sql("SELECT count(*) FROM reservations WHERE item <> '0'") == [(0,)]
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    shown = await control.get(f"/pipeline/jobs/job_{run.id}/logs", stage="ideas", level="warning")
    assert [line["kind"] for line in shown["lines"]] == ["item_stopped"] * 3
