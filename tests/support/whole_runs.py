"""A site's run and a mission's, from the first stage to the last, on the real SDK, engine, ledger and store.

Each stage has a model client of its own, as each task of a DAG has: what it knows of the server it reads from
the store. What is not of the model is quick: pictures of one pixel, a simulated scheduler of posts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import psycopg

from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.domain.definitions import ArticleSettings, ImageSettings
from pressroom.domain.run import Run
from pressroom.domain.text import normalize
from pressroom.engine.models.dialects import StoredDialects
from pressroom.engine.models.text import TextEngine
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs.batch import Report, run_batch
from pressroom.pipelines.mission.pipeline import MISSION
from pressroom.pipelines.site import SITE
from pressroom.pipelines.stage import Key, Pipeline, Stage, waiting
from pressroom.pipelines.tools import Social, Tools
from pressroom.store.database import Store
from pressroom.testing import FakeTools
from pressroom.testing import tools as fake_tools
from tests.support.ledger_outside import LedgerOutside
from tests.support.metricool_world import simulated
from tests.support.mission_world import make_mission
from tests.support.posts import QUICK
from tests.support.world import make_world

PRICES = {
    "input_cents_per_million": 1000, "cached_input_cents_per_million": 100,
    "output_cents_per_million": 2000,
}  # fmt: skip
KEYWORDS = (
    "pour over coffee", "pour over ratio", "pour over kettle", "cold brew coffee", "cold brew ratio",
    "cold brew concentrate",
)  # fmt: skip
TRIES = 3
"""What passes is tried again, as Airflow would, so often in all."""


def connection(base_url: str, **extra: Any) -> ConnectionSettings:
    """The connection to a scripted server."""
    more = {"model": "scripted-1", "prices": PRICES, "timeout_seconds": 10, **extra}
    return ConnectionSettings.from_connection("text", host=base_url, password="sk-test-12345678", extra=more)


@dataclass
class WholeRun:
    """What became of a run: its reports, and what was booked of it."""

    url: str
    reports: list[tuple[str, Report]] = field(default_factory=list)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Look at a table."""
        with psycopg.connect(self.url, autocommit=True) as open_connection:
            return open_connection.execute(statement).fetchall()

    @property
    def done(self) -> dict[str, int]:
        """Items that each stage finished."""
        counts: dict[str, int] = {}
        for stage, report in self.reports:
            counts[stage] = counts.get(stage, 0) + report.done
        return counts

    @property
    def failed(self) -> list[tuple[Any, ...]]:
        """Failures of items that are on record."""
        return self.sql("SELECT stage, item, error_class, error FROM item_failures")

    @property
    def outcomes(self) -> list[str]:
        """How each call of the model was booked, those answered from the cache left out."""
        rows = self.sql("SELECT outcome FROM ai_calls WHERE outcome <> 'cached' ORDER BY id")
        return [row[0] for row in rows]

    @property
    def spent(self) -> Decimal:
        """Cents in the ledger."""
        [[cents]] = self.sql("SELECT coalesce(sum(cents), 0) FROM ledger")
        return Decimal(cents)

    @property
    def wasted(self) -> list[tuple[Any, ...]]:
        """Outcome, tokens and cents of each call that was paid, and whose answer was not used."""
        return self.sql(
            "SELECT outcome, prompt_tokens, completion_tokens, cents FROM ai_calls"
            " WHERE outcome <> 'ok' AND cents > 0 ORDER BY id"
        )

    @property
    def useful(self) -> Decimal:
        """Cents of the calls whose answer was used."""
        [[cents]] = self.sql("SELECT coalesce(sum(cents), 0) FROM ai_calls WHERE outcome = 'ok'")
        return Decimal(cents)

    @property
    def held(self) -> Decimal:
        """Cents that are still held."""
        [[cents]] = self.sql("SELECT coalesce(sum(cents), 0) FROM reservations")
        return Decimal(cents)


