"""run_batch: what each class of error does, group commit, control, charges. A toy stage on a real store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from pressroom.domain.errors import (
    AlreadyDone,
    ConfigurationError,
    RefusedAnswer,
    RunConflict,
    TransientError,
)
from pressroom.domain.run import Run
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import batch, control
from pressroom.engine.runs.batch import Report, Stop, run_batch
from pressroom.engine.runs.stopping import Stopper
from pressroom.pipelines.stage import Key, Saved, Stage
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx
from tests.support.waiting import until
from tests.support.world import World, make_world

Process = Callable[[int, Tools], Awaitable[str]]


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store)


def toy(
    process: Process, *, save: Callable[[Tx, int], None] | None = None, serial: bool = False
) -> Stage[int, str]:
    """New clusters become planned ones, for two credits each."""

    def load(tx: Tx, run: Run, keys: Sequence[Key]) -> list[int]:
        found = tx._connection.execute(
            "SELECT id FROM clusters WHERE status = 'new' AND id = ANY(%s) ORDER BY id", [list(keys)]
        )
        return [row[0] for row in found]

    def write(tx: Tx, run: Run, item: int, output: str) -> Saved:
        if save:
            save(tx, item)
        tx._connection.execute(
            "UPDATE clusters SET status = 'planned', description = %s WHERE id = %s", [output, item]
        )
        return Saved(created=1, label=output)

    return Stage(
        name="ideas", title="toy", pending=lambda tx, run: [], load=load, process=process, save=write,
        key=str, result_fields={}, charge=lambda run, item: Decimal(2), serial=serial,
    )  # fmt: skip


def go(world: World, stage: Stage[int, str], run: Run, keys: Sequence[Key], **kwargs: Any) -> Report:
    with world.store.transaction(world.account_id) as tx:
        tx.run("plan_stage", run=run.id, stage=stage.name, planned=len(keys), skipped=None)
    tools = cast(Callable[[CostScope], Tools], lambda scope: None)
    kwargs = {"concurrency": 4, **kwargs}
    return asyncio.run(run_batch(stage, run, keys, store=world.store, tools_for=tools, **kwargs))


async def fine(item: int, tools: Tools) -> str:
    return f"done {item}"


def failing(error: Exception, *items: int) -> Process:
    async def process(item: int, tools: Tools) -> str:
        if item in items:
            raise error
        return await fine(item, tools)

    return process


def planned(world: World) -> list[int]:
    return [row[0] for row in world.sql("SELECT id FROM clusters WHERE status = 'planned' ORDER BY id")]


def charged(world: World) -> dict[str, Decimal]:
    return dict(world.sql("SELECT item, -credits FROM ledger WHERE kind = 'charge'"))


def reserved(world: World) -> Decimal:
    with world.store.transaction(world.account_id) as tx:
        return ledger.balance(tx)[1]


def test_every_item_is_saved_charged_and_counted_once(world: World) -> None:
    ids, run = world.clusters(7), world.run()
    report = go(world, toy(fine), run, ids)
    assert (report.done, report.created, report.credits, report.failed) == (7, 7, Decimal(14), 0)
    assert planned(world) == ids
    assert charged(world) == {str(item): 2 for item in ids}
    assert reserved(world) == 0
    assert world.sql("SELECT processed, created, credits FROM stage_results") == [(7, 7, 14)]
    assert world.sql("SELECT count(*) FROM run_events WHERE kind = 'item_done'") == [(7,)]


def test_done_items_are_not_done_again(world: World) -> None:
    ids, run = world.clusters(4), world.run()
    go(world, toy(fine), run, ids[:2])
    assert go(world, toy(fine), run, ids).done == 2
    assert len(charged(world)) == 4


def test_one_permanent_failure_leaves_its_neighbours_alone(world: World) -> None:
    ids, run = world.clusters(5), world.run()
    report = go(world, toy(failing(RefusedAnswer("no"), ids[2])), run, ids)
    assert (report.done, report.failed, report.waiting) == (4, 1, [])
    assert ids[2] not in planned(world)
    assert world.sql("SELECT item, error_class, error, attempts FROM item_failures") == [
        (str(ids[2]), "RefusedAnswer", "no", 1)
    ]
    assert reserved(world) == 0


def test_a_permanent_failure_is_not_tried_again_until_the_run_is_reopened(world: World) -> None:
    ids, run = world.clusters(2), world.run()
    stage = toy(failing(RefusedAnswer("no"), ids[0]))
    go(world, stage, run, ids)
    assert go(world, stage, run, ids).failed == 0
    world.run()  # what a clear does
    assert go(world, stage, run, ids).failed == 1
    assert world.sql("SELECT attempts FROM item_failures") == [(2,)]
    world.run()
    assert go(world, toy(fine), run, ids).done == 1
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]


def test_a_transient_failure_waits_for_another_try(world: World) -> None:
    ids, run = world.clusters(3), world.run()
    report = go(world, toy(failing(TransientError("429", retry_after=7), ids[1])), run, ids)
    assert (report.done, report.failed) == (2, 0)
    assert [error.retry_after for error in report.waiting] == [7]
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    assert reserved(world) == 0


def test_on_the_last_try_what_still_waits_is_recorded(world: World) -> None:
    ids, run = world.clusters(3), world.run()
    report = go(world, toy(failing(TransientError("503"), ids[1])), run, ids, last_try=True)
    assert (report.done, report.failed) == (2, 1)


def test_a_wrong_configuration_fails_the_batch_at_once(world: World) -> None:
    ids, run = world.clusters(20), world.run()
    with pytest.raises(ConfigurationError, match="key"):
        go(world, toy(failing(ConfigurationError("bad key"), *ids)), run, ids, concurrency=1)
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    assert reserved(world) == 0


def test_items_of_one_wrong_set_up_wait_and_the_others_are_done(world: World) -> None:
    ids, run = world.clusters(9), world.run()
    wrong = [item for item in ids if item % 3 == 0]
    tried: list[int] = []

    async def process(item: int, tools: Tools) -> str:
        tried.append(item)
        return await failing(ConfigurationError(f"bad key, {item}"), *wrong)(item, tools)

    stage = replace(toy(process), setup_of=lambda item: str(item % 3))
    with pytest.raises(ConfigurationError, match=f"bad key, {wrong[0]}"):
        go(world, stage, run, ids, concurrency=1)
    assert set(tried) & set(wrong) == {wrong[0]}
    assert planned(world) == [item for item in ids if item not in wrong]
    assert reserved(world) == 0
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    assert go(world, toy(fine), run, ids).done == len(wrong)


def test_items_at_work_when_a_set_up_turns_out_wrong_count_no_attempt(world: World) -> None:
    ids, run = world.clusters(6), world.run()
    with pytest.raises(ConfigurationError, match="key"):
        go(world, toy(failing(ConfigurationError("bad key"), *ids)), run, ids, concurrency=6)
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    assert world.sql("SELECT count(*) FROM run_events WHERE kind = 'setup_wrong'") == [(1,)]
    assert reserved(world) == 0


def test_a_wrong_set_up_in_a_serial_stage_stops_at_its_first_item(world: World) -> None:
    ids, run = world.clusters(4), world.run()
    tried: list[int] = []

    async def process(item: int, tools: Tools) -> str:
        tried.append(item)
        raise ConfigurationError("bad key")

    with pytest.raises(ConfigurationError):
        go(world, toy(process, serial=True), run, ids)
    assert tried == ids[:1]


def test_a_long_batch_keeps_its_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, run = world.clusters(4), world.run()
    monkeypatch.setattr(control, "RENEW_EVERY", timedelta(0))

    async def process(item: int, tools: Tools) -> str:
        # As much time passes as the lease has, but for a moment.
        world.sql("UPDATE runs SET lease_until = lease_until - %s", control.LEASE - timedelta(seconds=5))
        return await fine(item, tools)

    go(world, toy(process), run, ids, concurrency=1)
    [(left,)] = world.sql("SELECT lease_until - now() FROM runs")
    assert left > timedelta(0)
    with pytest.raises(RunConflict, match="is running"):
        world.run("manual__2")


def test_a_lease_is_not_renewed_for_each_item(world: World) -> None:
    ids, run = world.clusters(3), world.run()
    go(world, toy(fine), run, ids[:1], concurrency=1)
    renewed: list[Any] = []

    async def process(item: int, tools: Tools) -> str:
        renewed.extend(world.sql("SELECT lease_until FROM runs"))
        return await fine(item, tools)

    go(world, toy(process), run, ids, concurrency=1)
    assert len(set(renewed)) == 1


@pytest.mark.parametrize(("of_site", "of_run"), [(3, 50), (50, 3), (None, 3), (3, None)])
def test_the_stricter_cap_of_run_and_definition_stops_the_run(
    database_url: str, store: Store, of_site: int | None, of_run: int | None
) -> None:
    world = make_world(database_url, store, caps={"run_cents": of_site})
    ids, run = world.clusters(5), world.run(params={"cap_cents": of_run})
    scopes: dict[int, CostScope] = {}

    async def process(item: int, tools: Any) -> str:
        with store.transaction(world.account_id) as tx:
            ledger.hold_cents(tx, tools, Decimal(1))
            ledger.book_cost(tx, tools, Decimal(1), held=Decimal(1), entry_key=f"call:{item}", note="m")
        return await fine(item, tools)

    with store.transaction(world.account_id) as tx:
        tx.run("plan_stage", run=run.id, stage="ideas", planned=5, skipped=None)
    bind = cast(Callable[[CostScope], Tools], lambda scope: scopes.setdefault(int(scope.item), scope))
    report = asyncio.run(run_batch(toy(process), run, ids, store=store, tools_for=bind, concurrency=1))
    assert (report.done, report.failed, report.stop) == (3, 0, Stop.BUDGET)
    assert "the run cap of 3 cents is reached" in report.reason


def test_a_defect_fails_the_task_after_the_others_are_through(world: World) -> None:
    ids, run = world.clusters(5), world.run()
    with pytest.raises(ZeroDivisionError):
        go(world, toy(failing(ZeroDivisionError("secret detail"), ids[0])), run, ids, concurrency=1)
    assert planned(world) == ids[1:]
    assert world.sql("SELECT error FROM item_failures") == [("unexpected ZeroDivisionError",)]


def test_a_failing_save_takes_back_its_own_item_only(world: World) -> None:
    ids, run = world.clusters(6), world.run()

    def save(tx: Tx, item: int) -> None:
        if item == ids[3]:
            raise RefusedAnswer("this one does not fit")

    report = go(world, toy(fine, save=save), run, ids, concurrency=6)
    assert (report.done, report.failed) == (5, 1)
    assert str(ids[3]) not in charged(world)


def test_an_item_that_another_worker_finished_meanwhile_is_no_failure(world: World) -> None:
    ids, run = world.clusters(3), world.run()

    def save(tx: Tx, item: int) -> None:
        if item == ids[0]:
            raise AlreadyDone("no longer waits")

    report = go(world, toy(fine, save=save), run, ids, concurrency=3)
    assert (report.done, report.failed) == (2, 0)
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    assert str(ids[0]) not in charged(world)
    assert reserved(world) == 0


def test_finished_items_are_saved_in_groups_of_at_most_50(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    commit = batch._Batch._commit

    def spy(self: Any, tx: Tx, group: Sequence[Any]) -> list[Saved]:
        groups.append(len(group))
        return commit(self, tx, group)

    monkeypatch.setattr(batch._Batch, "_commit", spy)
    ids, run = world.clusters(120), world.run()
    go(world, toy(fine), run, ids, concurrency=64)
    assert sum(groups) == 120
    assert len(groups) < 60
    assert max(groups) <= batch.SAVE_TOGETHER


def test_credits_that_run_out_stop_the_batch_without_failing_items(database_url: str, store: Store) -> None:
    world = make_world(database_url, store, credits=5)
    ids, run = world.clusters(4), world.run()
    report = go(world, toy(fine), run, ids, concurrency=1)
    assert (report.done, report.failed, report.stop) == (2, 0, Stop.BUDGET)
    assert "2 credits are needed for ideas and 1.00 are available" in report.reason


@pytest.mark.parametrize(("action", "stop"), [("pause", Stop.PAUSED), ("cancel", Stop.CANCELLED)])
def test_pause_and_cancel_take_effect_after_the_current_item(world: World, action: str, stop: Stop) -> None:
    ids, run = world.clusters(5), world.run()

    async def process(item: int, tools: Tools) -> str:
        if item == ids[1]:
            with world.store.transaction(world.account_id) as tx:
                getattr(control, action)(tx, world.site_id)
        return await fine(item, tools)

    report = go(world, toy(process), run, ids, concurrency=1)
    assert (report.done, report.stop) == (2, stop)


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_what_is_wholly_done_was_not_stopped(
    world: World, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is cancelled, and cleared when all is done, is not partial."""
    ids, run = world.clusters(1), world.run()
    monkeypatch.setattr(batch, "WATCH_SECONDS", 0.01)
    looks, get = 0, control.get

    def counted(*args: Any) -> control.RunState:
        nonlocal looks
        looks += 1
        return get(*args)

    async def steered(item: int, tools: Tools) -> str:
        with world.store.transaction(world.account_id) as tx:
            getattr(control, action)(tx, world.site_id)
        monkeypatch.setattr(control, "get", counted)
        await until(lambda: looks >= 2)
        return await fine(item, tools)

    report = go(world, toy(steered), run, ids)
    assert (report.done, report.stop, report.reason) == (1, None, "")


