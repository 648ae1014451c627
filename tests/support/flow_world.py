"""A small world for flows: an account with credits, flows in it, their runs, items and steps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from pressroom.domain.definitions import Account, dump
from pressroom.domain.errors import PermanentError
from pressroom.domain.fetching import FetchSettings
from pressroom.domain.flows import Flow
from pressroom.domain.grants.access import EVERYTHING, Access
from pressroom.domain.packets import FindClaimed, KnownIds, SourceItem, newest_unclaimed, source_item
from pressroom.domain.run import Run
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import Report, run_batch
from pressroom.pipelines.flow.items import FlowItem, known_of, load_items
from pressroom.pipelines.flow.pipeline import flow_pipeline
from pressroom.pipelines.stage import Pipeline
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow
from pressroom.testing import FakeImages, FakeText, MemoryMedia
from pressroom.testing import tools as fake_tools
from pressroom.testing_flows import FakeTarget
from tests.support.ledger_outside import LedgerOutside
from tests.support.postgres import open_connection

FEED: dict[str, Any] = {"type": "rss", "url": "https://example.org/feed", "cap": 10}
FETCH: dict[str, Any] = {"name": "read", "type": "fetch", "source": FEED}
WRITE = {"name": "write", "type": "ai", "prompt": "Write about {{ item.title | data }}"}
BLOG = {"name": "blog", "type": "publish", "to": "blogs"}
AUTO = BLOG | {"mode": "auto"}
PING = {"name": "tell", "type": "ping", "connection": "hook"}
LAST = {"name": "last", "type": "ping", "connection": "hook"}


def entries(*names: str) -> list[SourceItem]:
    """Entries of a feed, one for each name, which is its id too."""
    return [source_item(name, title=name.title(), text=f"All about {name}.") for name in names]


class FlowOutside(LedgerOutside):
    """Fakes, but for the publication ledger and for what a flow has taken up."""

    def __init__(self, world: FlowWorld, scope: CostScope) -> None:
        super().__init__(world.store, scope)
        self.sources = list(world.sources)
        self.targets = world.targets
        self._world = world

    async def known(self, ids: Sequence[str], also: Sequence[str] = ()) -> KnownIds:
        """As the database has it."""
        with self._world.store.transaction(self._scope.account_id) as tx:
            return known_of(tx, self._scope.workflow_id or 0, self._world.flow, [*ids, *also])

    async def fetch(self, source: FetchSettings, known: FindClaimed) -> Sequence[SourceItem]:
        """As every source does it."""
        return await newest_unclaimed(self.sources, source.cap, known)


@dataclass
class FlowWorld:
    """One flow of the account ``demo``. ``sources``: the feed; ``targets``: by handler and connection."""

    url: str
    store: Store
    account: Account
    account_id: int
    flow: Flow
    flow_id: int
    sources: list[SourceItem] = field(default_factory=list)
    targets: dict[tuple[str, str], FakeTarget] = field(default_factory=dict)
    text: FakeText = field(default_factory=FakeText)
    images: FakeImages = field(default_factory=FakeImages)
    media: MemoryMedia = field(default_factory=MemoryMedia)

    @property
    def row(self) -> WorkflowRow:
        """The flow as stored."""
        return WorkflowRow(
            self.account_id, self.flow_id, self.account, self.flow, None,
            access=Access(self.account.slug, frozenset({EVERYTHING})),
        )  # fmt: skip

    @property
    def pipeline(self) -> Pipeline:
        """The flow's."""
        return flow_pipeline(self.flow)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement outside the store, committed at once."""
        with open_connection(self.url) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def member(self, name: str, role: str) -> None:
        """Make somebody a member of the account."""
        self.sql("INSERT INTO members VALUES (%s, %s, %s)", self.account_id, name, role)

    def run(self, name: str = "manual__1", **params: Any) -> Run:
        """Open a run, or open it again under the same name."""
        with self.store.transaction(self.account_id) as tx:
            state = control.open_run(
                tx, workflow_id=self.flow_id, dag_id=self.flow.dag_id, dag_run_id=name, trigger="manual",
                owner="tester", params=params, estimate=Decimal(0), definition=self.row.definition,
                exclusive=self.pipeline.exclusive,
            )  # fmt: skip
        return Run(self.account, self.flow, None, state.id, self.account_id, self.flow_id, params)

    def close(self, run: Run) -> str:
        """End a run. Returns its final status."""
        with self.store.transaction(self.account_id) as tx:
            return control.close_run(tx, run.id, failed=None)

    def tools_for(self, scope: CostScope) -> Tools:
        """Fakes around the real ledger."""
        made = fake_tools(
            self.account, self.flow, text=self.text, images=self.images, media=self.media,
            outside=FlowOutside(self, scope),
        )  # fmt: skip
        return replace(made, run_id=scope.run_id or 0)

    def take(self, run: Run) -> list[int]:
        """The opening stage: the ids of the run's items."""
        stage = self.pipeline.stages[0]
        with self.store.transaction(self.account_id) as tx:
            found = stage.pending(tx, run)
            keys = found if isinstance(found, Sequence) else []
            tx.run("plan_stage", run=run.id, stage=stage.name, planned=len(keys), skipped=None)
        self._batch(stage, run, keys)
        with self.store.transaction(self.account_id) as tx:
            return tx.values("flow_items_of_run", run=run.id)

    def step(self, run: Run, name: str, item: int, **options: Any) -> Report:
        """One step of one item, as its task would work it."""
        stage = self.pipeline.stage(name)
        with self.store.transaction(self.account_id) as tx:
            tx.run("stage_begun", run=run.id, stage=name)
        report = self._batch(stage, run, [item], **options)
        with self.store.transaction(self.account_id) as tx:
            tx.run("finish_batch", run=run.id, stage=name, batches=0, partial=report.reason or None)
        return report

    def work(self, run: Run) -> list[int]:
        """Everything: the items, and every step of each. Gates are not for this."""
        found = self.take(run)
        for item in found:
            for stage in self.pipeline.stages[1:]:
                self.step(run, stage.name, item)
        return found

    def at(self, run: Run, name: str, item: int) -> FlowItem | None:
        """The item, when it is at that step."""
        with self.store.transaction(self.account_id) as tx:
            return next(iter(load_items(tx, run, name, [item])), None)

    def state(self, item: int) -> tuple[str, str]:
        """(status, source id) of an item."""
        [row] = self.sql("SELECT status, source_id FROM flow_items WHERE id = %s", item)
        return row[0], row[1]

    def packets(self, item: int) -> list[tuple[int, str, str]]:
        """(id, step, kind) of an item's packets, in order."""
        return self.sql("SELECT id, step, kind FROM packets WHERE item_id = %s ORDER BY id", item)

    def events(self, kind: str) -> list[str]:
        """Messages of the events of a kind."""
        return [
            row[0] for row in self.sql("SELECT message FROM run_events WHERE kind = %s ORDER BY at", kind)
        ]

    def _batch(self, stage: Any, run: Run, keys: Sequence[Any], **options: Any) -> Report:
        return asyncio.run(
            run_batch(stage, run, keys, store=self.store, tools_for=self.tools_for, concurrency=1, **options)
        )


