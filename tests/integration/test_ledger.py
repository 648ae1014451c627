"""Credits and cents on a real Postgres: reserved, settled, capped, never overspent, never changed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from pressroom.domain.errors import CapReached, InsufficientCredits, PermanentError, PressroomError
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import Caps, CostScope
from pressroom.store.database import Store
from tests.support.world import World, make_world

pytestmark = pytest.mark.integration


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store, credits=10)


@pytest.fixture
def scope(world: World) -> CostScope:
    return CostScope(world.account_id, world.site_id, world.run().id, "content", "1")


def balance(world: World) -> tuple[Decimal, Decimal]:
    with world.store.transaction(world.account_id) as tx:
        return ledger.balance(tx)


def test_reserve_settle_and_release(world: World, scope: CostScope) -> None:
    with world.store.transaction(world.account_id) as tx:
        ledger.reserve(tx, scope, Decimal(4))
    assert balance(world) == (Decimal(10), Decimal(4))
    with world.store.transaction(world.account_id) as tx:
        ledger.reserve(tx, scope, Decimal(5))  # replaces
    assert balance(world) == (Decimal(10), Decimal(5))
    with world.store.transaction(world.account_id) as tx:
        ledger.settle(tx, scope, Decimal(5))
        ledger.reserve(tx, replace(scope, item="2"), Decimal(3))
    assert balance(world) == (Decimal(5), Decimal(3))
    with world.store.transaction(world.account_id) as tx:
        ledger.release(tx, replace(scope, item="2"))
    assert balance(world) == (Decimal(5), Decimal(0))
    assert world.sql("SELECT sum(credits) FROM ledger") == [(Decimal(5),)]


def test_release_run_frees_everything(world: World, scope: CostScope) -> None:
    with world.store.transaction(world.account_id) as tx:
        for item in "123":
            ledger.reserve(tx, replace(scope, item=item), Decimal(2))
        assert ledger.release_run(tx, scope.run_id) == 3
    assert balance(world) == (Decimal(10), Decimal(0))


def test_more_than_there_is_is_refused(world: World, scope: CostScope) -> None:
    with world.store.transaction(world.account_id) as tx:
        ledger.reserve(tx, scope, Decimal(8))
    with (
        pytest.raises(InsufficientCredits, match=r"3 credits are needed .* 2.00 are available"),
        world.store.transaction(world.account_id) as tx,
    ):
        ledger.reserve(tx, replace(scope, item="2"), Decimal(3))
    assert balance(world) == (Decimal(10), Decimal(8))


def test_two_at_once_cannot_overspend(world: World, scope: CostScope) -> None:
    """Both look before either writes; the table's own check lets one of them through."""
    both = threading.Barrier(2)

    def take(item: str) -> bool:
        try:
            with world.store.transaction(world.account_id) as tx:
                ledger.balance(tx)
                both.wait(5)
                ledger.reserve(tx, replace(scope, item=item), Decimal(6))
            return True
        except InsufficientCredits:
            return False

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(take, ["1", "2"])) == [False, True]
    assert balance(world) == (Decimal(10), Decimal(6))


