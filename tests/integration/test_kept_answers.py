"""Answers that came in the moment in which a task parked: the gate has them before Airflow voids them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlalchemy import Engine, Table, insert, select
from sqlalchemy.orm import Session

from pressroom.domain.flows import GateStep
from pressroom.engine import gates
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.airflow_tables import airflow_tables
from tests.support.flow_world import FETCH, FlowWorld, entries, make_flow

with airflow_as_library():
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance

    from pressroom.orchestration.server import answers

LOOK = {"name": "look", "type": "gate", "by": "approval", "on_timeout": "fail"}
TASK = {"dag_id": "flow__news", "run_id": "manual__1", "task_id": "item.look", "map_index": 0}
ANN = {"id": "1", "name": "ann"}


class Asked:
    """An item of a flow at a gate, for which Airflow's page asks."""

    def __init__(self, world: FlowWorld, engine: Engine) -> None:
        self.world, self.engine = world, engine
        world.sources = entries("one")
        self.run = world.run()
        [self.item] = world.take(self.run)
        self.open()

    def open(self) -> None:
        step = self.world.flow.steps[1]
        assert isinstance(step, GateStep)
        with self.world.store.transaction(self.world.account_id) as tx:
            gates.open_gate(tx, self.run, self.item, step, "Is it good?", TASK)

    def reset(self) -> None:
        """Take the item's answers back, as a clear does."""
        with self.world.store.transaction(self.world.account_id) as tx:
            tx.run("gates_reset", item=self.item, steps=["look"])

    def answered(self, state: str = "up_for_retry", *, option: str | None = "Approve") -> None:
        """What Airflow has: the task in this state, and what a person chose just now."""
        number, now = uuid4(), datetime.now(UTC)
        given = {"chosen_options": [option], "responded_at": now, "responded_by": ANN} if option else {}
        with self.engine.begin() as connection:
            connection.execute(
                insert(cast(Table, TaskInstance.__table__)).values(
                    id=number, state=state, pool="default_pool", pool_slots=1, try_number=1, max_tries=5,
                    retry_delay_override=600.0, **TASK,
                )
            )  # fmt: skip
            connection.execute(
                insert(cast(Table, HITLDetail.__table__)).values(
                    ti_id=number, options=["Approve", "Reject"], subject="Is it good?", assignees=[],
                    created_at=now, params={}, multiple=False,
                    params_input={"text": "Better."} if option else {}, **given,
                )
            )  # fmt: skip

    def keep(self) -> None:
        answers.keep(self.world.store, {("flow__news", "manual__1"): self.world.account_id})

    def gate(self) -> tuple[Any, ...]:
        """(outcome, by, answer) of the gate."""
        [row] = self.world.sql("SELECT outcome, answered_by, answer FROM gates")
        return row

    def delay(self) -> float | None:
        """How long Airflow waits before its next try."""
        with Session(self.engine) as session:
            return session.scalars(select(TaskInstance.retry_delay_override)).one()


NOT_ANSWERED = (None, None, None)


@pytest.fixture
def asked(database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    with airflow_tables(monkeypatch, answers) as engine:
        world = make_flow(database_url, store, FETCH, LOOK)
        world.member("ann", "approver")
        yield Asked(world, engine)


@pytest.mark.parametrize(("option", "outcome"), [("Approve", "approve"), ("Reject", "reject")])
def test_the_gate_has_the_answer_and_the_next_try_is_due(asked: Asked, option: str, outcome: str) -> None:
    asked.answered(option=option)
    asked.keep()
    assert asked.gate() == (outcome, "ann", {"text": "Better."})
    assert asked.delay() == 0
    asked.open()  # the next try finds the gate answered
    assert asked.gate()[0] == outcome


@pytest.mark.parametrize("state", ["awaiting_input", "scheduled", "queued", "running", "success"])
def test_a_task_that_is_about_to_read_its_answer_is_left_alone(asked: Asked, state: str) -> None:
    asked.answered(state)
    asked.keep()
    assert asked.gate() == NOT_ANSWERED
    assert asked.delay() == 600


def test_a_task_that_waits_for_another_try_without_an_answer_is_left_alone(asked: Asked) -> None:
    asked.answered(option=None)
    asked.keep()
    assert asked.gate() == NOT_ANSWERED


@pytest.mark.parametrize("again", [Asked.reset, Asked.open], ids=["taken back", "opened again"])
def test_an_answer_from_before_the_gate_was_asked_again_is_not_for_it(asked: Asked, again: Any) -> None:
    asked.answered()
    again(asked)
    asked.keep()
    assert asked.gate() == NOT_ANSWERED


def test_an_answer_of_another_run_is_not_looked_at(asked: Asked) -> None:
    asked.answered()
    answers.keep(asked.world.store, {("flow__news", "manual__2"): asked.world.account_id})
    answers.keep(asked.world.store, {})
    assert asked.gate() == NOT_ANSWERED
