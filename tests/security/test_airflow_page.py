"""Airflow's page answers for nobody but the account's approvers, whatever Airflow lets people do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlalchemy import Engine, Table, insert, select
from sqlalchemy.orm import Session

from pressroom.domain.flows import GateStep
from pressroom.engine import gates
from pressroom.engine.gates import Handed, PageAnswer
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.airflow_tables import airflow_tables
from tests.support.flow_world import FETCH, FlowWorld, entries, make_flow

with airflow_as_library():
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance

    from pressroom.orchestration.server import respondents as server
    from pressroom.orchestration.tools.approvals import respondents

pytestmark = pytest.mark.integration

GATE = {"name": "look", "type": "gate", "by": "approval"}
TASK = {"dag_id": "flow__news", "run_id": "manual__1", "task_id": "item.look", "map_index": 0}
LIVE = ("flow__news", "manual__1")


class Asked:
    """An item at a gate for which Airflow's page asks. Its account has members of every role."""

    def __init__(self, url: str, store: Store) -> None:
        self.world: FlowWorld = make_flow(url, store, FETCH, GATE)
        for name, role in (("vera", "viewer"), ("ed", "editor"), ("ann", "approver"), ("olga", "owner")):
            self.world.member(name, role)
        self.world.sql("INSERT INTO airflow_users VALUES ('root', '1', true), ('someone', '9', false)")
        self.world.sources = entries("one")
        self.run = self.world.run()
        [self.item] = self.world.take(self.run)
        step = self.world.flow.steps[1]
        assert isinstance(step, GateStep)
        with self.tx() as tx:
            gates.open_gate(tx, self.run, self.item, step, "Is it good?", TASK)
            self.gate = gates.gate_of(tx, self.item, "look").id

    def tx(self) -> Any:
        return self.world.store.transaction(self.world.account_id)

    def answered(self, by: str, outcome: str = "approve", text: str = "") -> bool:
        """What becomes of an answer that Airflow has taken from somebody."""
        given = PageAnswer(outcome, by, {"text": text}, datetime.now(UTC))
        with self.tx() as tx:
            return gates.page_answer(tx, self.item, "look", given)

    def outcome(self) -> Any:
        return self.world.sql("SELECT outcome, answered_by FROM gates")[0]

    def record(self) -> list[tuple[str, str, str, str]]:
        """(actor, action, before, after) of what is on record."""
        return [
            (actor, action, details["before"], details["after"])
            for actor, action, details in self.world.sql("SELECT actor, action, details FROM audit_log")
        ]


@pytest.fixture
def asked(database_url: str, store: Store) -> Asked:
    return Asked(database_url, store)


@pytest.mark.parametrize("by", ["vera", "ed", "someone", "nobody", "", "Anonymous", "pressroom"])
def test_who_is_no_approver_answers_nothing(asked: Asked, by: str) -> None:
    assert not asked.answered(by, text="my own words")
    assert asked.outcome() == (None, None)
    assert asked.record() == [(f"airflow:{by}", "gate.answer_refused", "open", "open")]
    assert asked.answered("ann")  # it goes on waiting for somebody who is
    assert asked.outcome() == ("approve", "ann")


@pytest.mark.parametrize("by", ["ann", "olga", "root"])
def test_an_approver_and_an_administrator_answer(asked: Asked, by: str) -> None:
    assert asked.answered(by, "reject")
    assert asked.outcome() == ("reject", by)
    assert asked.record() == [(f"airflow:{by}", "gate.answer", "open", "reject")]


def test_an_approver_of_another_account_answers_nothing(asked: Asked) -> None:
    asked.world.sql("INSERT INTO accounts (slug, name, definition) VALUES ('other', 'Other', '{}')")
    asked.world.sql(
        "INSERT INTO members SELECT id, 'stella', 'owner' FROM accounts WHERE slug = 'other'"
    )  # fmt: skip
    assert not asked.answered("stella")
    assert asked.outcome() == (None, None)


def test_who_was_removed_while_it_waited_answers_nothing(asked: Asked) -> None:
    asked.world.sql("DELETE FROM members WHERE username = 'ann'")
    assert not asked.answered("ann")