Make = Callable[..., FlowWorld]
"""Makes a flow of these steps; by keyword: what else is in its definition."""


def refused(*_: Any) -> Exception:
    """What a model says that will never do it."""
    return PermanentError("the model cannot do it")


def broken(world: FlowWorld) -> None:
    """From now on the model refuses."""
    world.text = FakeText({"TextAnswer": refused()})


def mended(world: FlowWorld) -> None:
    """From now on it answers."""
    world.text = FakeText()


def flow_maker(url: str, store: Store) -> Make:
    """What makes flows of steps in this database."""

    def made(*steps: dict[str, Any], **changes: Any) -> FlowWorld:
        return make_flow(url, store, *steps, **changes)

    return made


def make_flow(
    url: str, store: Store, *steps: dict[str, Any], slug: str = "news", **changes: Any
) -> FlowWorld:
    """The account ``demo`` (made once), and a flow of these steps."""
    account = Account(slug="demo", name="Demo")
    facts = {"account": "demo", "slug": slug, "name": slug.title(), "steps": list(steps), **changes}
    flow = Flow.model_validate(facts)
    with open_connection(url) as connection:
        made = connection.execute(
            "INSERT INTO accounts (slug, name, definition) VALUES ('demo', 'Demo', %s)"
            " ON CONFLICT DO NOTHING RETURNING id",
            [json.dumps(dump(account))],
        ).fetchone()
        [account_id] = connection.execute("SELECT id FROM accounts WHERE slug = 'demo'").fetchone() or [0]
        [flow_id] = connection.execute(
            "WITH w AS (INSERT INTO workflows (account_id, kind, slug) VALUES (%s, 'flow', %s) RETURNING *)"
            " INSERT INTO flows (id, account_id, slug, status, definition)"
            " SELECT id, account_id, slug, %s, %s FROM w RETURNING id",
            [account_id, slug, flow.status, json.dumps(dump(flow))],
        ).fetchone() or [0]
    if made:
        with store.transaction(account_id) as tx:
            ledger.grant(tx, Decimal(1000), entry_key="test:flows")
    return FlowWorld(url, store, account, account_id, flow, flow_id)
