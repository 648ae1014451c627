"""What waits in a triggerer: hundreds of triggers, a few statements at each look."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from pressroom.domain.errors import RunConflict, TransientError
from pressroom.domain.flows import GateStep
from pressroom.engine import gates
from pressroom.engine.runs import control
from pressroom.store.database import Store, Tx
from tests.support.airflow_library import airflow_as_library
from tests.support.flow_world import FEED, FETCH, LAST, FlowWorld, entries, make_flow
from tests.support.waiting import until

with airflow_as_library():
    from pressroom.orchestration.tasks import watch
    from pressroom.orchestration.tasks.triggers import GateTrigger, RunTrigger

MANY = FETCH | {"source": FEED | {"cap": 100}}
LOOK = {"name": "look", "type": "gate", "by": "webhook", "timeout_hours": 1, "on_timeout": "reject"}


class Parked:
    """Items that wait at the gates of one run."""

    def __init__(self, world: FlowWorld, number: int) -> None:
        self.world = world
        world.sources = entries(*(f"entry{each}" for each in range(number)))

        self.run = world.run()
        self.items = world.take(self.run)
        step = world.flow.steps[1]
        assert isinstance(step, GateStep)
        with world.store.transaction(world.account_id) as tx:
            for item in self.items:
                gates.open_gate(tx, self.run, item, step, "Good?", {"map_index": 0})

    def triggers(self) -> list[Coroutine[Any, Any, dict[str, Any]]]:
        """One for each item, as Airflow's triggerer runs them."""
        made = (GateTrigger(self.world.account_id, self.run.id, item, "look") for item in self.items)
        return [trigger._event(self.world.store) for trigger in made]

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.world.sql(statement, *values)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Looks come quickly here. Returns the number of questions of each."""
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.2)
    looks: list[int] = []
    read = watch.read

    def counted(tx: Tx, questions: Any) -> Any:
        looks.append(len(questions))
        return read(tx, questions)

    monkeypatch.setattr(watch, "read", counted)
    return looks


@pytest.fixture
def parked(database_url: str, store: Store, quick: list[int]) -> Parked:
    return Parked(make_flow(database_url, store, MANY, LOOK, LAST), 100)


async def _after(seconds: float, work: Any) -> None:
    await asyncio.sleep(seconds)
    await asyncio.to_thread(work)


def test_all_that_wait_are_looked_up_together(parked: Parked, quick: list[int]) -> None:
    def answer() -> None:
        parked.sql("UPDATE gates SET outcome = 'approve', answered_by = 'ann', answered_at = now()")

    async def all_of_them() -> list[dict[str, Any]]:
        answers, _ = await asyncio.gather(asyncio.gather(*parked.triggers()), _after(0.7, answer))
        return list(answers)

    assert asyncio.run(all_of_them()) == [{"outcome": "approve"}] * 100
    assert set(quick) == {100}  # each look is for all
    assert 3 <= len(quick) <= 8


def test_one_answer_wakes_one_trigger(parked: Parked, quick: list[int]) -> None:
    first = parked.items[0]
    parked.sql(
        "UPDATE gates SET outcome = 'reject', answered_at = now() WHERE item_id = %s",
        first,
    )

    async def first_to_fire() -> tuple[int, dict[str, Any]]:
        tasks = [asyncio.create_task(trigger) for trigger in parked.triggers()]
        await until(lambda: len(quick) >= 4)
        fired = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(fired), fired[0].result()

    assert asyncio.run(first_to_fire()) == (1, {"outcome": "reject"})
    assert quick[0] == 100
    assert quick[-1] == 99


def test_a_gate_whose_time_is_over_gets_its_outcome(parked: Parked, quick: list[int]) -> None:
    parked.sql("UPDATE gates SET due_at = now() - interval '1 s'")

    async def fired() -> list[dict[str, Any]]:
        return list(await asyncio.gather(*parked.triggers()))

    assert asyncio.run(fired()) == [{"outcome": "reject"}] * 100
    assert parked.sql("SELECT DISTINCT outcome, answered_by FROM gates") == [("reject", "the time")]
    assert len(quick) == 1


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_the_end_of_the_run_wakes_all(parked: Parked, quick: list[int], how: str) -> None:
    world = parked.world
    with world.store.transaction(world.account_id) as tx:
        if how == "cancel":
            control.cancel(tx, world.flow_id)
        else:
            control.close_run(tx, parked.run.id, failed=None)

    async def fired() -> list[dict[str, Any]]:
        return list(await asyncio.gather(*parked.triggers()))

    assert asyncio.run(fired()) == [{"outcome": None}] * 100
    assert len(quick) == 1


def test_a_run_that_is_waited_for_keeps_its_lease(parked: Parked) -> None:
    parked.sql("UPDATE runs SET lease_until = now() + interval '1 min'")
    with parked.world.store.transaction() as tx:
        [seen] = watch.read(tx, [watch.Question(parked.run.id)])
    assert seen.run.lease_until - seen.run.started_at > control.LEASE - timedelta(minutes=1)


def test_a_store_that_is_away_is_waited_for(
    parked: Parked, quick: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, away = parked.world.store.run, [True, True]

    async def flaky(*args: Any, **kwargs: Any) -> Any:
        if away:
            away.pop()
            raise TransientError("the store is away")
        return await run(*args, **kwargs)

    monkeypatch.setattr(parked.world.store, "run", flaky)
    trigger = RunTrigger(parked.world.account_id, parked.run.id)
    assert asyncio.run(trigger._event(parked.world.store)) == {"status": "running"}
    assert away == []


def test_a_run_that_is_gone_is_not_waited_for(parked: Parked) -> None:
    trigger = RunTrigger(parked.world.account_id, 4711)
    with pytest.raises(RunConflict, match="does not exist"):
        asyncio.run(trigger._event(parked.world.store))