def test_the_ledger_cannot_be_changed(world: World) -> None:
    for statement in ("UPDATE ledger SET credits = 99", "DELETE FROM ledger", "TRUNCATE ledger CASCADE"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            world.sql(statement)
    assert balance(world) == (Decimal(10), Decimal(0))


def test_the_same_fact_is_entered_once(world: World, scope: CostScope) -> None:
    with world.store.transaction(world.account_id) as tx:
        assert ledger.grant(tx, Decimal(7), entry_key="gift")
        assert not ledger.grant(tx, Decimal(7), entry_key="gift")
        ledger.settle(tx, scope, Decimal(2))
    assert balance(world) == (Decimal(15), Decimal(0))
    with pytest.raises(PermanentError), world.store.transaction(world.account_id) as tx:
        ledger.settle(tx, scope, Decimal(2))
    assert balance(world) == (Decimal(15), Decimal(0))


def test_a_failed_transaction_charges_nothing(world: World, scope: CostScope) -> None:
    class Crash(Exception):
        pass

    def crash() -> None:
        with world.store.transaction(world.account_id) as tx:
            ledger.settle(tx, scope, Decimal(5))
            raise Crash

    with pytest.raises(Crash):
        crash()
    assert balance(world) == (Decimal(10), Decimal(0))


@pytest.mark.parametrize("name", ["run", "workflow_month", "account_month", "account_total"])
def test_each_cap_stops_new_calls(world: World, scope: CostScope, name: str) -> None:
    capped = replace(scope, caps=Caps(**{name: Decimal(10)}))
    with world.store.transaction(world.account_id) as tx:
        ledger.hold_cents(tx, capped, Decimal(6))
    with (
        pytest.raises(CapReached, match=name.replace("_", " ")),
        world.store.transaction(world.account_id) as tx,
    ):
        ledger.hold_cents(tx, replace(capped, item="2"), Decimal(6))
    with world.store.transaction(world.account_id) as tx:
        ledger.book_cost(tx, capped, Decimal(1), held=Decimal(6), entry_key="call:1", note="m")
        ledger.hold_cents(tx, replace(capped, item="2"), Decimal(6))
        ledger.book_cost(
            tx, replace(capped, item="2"), Decimal(9), held=Decimal(6), entry_key="call:2", note="m"
        )
    with pytest.raises(CapReached), world.store.transaction(world.account_id) as tx:
        ledger.hold_cents(tx, replace(capped, item="3"), Decimal(0))
    assert world.sql("SELECT spent_cents FROM accounts") == [(Decimal(10),)]


def test_caps_of_run_and_site_do_not_count_others(world: World, scope: CostScope, database_url: str) -> None:
    with world.store.transaction(world.account_id) as tx:
        ledger.book_cost(tx, scope, Decimal(10), held=Decimal(0), entry_key="call:1", note="m")
    other = make_world(database_url, world.store, slug="other", credits=0)
    caps = Caps(run=Decimal(10), workflow_month=Decimal(10))
    elsewhere = CostScope(other.account_id, other.site_id, other.run("manual__9").id, "content", "1", caps)
    with world.store.transaction(world.account_id) as tx:
        ledger.hold_cents(tx, elsewhere, Decimal(5))
    with pytest.raises(CapReached), world.store.transaction(world.account_id) as tx:
        ledger.hold_cents(tx, replace(elsewhere, caps=Caps(account_month=Decimal(14))), Decimal(5))


def test_two_calls_cannot_both_see_the_last_cent(world: World, scope: CostScope) -> None:
    capped = replace(scope, caps=Caps(run=Decimal(10)))

    def hold(item: str) -> bool:
        try:
            with world.store.transaction(world.account_id) as tx:
                ledger.hold_cents(tx, replace(capped, item=item), Decimal(6))
            return True
        except PressroomError:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(hold, "abcd")) == 1


def test_the_balance_is_the_ledgers_sum(world: World, scope: CostScope) -> None:
    with world.store.transaction(world.account_id) as tx:
        for number in range(3):
            ledger.settle(tx, replace(scope, item=str(number)), Decimal("1.25"))
            ledger.book_cost(tx, scope, Decimal("0.1"), held=Decimal(0), entry_key=f"call:{number}", note="m")
    assert world.sql(
        "SELECT balance = sum(credits), spent_cents = sum(cents)"
        " FROM ledger, accounts GROUP BY balance, spent_cents"
    ) == [(True, True)]


def test_whoever_locks_the_account_stands_in_nobodys_way(database_url: str, store: Store) -> None:
    """Each row that refers to the account locks its key: who locks the account must not wait for those."""
    world = make_world(database_url, store)
    shared = "INSERT INTO rate_limits VALUES ('c', 'requests', now()) ON CONFLICT DO NOTHING"

    def lock() -> None:
        with world.store.transaction(world.account_id) as tx:
            tx.run("lock_account")

    def until_waiting(number: int) -> None:
        for _ in range(1000):
            waiting = world.sql(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if len(waiting) == number:
                return
            time.sleep(0.01)
        raise AssertionError(f"{number} do not wait")

    update = "UPDATE accounts SET name = name WHERE id = %s"
    with (
        ThreadPoolExecutor(3) as pool,
        psycopg.connect(database_url) as first,
        psycopg.connect(database_url) as second,
        psycopg.connect(database_url) as third,
    ):
        second.execute(shared)
        third.execute(update, [world.account_id])
        first.execute("INSERT INTO ai_cache VALUES (%s, 'k', 'a', 'm')", [world.account_id])
        behind = pool.submit(first.execute, shared)  # waits for the second one
        until_waiting(1)
        locking = pool.submit(lock)  # waits for the third one
        until_waiting(2)
        updating = pool.submit(second.execute, update, [world.account_id])
        until_waiting(3)
        third.commit()
        updating.result(20)
        second.commit()
        behind.result(20)
        first.commit()
        locking.result(20)
