"""The site's lock, the lease, pause, resume, cancel, and how a run ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal

import pendulum
import pytest

from pressroom.domain.errors import InsufficientCredits, RunConflict
from pressroom.domain.schedules import CronSchedule
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control, reports
from pressroom.engine.runs.control import TooSoon
from pressroom.store.database import Store
from tests.support.world import World, make_world


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store)


def state(world: World, run_id: int) -> control.RunState:
    with world.store.transaction(world.account_id) as tx:
        return control.get(tx, run_id)


def test_a_second_run_is_refused_and_told_who_holds_the_lock(world: World) -> None:
    world.run("manual__1", owner="ann")
    with pytest.raises(RunConflict, match=r"run 1 \(manual__1\).*running, started by ann at"):
        world.run("manual__2")


def test_of_two_simultaneous_openings_one_wins(world: World) -> None:
    def attempt(number: int) -> bool:
        try:
            world.run(f"manual__{number}")
        except RunConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_two_sites_run_side_by_side(world: World) -> None:
    world.run()
    make_world(world.url, world.store, credits=0, slug="tea").run()


def test_clearing_reopens_the_same_run(world: World) -> None:
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed="content.work failed")
    assert world.run().id == run.id
    assert state(world, run.id).status == "running"


def test_a_run_whose_lease_ran_out_gives_way(world: World) -> None:
    dead = world.run("manual__1")
    world.sql("UPDATE runs SET lease_until = now() - interval '1 second'")
    world.run("manual__2")
    assert state(world, dead.id).status == "failed"
    with world.store.transaction(world.account_id) as tx:
        assert control.close_run(tx, dead.id, failed=None) == "failed"  # the late loser changes nothing


def test_a_cancelled_run_whose_lease_ran_out_gives_way_as_cancelled(world: World) -> None:
    dead = world.run("manual__1")
    with world.store.transaction(world.account_id) as tx:
        control.cancel(tx, world.site_id)
    world.sql("UPDATE runs SET lease_until = now() - interval '1 second'")
    world.run("manual__2")
    assert state(world, dead.id).status == "cancelled"


def test_a_run_that_was_not_heard_of_keeps_its_lock_while_airflow_has_it(world: World) -> None:
    """It waits for its own retry, a pool, a queue or a paused DAG."""
    waiting = world.run("manual__1")
    world.sql("UPDATE runs SET lease_until = now() - interval '1 hour'")
    asked = []

    def alive(dag_id: str, dag_run_id: str) -> bool:
        asked.append((dag_id, dag_run_id))
        return True

    with pytest.raises(RunConflict, match=r"run 1 \(manual__1\) .* is running"):
        world.run("manual__2", alive=alive)
    assert asked == [(world.site.dag_id, "manual__1")]
    assert state(world, waiting.id).status == "running"
    world.run("manual__3", alive=lambda *_: False)
    assert state(world, waiting.id).status == "failed"


def test_another_accounts_run_does_not_exist(world: World) -> None:
    run = world.run()
    with (
        world.store.transaction(world.account_id + 1) as tx,
        pytest.raises(RunConflict, match="does not exist"),
    ):
        control.get(tx, run.id)


@pytest.mark.parametrize(
    ("balance", "estimate", "accepted"),
    [("120", "100", True), ("119.99", "100", False), ("0", "0", True), ("1", "1", False)],
)
def test_balance_must_be_at_least_1_2_times_the_estimate(
    database_url: str, store: Store, balance: str, estimate: str, accepted: bool
) -> None:
    world = make_world(database_url, store, credits=0)
    if Decimal(balance):
        with store.transaction(world.account_id) as tx:
            ledger.grant(tx, Decimal(balance), entry_key="grant")
    if accepted:
        world.run(estimate=Decimal(estimate))
    else:
        with pytest.raises(
            InsufficientCredits, match=rf"{Decimal(estimate) * Decimal('1.2'):.2f} credits .* {balance}"
        ):
            world.run(estimate=Decimal(estimate))


DAILY = CronSchedule("30 6 * * *", "Europe/Berlin")
TWICE = CronSchedule("0 6,18 * * *", "Europe/Berlin")
SATURDAY = pendulum.datetime(2027, 3, 27, 6, 30, tz="Europe/Berlin")


def scheduled(world: World, slot: datetime, guard: CronSchedule, *, begun: bool = True) -> None:
    """A run of the schedule from its opening to its end."""
    run = world.run(f"scheduled__{slot}", trigger="scheduled", slot=slot, guard=guard)
    with world.store.transaction(world.account_id) as tx:
        if begun:
            tx.run("plan_stage", run=run.id, stage="clusters", planned=0, skipped=None)
        control.close_run(tx, run.id, failed=None if begun else "a connection is missing")


def test_a_daily_schedule_runs_on_each_day_however_late_and_when_the_clocks_change(world: World) -> None:
    scheduled(world, SATURDAY, DAILY)
    world.sql("UPDATE runs SET started_at = %s", SATURDAY.add(hours=9))  # late: the slot counts
    sunday = SATURDAY.add(days=1)
    assert (sunday - SATURDAY).in_hours() == 23
    scheduled(world, sunday, DAILY)
    scheduled(world, sunday.add(days=1), DAILY)


def test_a_schedule_that_moves_within_its_day_runs_again_only_on_the_next(world: World) -> None:
    scheduled(world, SATURDAY, DAILY)
    evening, later = SATURDAY.add(hours=13), CronSchedule("30 19 * * *", "Europe/Berlin")
    with pytest.raises(TooSoon, match=r"2027-03-27 05:30 UTC, and a schedule of once a day .* 23 hours"):
        scheduled(world, evening, later)
    assert later.next_run(SATURDAY, SATURDAY) == evening.add(days=1)
    world.run("manual__1")  # by hand it may always


def test_a_schedule_of_several_runs_a_day_keeps_them_all(world: World) -> None:
    scheduled(world, SATURDAY.set(minute=0), TWICE)
    scheduled(world, SATURDAY.set(hour=18, minute=0), TWICE)
    assert TWICE.next_run(SATURDAY, SATURDAY) == SATURDAY.set(hour=18, minute=0)


def test_a_run_that_never_began_does_not_count_as_the_days(world: World) -> None:
    scheduled(world, SATURDAY, DAILY, begun=False)
    scheduled(world, SATURDAY.add(hours=2), CronSchedule("30 8 * * *", "Europe/Berlin"))


def test_what_a_schedule_skips_is_in_the_history_with_its_reason(world: World) -> None:
    with world.store.transaction(world.account_id) as tx:
        control.record_refusal(
            tx, workflow_id=world.site_id, dag_id=world.site.dag_id, dag_run_id="scheduled__2",
            trigger="scheduled", owner="it", slot=SATURDAY, reason="skipped: too soon", skipped=True,
        )  # fmt: skip
        [job] = reports.history(tx, world.site_id)
        [line] = reports.log_tail(tx, job.id)
    assert (job.status, job.error_message, job.live) == ("cancelled", "skipped: too soon", False)
    assert (line.kind, line.level, line.message) == ("run_skipped", "warning", "skipped: too soon")
    scheduled(world, SATURDAY.add(hours=2), DAILY)  # what was skipped did not begin


def test_pause_resume_cancel(world: World) -> None:
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        with pytest.raises(RunConflict, match="cannot resume: run 1 is running"):
            control.resume(tx, world.site_id)
        assert control.pause(tx, world.site_id).paused
        with pytest.raises(RunConflict, match="cannot pause: run 1 is paused"):
            control.pause(tx, world.site_id)
        assert not control.resume(tx, world.site_id).paused
        assert control.cancel(tx, world.site_id).cancel_requested
        with pytest.raises(RunConflict, match="is being cancelled"):
            control.cancel(tx, world.site_id)
        assert control.close_run(tx, run.id, failed=None) == "cancelled"
        with pytest.raises(RunConflict, match="no run is live"):
            control.pause(tx, world.site_id)


def test_a_paused_run_can_be_cancelled_and_then_no_longer_waits(world: World) -> None:
    world.run()
    with world.store.transaction(world.account_id) as tx:
        control.pause(tx, world.site_id)
        assert not control.cancel(tx, world.site_id).paused


def test_closing_gives_back_what_was_reserved(world: World) -> None:
    run = world.run()
    scope = CostScope(world.account_id, world.site_id, run.id, "content", "1")
    with world.store.transaction(world.account_id) as tx:
        ledger.reserve(tx, scope, Decimal(5))
        assert ledger.balance(tx) == (Decimal(1000), Decimal(5))
        control.close_run(tx, run.id, failed=None)
        assert ledger.balance(tx) == (Decimal(1000), Decimal(0))


def test_events_come_in_the_order_of_their_numbers(world: World) -> None:
    """Whoever has read up to one has missed none before it: a slow transaction holds later ones back."""
    run = world.run()

    def write(number: int) -> None:
        for _ in range(20):
            with world.store.transaction(world.account_id) as tx:
                control.event(tx, run.id, "test", f"by {number}")

    seen: list[int] = []
    with ThreadPoolExecutor(5) as pool:
        writing = [pool.submit(write, number) for number in range(4)]
        while not all(one.done() for one in writing) or not seen or seen[-1] < 81:
            with world.store.transaction(world.account_id) as tx:
                seen += [line.id for line in reports.log_tail(tx, run.id, 500, seen[-1] if seen else 0)]
    assert seen == list(range(1, 82))  # the first is the run's start
