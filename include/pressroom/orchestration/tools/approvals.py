"""What a person chooses on Airflow's page for an approval, and what it means for the gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pressroom.engine import gates
from pressroom.engine.gates import PageAnswer

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