async def run_site(
    url: str, store: Store, settings: ConnectionSettings, *, keywords: tuple[str, ...] = KEYWORDS, **site: Any
) -> WholeRun:
    """Keywords become articles that wait for review."""
    world = make_world(
        url, store, credits=5000,
        **{"article": ArticleSettings(ideas_per_cluster=1, target_words=220),
           "images": ImageSettings(per_article=2, width=320, height=256), **site},
    )  # fmt: skip
    for text in keywords:
        world.sql(
            "INSERT INTO keywords (account_id, site_id, text, normalized) VALUES (%s, %s, %s, %s)",
            world.account_id, world.site_id, text, normalize(text),
        )  # fmt: skip
    whole = WholeRun(url)
    quick = fake_tools(world.account, world.site)
    stages = _Stages(store, world.run(), settings, whole, lambda scope: quick)
    await stages.go(SITE)
    return whole


async def run_mission(url: str, store: Store, settings: ConnectionSettings, **mission: Any) -> WholeRun:
    """One cycle: its posts are planned, written, scheduled, measured and learned from."""
    facts = {
        "constraints": {"posts_per_day": 2}, "duration_days": 2, "cycle_days": 2,
        "platforms": ["twitter"], **mission,
    }  # fmt: skip
    world = make_mission(url, store, credits=5000, **facts)
    whole = WholeRun(url)
    async with simulated() as outside:
        social = Social(outside.metrics, outside.metrics)

        def quick(scope: CostScope) -> FakeTools:
            ledger = LedgerOutside(store, scope, lambda _: outside.target, QUICK)
            return fake_tools(world.account, world.mission, social=social, outside=ledger)

        stages = _Stages(store, world.run(), settings, whole, quick)
        await stages.go(MISSION, lambda: outside.advance(hours=12))
    return whole


@dataclass
class _Stages:
    store: Store
    run: Run
    settings: ConnectionSettings
    whole: WholeRun
    quick: Callable[[CostScope], FakeTools]

    async def go(self, pipeline: Pipeline, let_time_pass: Callable[[], None] | None = None) -> None:
        for stage in pipeline.stages:
            if stage.poll is not None and let_time_pass is not None:
                scope = CostScope(self.run.account_id, self.run.workflow_id, self.run.id, stage.name, "all")
                while await stage.poll(self.store, self.run, self.quick(scope)) is not None:
                    let_time_pass()
            else:
                await self._work(stage)

    async def _work(self, stage: Stage[Any, Any]) -> None:
        for attempt in range(TRIES):
            keys = await self.store.run(self.run.account_id, self._plan, stage)
            if not keys:
                return
            async with OpenAIText(self.settings, dialects=StoredDialects(self.store)) as model:
                price = text_price(self.settings, model.model)
                engine = TextEngine(model, self.store, price, self.settings.limits)
                report = await run_batch(
                    stage, self.run, keys, store=self.store, tools_for=self._tools(engine), concurrency=4,
                    last_try=attempt == TRIES - 1,
                )  # fmt: skip
            self.whole.reports.append((stage.name, report))
            if not report.waiting:
                return

    def _plan(self, tx: Any, stage: Stage[Any, Any]) -> list[Key]:
        keys = list(waiting(stage.pending(tx, self.run)))
        tx.run("plan_stage", run=self.run.id, stage=stage.name, planned=len(keys), skipped=None)
        return keys

    def _tools(self, engine: TextEngine) -> Callable[[CostScope], Tools]:
        temperature = self.run.workflow.text.temperature
        return lambda scope: replace(self.quick(scope), text=engine.bound(scope, temperature))


def cents_of(usages: list[Mapping[str, Any]]) -> Decimal:
    """What a provider charges for its answers by their usage, by ``PRICES``; thoughts are output."""
    million = Decimal(1_000_000)
    total = Decimal(0)
    for usage in usages:
        details = usage.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens", usage.get("prompt_cache_hit_tokens", 0))
        answered = usage["total_tokens"] - usage["prompt_tokens"]
        total += (usage["prompt_tokens"] - cached) * Decimal(1000) / million
        total += cached * Decimal(100) / million + answered * Decimal(2000) / million
    return total
