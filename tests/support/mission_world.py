"""A small world for the mission's stages: an account with credits, a mission, its runs and cycles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pressroom.domain.definitions import Account, BrandContext, dump
from pressroom.domain.grants.access import EVERYTHING, Access
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.engine.money import ledger
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import Report, run_batch
from pressroom.pipelines.mission.content import STAGE as CONTENT
from pressroom.pipelines.mission.strategy import STAGE as STRATEGY
from pressroom.pipelines.stage import Key, Skip, Stage
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx
from pressroom.store.workflows import WorkflowRow
from pressroom.testing import FakeImages, FakeText, FakeTools, MemoryMedia, connected
from pressroom.testing import tools as fake_tools
from tests.support.postgres import open_connection

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday, midnight in UTC."""


@dataclass
class MissionWorld:
    """The ids and definitions of what was put in."""

    url: str
    store: Store
    account: Account
    mission: Mission
    brand: BrandContext | None
    account_id: int
    mission_id: int

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement outside the store, committed at once."""
        with open_connection(self.url) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def tx(self, do: Callable[[Tx], Any]) -> Any:
        """What it returns, in a transaction of its own."""
        with self.store.transaction(self.account_id) as opened:
            return do(opened)

    def statuses(self, table: str) -> dict[str, int]:
        """Rows by status."""
        return dict(self.sql(f"SELECT status, count(*)::int FROM {table} GROUP BY status"))  # noqa: S608

    def publication(self, run: Run, post: int, status: str) -> None:
        """What the publication ledger says about a post."""
        self.sql(
            "INSERT INTO publications (account_id, workflow_id, run_id, content, target, status,"
            " content_hash, scheduled_for, external_id)"
            " VALUES (%s, %s, %s, %s, 'c/twitter', %s, 'h', now(), %s)",
            self.account_id, self.mission_id, run.id, f"post:{post}", status,
            f"x{post}" if status in ("accepted", "confirmed") else None,
        )  # fmt: skip

    @property
    def row(self) -> WorkflowRow:
        """The mission as stored."""
        return WorkflowRow(
            self.account_id, self.mission_id, self.account, self.mission, self.brand,
            access=Access(self.account.slug, frozenset({EVERYTHING})),
        )  # fmt: skip

    def run(self, name: str = "manual__1", **changes: Any) -> Run:
        """Open a run of the mission. The one before it must be closed; see ``close``."""
        facts = {
            "trigger": "manual", "owner": "tester", "params": {}, "estimate": Decimal(0),
            "definition": self.row.definition, **changes,
        }  # fmt: skip
        with self.store.transaction(self.account_id) as tx:
            state = control.open_run(
                tx, workflow_id=self.mission_id, dag_id=self.mission.dag_id, dag_run_id=name, **facts
            )
        return Run(
            account=self.account, workflow=self.mission, brand=self.brand, id=state.id,
            account_id=self.account_id, workflow_id=self.mission_id, params=facts["params"],
        )  # fmt: skip

    def close(self, run: Run, *, failed: str | None = None) -> str:
        """End a run. Returns its final status."""
        with self.store.transaction(self.account_id) as tx:
            return control.close_run(tx, run.id, failed=failed)

    def cycle(self, run: Run, start: datetime = START, days: int = 7) -> int:
        """A cycle of the run, as intake leaves it: no strategy yet. Returns its id."""
        end = start + timedelta(days=days)
        brand = None if self.brand is None else json.dumps(dump(self.brand))
        self.sql(
            "UPDATE missions SET started_at = coalesce(started_at, %s) WHERE id = %s", start, self.mission_id
        )
        [(found,)] = self.sql(
            "INSERT INTO cycles (account_id, mission_id, run_id, number, starts_at, ends_at, closes_at,"
            " context, brand) SELECT %s, %s, %s, count(*) + 1, %s, %s, %s, %s, %s FROM cycles"
            " WHERE mission_id = %s AND withdrawn_at IS NULL RETURNING id",
            self.account_id, self.mission_id, run.id, start, end, end,
            json.dumps({"earliest_slot": start.isoformat()}), brand, self.mission_id,
        )  # fmt: skip
        return int(found)

    def tools(
        self,
        text: FakeText | None = None,
        *,
        now: datetime = START - timedelta(hours=1),
        images: FakeImages | None = None,
        media: MemoryMedia | None = None,
    ) -> FakeTools:
        """A stage's tools, all of them fakes, at a time."""
        return fake_tools(
            self.account,
            self.mission,
            self.brand,
            text=text,
            images=images,
            media=media,
            social=connected(now),
        )

    def pending(self, stage: Stage[Any, Any], run: Run) -> Sequence[Key]:
        """What waits for a stage; what it skips with a reason is nothing."""
        with self.store.transaction(self.account_id) as tx:
            found = stage.pending(tx, run)
        return [] if isinstance(found, Skip) else found

    def work(self, stage: Stage[Any, Any], run: Run, tools: Tools | None = None, **options: Any) -> Report:
        """Work through everything that waits for a stage, in one batch."""
        chosen = tools or self.tools()
        return asyncio.run(
            run_batch(
                stage, run, self.pending(stage, run), store=self.store, tools_for=lambda scope: chosen,
                **{"concurrency": 8, **options},
            )
        )  # fmt: skip

    def output(self, stage: Stage[Any, Any], run: Run) -> Any:
        """The stage's output in its public form, as its JSON reads. None: nothing yet."""
        assert stage.output
        with self.store.transaction(self.account_id) as tx:
            return stage.output(tx, run)

    def undo(self, stage: Stage[Any, Any], run: Run, tools: Tools | None = None) -> Any:
        """Undo a stage. Returns what it says that it did."""
        assert stage.undo
        return asyncio.run(stage.undo(self.store, run, tools or self.tools()))  # type: ignore[arg-type]