def cancel_now(world: World) -> None:
    with world.store.transaction(world.account_id) as tx:
        control.cancel(tx, world.site_id, now=True)


def slow(act: Callable[[], None], *items: int) -> Process:
    """These items take a minute each, and with the first of them ``act`` is called."""

    async def process(item: int, tools: Tools) -> str:
        if item in items:
            if item == items[0]:
                await asyncio.to_thread(act)
            await asyncio.sleep(60)
        return await fine(item, tools)

    return process


@pytest.mark.parametrize("serial", [False, True])
def test_a_run_that_is_cancelled_at_once_cuts_off_its_calls_and_their_items_wait(
    world: World, serial: bool
) -> None:
    ids, run = world.clusters(6), world.run()
    began = time.monotonic()
    stage = toy(slow(lambda: cancel_now(world), *ids[1:3]), serial=serial)
    report = go(world, stage, run, ids, concurrency=3)
    assert time.monotonic() - began < 10
    assert (report.stop, report.failed, report.waiting) == (Stop.CANCELLED, 0, [])
    assert ids[1] not in planned(world)
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    assert reserved(world) == 0
    stopped = world.sql("SELECT message FROM run_events WHERE kind = 'item_stopped' ORDER BY message")
    assert stopped == [(f"{each} was stopped, and waits",) for each in ids[1 : 2 if serial else 3]]


