"""Answering a gate that waits on Airflow's page for somebody who answers it through Pressroom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pressroom.api.kit.ports import Airflow
from pressroom.engine import gates


async def answer_through_airflow(
    airflow: Airflow, account_id: int, task: Mapping[str, Any], handed: gates.Handed
) -> None:
    """Give Airflow the answer, and put on record who gave it. Raises RunConflict when there was one already.

    Who it was is kept before Airflow is asked: the task takes nothing from Pressroom's own user without it.
    """
    store = airflow.store()
    number = await store.run(account_id, gates.hand_over, handed, airflow.answers_as())
    await airflow.answer(task, handed.outcome.capitalize(), {gates.EDIT: handed.text})
    await store.run(account_id, gates.handed_over, number)
