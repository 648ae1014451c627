"""What a person chooses on Airflow's page for an approval, and what it means for the gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.execution_time.hitl import HITLUser

from pressroom.engine import gates
from pressroom.engine.gates import PageAnswer
from pressroom.store.database import Tx

SERVICE_ID = "pressroom"
"""Pressroom's own user under SimpleAuthManager. It also keeps a list of respondents from being empty: then
Airflow lets everybody answer.
"""

APPROVE, REJECT = "Approve", "Reject"
"""The options of the page."""


def page_answer(event: Mapping[str, Any]) -> PageAnswer:
    """The answer in the event with which Airflow resumes a task that waited for a person."""
    user = event["responded_by_user"]
    return PageAnswer(
        outcome=gates.APPROVE if list(event["chosen_options"]) == [APPROVE] else gates.REJECT,
        by=str(user["name"] or user["id"]) if user else None,
        data=dict(event["params_input"] or {}),
        at=event["responded_at"],
    )


def respondents(tx: Tx) -> list[HITLUser]:
    """The users whom Airflow may let answer the account's gates. Never empty."""
    people = [HITLUser(id=row["id"], name=row["name"]) for row in tx.rows("gate_respondents")]
    return [*people, HITLUser(id=SERVICE_ID, name=SERVICE_ID)]