def test_a_cancelled_run_that_is_still_at_work_can_be_stopped(world: World) -> None:
    ids, run = world.clusters(1), world.run()
    with world.store.transaction(world.account_id) as tx:
        control.cancel(tx, world.site_id)
        first = tx.value("run_by_id", run=run.id)
    cancel_now(world)
    with world.store.transaction(world.account_id) as tx:
        state = control.get(tx, run.id)
        with pytest.raises(RunConflict, match="cannot cancel: run 1 is being cancelled"):
            control.cancel(tx, world.site_id, now=True)
    assert (state.cancel_requested, state.cancel_now, state.id) == (True, True, first)
    assert go(world, toy(fine), run, ids).stop is Stop.CANCELLED


def test_a_run_that_is_opened_again_is_not_stopped(world: World) -> None:
    ids, run = world.clusters(1), world.run()
    cancel_now(world)
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed=None)
    assert go(world, toy(fine), world.run(), ids).done == 1


def test_a_run_that_has_ended_under_its_workers_stops_their_calls(world: World) -> None:
    ids, run = world.clusters(2), world.run()

    def close() -> None:
        with world.store.transaction(world.account_id) as tx:
            control.close_run(tx, run.id, failed="marked failed")

    began = time.monotonic()
    with pytest.raises(RunConflict, match="is failed"):
        go(world, toy(slow(close, *ids)), run, ids)
    assert time.monotonic() - began < 10
    assert planned(world) == []
    assert reserved(world) == 0


