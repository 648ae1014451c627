"""Statements are planned for the values that they are called with, and go by indexes."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from pressroom.engine.runs import reports
from pressroom.engine.runs.reports import JobFilter
from pressroom.store.database import Store, statements


def test_a_statement_that_is_called_often_is_not_prepared_for_any_values(store: Store) -> None:
    """Its filters may be null: one plan for whatever they are would not use an index for what they are."""
    with store.transaction() as tx:
        for _ in range(20):
            reports.jobs(tx, JobFilter(), 51)
        [(prepared,)] = tx._connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchall()
    assert prepared == 0


@pytest.mark.parametrize(
    ("name", "facts", "index"),
    [
        ("flow_forgive", {"workflow": 1, "stage": None}, "flow_claims_item"),
        ("claim_commit", {"flow": 1, "item": 1}, "flow_claims_item"),
        ("claim_release", {"flow": 1, "item": 1}, "flow_claims_item"),
        ("last_definition_change", {"targets": ["site:1"]}, "audit_log_target"),
        ("audit_list",
         {"target": "site:1", "actor": None, "action": None, "before": None, "limit": 51},
         "audit_log_target"),
        ("text_kept",
         {"kind": "article", "number": 1, "version": "generated", "title": "", "body": "", "by": ""},
         "audit_log_target"),
    ],
)  # fmt: skip
def test_what_is_asked_of_one_thing_goes_by_an_index(
    database_url: str, name: str, facts: dict[str, Any], index: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO accounts (slug, name, definition) VALUES ('full', 'Full', '{}')")
        [(account,)] = connection.execute("SELECT max(id) FROM accounts").fetchall()
        connection.execute(
            "SET session_replication_role = replica"
        )  # rows of flows and items that are not there
        connection.execute(
            "INSERT INTO flow_claims (account_id, flow_id, feed, source_id, item_id)"
            " SELECT %s, 1, '', number::text, number FROM generate_series(1, 5000) AS number", [account],
        )  # fmt: skip
        connection.execute(
            "INSERT INTO audit_log (account_id, actor, action, target, details)"
            " SELECT %s, 'user:ann', 'site.update', 'site:' || number, '{\"after\": {}}'"
            " FROM generate_series(1, 5000) AS number", [account],
        )  # fmt: skip
        connection.execute("ANALYZE flow_claims, audit_log")
        rows = connection.execute(f"EXPLAIN {statements()[name]}", {"account": account, **facts}).fetchall()
        plan = "\n".join(row[0] for row in rows)
        connection.rollback()
    assert index in re.findall(r"Index (?:Only )?Scan (?:using|on) (\w+)", plan), plan