def started(world: MissionWorld, days: int = 7, **changes: Any) -> Run:
    """A run with a cycle and its strategy. ``changes``: of the tools."""
    run = world.run()
    world.cycle(run, days=days)
    world.work(STRATEGY, run, world.tools(**changes))
    return run


def wrote(world: MissionWorld, run: Run, text: FakeText | None = None) -> list[int]:
    """Write the run's posts. Returns the ids of all there are, in the order of their slots."""
    world.work(CONTENT, run, world.tools(text))
    rows = world.sql(
        "SELECT posts.id FROM posts JOIN slots ON slots.id = posts.slot_id WHERE posts.status <> 'archived'"
        " ORDER BY slots.at, posts.id"
    )
    return [row[0] for row in rows]


def post_answer(text: str, **changes: Any) -> dict[str, Any]:
    """What a model may answer for a post."""
    return {
        "headline": "A headline", "texts": [text, "More of it.", "The end of it."], "cta": "",
        "hashtags": ["tag"], "picture": "A cup on a table", "alternative": "", "confidence": 70, **changes,
    }  # fmt: skip


def two_pillars(url: str, store: Store) -> Callable[..., MissionWorld]:
    """What makes missions with two pillars, unless it is told others."""
    return lambda **facts: make_mission(url, store, **{"pillars": ["Thought Leadership", "Updates"], **facts})


def make_mission(
    url: str,
    store: Store,
    *,
    slug: str = "launch",
    credits: int = 1000,
    brand: BrandContext | None = None,
    **mission_fields: Any,
) -> MissionWorld:
    """An account ``demo`` (made once) with so many credits, and an active mission on twitter and linkedin."""
    account = Account(slug="demo", name="Demo")
    facts = {
        "name": slug.title(),
        "objectives": ["be known"],
        "platforms": ["twitter", "linkedin"],
        "status": "active",
        "brand": brand.slug if brand else None,
        **mission_fields,
    }
    mission = Mission(account="demo", slug=slug, **facts)
    with open_connection(url) as connection:
        connection.execute(
            "INSERT INTO accounts (slug, name, definition) VALUES ('demo', 'Demo', %s)"
            " ON CONFLICT DO NOTHING",
            [json.dumps(dump(account))],
        )
        [account_id] = connection.execute("SELECT id FROM accounts WHERE slug = 'demo'").fetchone() or [0]
        brand_id = None
        if brand is not None:
            [brand_id] = connection.execute(
                "INSERT INTO brand_contexts (account_id, slug, definition) VALUES (%s, %s, %s) RETURNING id",
                [account_id, brand.slug, json.dumps(dump(brand))],
            ).fetchone() or [0]
        [mission_id] = connection.execute(
            "WITH w AS (INSERT INTO workflows (account_id, kind, slug) VALUES (%s, 'mission', %s)"
            " RETURNING *)"
            " INSERT INTO missions (id, account_id, slug, status, brand_context_id, definition)"
            " SELECT id, account_id, slug, %s, %s, %s FROM w RETURNING id",
            [account_id, slug, mission.status, brand_id, json.dumps(dump(mission))],
        ).fetchone() or [0]
    if credits:
        with store.transaction(account_id) as tx:
            ledger.grant(tx, Decimal(credits), entry_key=f"test:{slug}")
    return MissionWorld(url, store, account, mission, brand, account_id, mission_id)