def test_a_task_that_is_killed_stops_its_calls(world: World) -> None:
    ids, run = world.clusters(3), world.run()
    stopper = Stopper()

    def kill() -> None:
        while planned(world) != ids[:1]:  # the first item takes no time, but its save may
            time.sleep(0.01)
        stopper.stop()

    began = time.monotonic()
    report = go(world, toy(slow(kill, *ids[1:])), run, ids, concurrency=2, stopper=stopper)
    assert time.monotonic() - began < 10
    assert (report.done, report.stop, report.failed) == (1, Stop.KILLED, 0)
    assert planned(world) == ids[:1]


def test_what_is_stopped_before_it_begins_does_nothing(world: World) -> None:
    ids, run = world.clusters(1), world.run()
    stopper = Stopper()
    stopper.stop()
    assert go(world, toy(fine), run, ids, stopper=stopper).done == 0
    assert planned(world) == []


def test_a_run_that_lost_its_lock_stops(world: World) -> None:
    ids, run = world.clusters(3), world.run()
    world.sql("UPDATE runs SET lease_until = now() - interval '1 second'")
    world.run("manual__2")
    with pytest.raises(RunConflict, match="no longer holds"):
        go(world, toy(fine), run, ids)
    assert planned(world) == []


def test_serial_stages_load_each_item_after_the_one_before_is_saved(world: World) -> None:
    ids, run = world.clusters(4), world.run()
    seen: list[int] = []

    async def process(item: int, tools: Tools) -> str:
        seen.append(len(planned(world)))
        return await fine(item, tools)

    go(world, toy(process, serial=True), run, ids, concurrency=4)
    assert seen == [0, 1, 2, 3]


def test_concurrency_is_a_bound(world: World) -> None:
    ids, run = world.clusters(12), world.run()
    now = most = 0

    async def process(item: int, tools: Tools) -> str:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.1)
        now -= 1
        return await fine(item, tools)

    go(world, toy(process), run, ids, concurrency=3)
    assert most == 3
