"""Answers that Airflow would forget: those that come in the moment in which a task parks.

Until the scheduler has heard that the task's worker is free, Airflow takes an answered task for one that was
killed. It tries it again, and a task that asks once more voids the answer. So the sweep gives it to the gate
first.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select, tuple_, update

from pressroom.domain.errors import PressroomError
from pressroom.engine import gates
from pressroom.orchestration.tools.approvals import page_answer
from pressroom.store.database import Store

log = logging.getLogger(__name__)


def keep(store: Store, accounts: Mapping[tuple[str, str], int]) -> None:
    """Record the answers that tasks of these DAG runs have in Airflow while they wait for another try.

    ``accounts``: DAG and DAG run → account.
    """
    if not accounts:
        return
    with create_session() as session:
        answered = session.execute(
            select(
                TaskInstance.dag_id,
                TaskInstance.run_id,
                TaskInstance.task_id,
                TaskInstance.map_index,
                HITLDetail,
            )
            .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
            .where(
                TaskInstance.state == TaskInstanceState.UP_FOR_RETRY,
                HITLDetail.responded_at.is_not(None),
                tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(accounts),
            )
        )
        for dag_id, run_id, task_id, map_index, detail in answered.all():
            task = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
            try:
                with store.transaction(accounts[dag_id, run_id]) as tx:
                    kept = gates.forgotten_answer(tx, task, page_answer(detail.as_resume_event_payload()))
            except PressroomError as error:
                log.warning("the answer to %s of %s is not taken: %s", task_id, run_id, error)
                continue
            if kept:  # the next try need not wait for what it has
                due = update(TaskInstance).where(TaskInstance.id == detail.ti_id)
                session.execute(due.values(retry_delay_override=0.0))
