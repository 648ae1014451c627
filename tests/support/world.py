"""A small world for integration tests: an account with credits, a site, and rows put in by plain SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pressroom.domain.definitions import Account, Site, dump
from pressroom.domain.grants.access import EVERYTHING, Access
from pressroom.domain.run import Run
from pressroom.engine.money import ledger
from pressroom.engine.runs import control
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow
from tests.support.postgres import open_connection


@dataclass
class World:
    """The ids and definitions of what was put in."""

    url: str
    store: Store
    account: Account
    site: Site
    account_id: int
    site_id: int

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement outside the store, committed at once."""
        with open_connection(self.url) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    @property
    def row(self) -> WorkflowRow:
        """The site as stored."""
        return WorkflowRow(
            self.account_id, self.site_id, self.account, self.site, None,
            access=Access(self.account.slug, frozenset({EVERYTHING})),
        )  # fmt: skip

    def run(self, name: str = "manual__1", **changes: Any) -> Run:
        """Open a run of the site."""
        facts = {
            "trigger": "manual", "owner": "tester", "params": {}, "estimate": Decimal(0),
            "definition": self.row.definition, **changes,
        }  # fmt: skip
        with self.store.transaction(self.account_id) as tx:
            state = control.open_run(
                tx, workflow_id=self.site_id, dag_id=self.site.dag_id, dag_run_id=name, **facts
            )
        return Run(
            account=self.account, workflow=self.site, brand=None, id=state.id, account_id=self.account_id,
            workflow_id=self.site_id, params=facts["params"],
        )  # fmt: skip

    def clusters(self, number: int) -> list[int]:
        """New clusters, to be items of a test's stage."""
        rows = self.sql(
            "INSERT INTO clusters (account_id, site_id, name, normalized)"
            " SELECT %s, %s, 'c' || n, 'c' || n FROM generate_series(1, %s) AS n RETURNING id",
            self.account_id, self.site_id, number,
        )  # fmt: skip
        return [row[0] for row in rows]


def make_world(
    url: str, store: Store, *, credits: int = 1000, slug: str = "brew", owner: str = "demo", **site: Any
) -> World:
    """An account (``owner``; made once) with that many credits, and a site."""
    account = Account(slug=owner, name=owner.title())
    definition = Site(account=owner, slug=slug, name=slug.title(), **site)
    with open_connection(url) as connection:
        connection.execute(
            "INSERT INTO accounts (slug, name, definition) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [owner, owner.title(), json.dumps(dump(account))],
        )
        account_id = connection.execute("SELECT id FROM accounts WHERE slug = %s", [owner]).fetchone()
        assert account_id
        connection.execute(
            "INSERT INTO grants (account_id, kind, name, granted_by) VALUES (%s, 'everything', '', 'a test')"
            " ON CONFLICT DO NOTHING",
            [account_id[0]],
        )
        body = dump(definition)
        automation = body.pop("automation")
        site_id = connection.execute(
            "WITH w AS (INSERT INTO workflows (account_id, kind, slug) VALUES (%s, 'site', %s) RETURNING *)"
            " INSERT INTO sites (id, account_id, slug, definition)"
            " SELECT id, account_id, slug, %s FROM w RETURNING id",
            [account_id[0], slug, json.dumps(body)],
        ).fetchone()
        assert site_id
        connection.execute(
            "INSERT INTO automation_configs (site_id, account_id, enabled, frequency, scheduled_time,"
            " timezone, batch_sizes, within_stage_delay, between_stage_delay, concurrency)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [site_id[0], account_id[0], automation["enabled"], automation["frequency"], automation["time"],
             automation["timezone"], json.dumps(automation["batch_sizes"]), automation["within_stage_delay"],
             automation["between_stage_delay"], automation["concurrency"]],
        )  # fmt: skip
    if credits:
        with store.transaction(account_id[0]) as tx:
            ledger.grant(tx, Decimal(credits), entry_key=f"test:{slug}")
    return World(url, store, account, definition, account_id[0], site_id[0])