@pytest.mark.parametrize(
    ("outcome", "text", "by", "counts"),
    [
        ("approve", "better", "pressroom", True),
        ("reject", "better", "pressroom", False),
        ("approve", "my own words", "pressroom", False),
        ("approve", "better", "ed", False),
    ],
    ids=["as it was given", "another decision", "another text", "somebody else"],
)
def test_pressrooms_own_user_answers_what_was_given_to_it_only(
    asked: Asked, outcome: str, text: str, by: str, counts: bool
) -> None:
    with asked.tx() as tx:
        gates.hand_over(tx, Handed(asked.gate, "user:ann", "approve", "better"), "pressroom")
    assert asked.answered(by, outcome, text) is counts
    assert asked.outcome() == (("approve", "user:ann") if counts else (None, None))


def test_an_answer_of_before_the_gate_was_opened_again_is_not_given(asked: Asked) -> None:
    with asked.tx() as tx:
        gates.hand_over(tx, Handed(asked.gate, "user:ann", "approve", ""), "pressroom")
        tx.run("gates_reset", item=asked.item, steps=["look"])
    asked.world.sql("UPDATE gates SET asked_at = now() + interval '1 s'")
    assert not asked.answered("pressroom")


def test_an_answer_that_airflow_would_forget_counts_from_approvers_only(asked: Asked) -> None:
    later = datetime.now(UTC) + timedelta(seconds=1)
    given = PageAnswer("approve", "ed", {}, datetime.now(UTC))
    with asked.tx() as tx:
        for _ in range(3):  # the sweep looks at it again
            assert not gates.forgotten_answer(tx, TASK, given)
        assert gates.forgotten_answer(tx, TASK, PageAnswer("approve", "ann", {}, later))
    assert [action for _, action, _, _ in asked.record()] == ["gate.answer_refused", "gate.answer"]


# Whom Airflow lets answer -------------------------------------------------------------------------------


def assigned(asked: Asked) -> list[tuple[str, str]]:
    with asked.tx() as tx:
        return [(each["id"], each["name"]) for each in respondents(tx)]


def test_a_waiting_task_is_assigned_to_the_approvers(asked: Asked) -> None:
    own = ("pressroom", "pressroom")
    assert assigned(asked) == [("ann", "ann"), ("olga", "olga"), ("1", "root"), own]
    # Under FAB people have numbers, and nobody gets another one's by being named like it.
    asked.world.sql("INSERT INTO airflow_users VALUES ('ann', '7', false)")
    asked.world.member("12", "approver")
    assert assigned(asked) == [("7", "ann"), ("olga", "olga"), ("1", "root"), own]


def test_without_approvers_nobody_is_asked_instead_of_everybody(asked: Asked) -> None:
    asked.world.sql("DELETE FROM members")
    asked.world.sql("DELETE FROM airflow_users")
    assert assigned(asked) == [("pressroom", "pressroom")]


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Airflow's tables, with a task that waits for ann alone."""
    users = "root:admin, ann:viewer,ed:user"
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", users)
    with airflow_tables(monkeypatch, server) as engine:
        number = uuid4()
        task = cast(Table, TaskInstance.__table__)
        detail = cast(Table, HITLDetail.__table__)
        with engine.begin() as connection:
            connection.execute(
                insert(task).values(
                    id=number, state="awaiting_input", pool="default_pool", pool_slots=1, try_number=1,
                    max_tries=5, **TASK,
                )
            )  # fmt: skip
            connection.execute(
                insert(detail).values(
                    ti_id=number, options=["Approve", "Reject"], subject="Is it good?", multiple=False,
                    assignees=[{"id": "ann", "name": "ann"}], created_at=datetime.now(UTC), params={},
                    params_input={},
                )
            )  # fmt: skip
        yield engine


def names(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return [each["name"] for each in session.scalars(select(HITLDetail.assignees)).one() or []]


def test_whoever_becomes_or_stops_being_an_approver_counts_while_a_task_waits(
    asked: Asked, airflow: Engine
) -> None:
    sweep = server.Respondents(asked.world.store)
    sweep.look({LIVE: asked.world.account_id})
    assert names(airflow) == ["ann", "olga", "root", "pressroom"]
    asked.world.sql("DELETE FROM members WHERE username = 'ann'")
    asked.world.member("pia", "approver")
    sweep.look({LIVE: asked.world.account_id})
    assert names(airflow) == ["olga", "pia", "root", "pressroom"]
    known = asked.world.sql("SELECT name, administers FROM airflow_users ORDER BY name")
    assert known == [("ann", False), ("ed", False), ("root", True)]


def test_everybody_is_an_administrator_where_airflow_says_so(
    asked: Asked, airflow: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not asked.answered("Anonymous")
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    server.Respondents(asked.world.store).look({})
    assert asked.answered("Anonymous")
