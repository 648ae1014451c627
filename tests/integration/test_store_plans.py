"""Statements are planned for the values that they are called with."""

from __future__ import annotations

from pressroom.engine.runs import reports
from pressroom.engine.runs.reports import JobFilter
from pressroom.store.database import Store


def test_a_statement_that_is_called_often_is_not_prepared_for_any_values(store: Store) -> None:
    """Its filters may be null: one plan for whatever they are would not use an index for what they are."""
    with store.transaction() as tx:
        for _ in range(20):
            reports.jobs(tx, JobFilter(), 51)
        [(prepared,)] = tx._connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchall()
    assert prepared == 0
