"""Gates on a real Postgres: answered once, by whoever holds the link, and decided by the database's clock."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from pressroom.domain.errors import AlreadyDone, PermanentError, PressroomError, RunConflict
from pressroom.domain.flows import GateStep
from pressroom.domain.run import Run
from pressroom.engine import gates
from pressroom.engine.gates import Gate, NoSuchGate, PageAnswer
from pressroom.pipelines.flow.items import FlowItem
from pressroom.store.database import Store, Tx
from tests.support.flow_world import FETCH, FlowWorld, entries, make_flow

TASK = {"dag_id": "flow__news", "run_id": "manual__1", "task_id": "item.look", "map_index": 0}
LAST = {"name": "last", "type": "ping", "connection": "hook"}


class Desk:
    """A flow with a gate, and its items at it."""

    def __init__(self, url: str, store: Store, **gate: Any) -> None:
        facts = {"name": "look", "type": "gate", "by": "webhook", **gate}
        self.world: FlowWorld = make_flow(url, store, FETCH, facts, LAST)
        self.world.sources = entries("one", "two")
        self.run: Run = self.world.run()
        self.items = self.world.take(self.run)
        step = self.world.flow.steps[1]
        assert isinstance(step, GateStep)
        self.step = step

    def tx(self) -> Any:
        return self.world.store.transaction(self.world.account_id)

    def open(self, item: int) -> str:
        with self.tx() as tx:
            link = gates.open_gate(tx, self.run, item, self.step, "Is it good?", TASK)
        assert link is not None
        return link

    def gate(self, item: int) -> Gate:
        with self.tx() as tx:
            return gates.gate_of(tx, item, "look")

    def answer(self, link: str, outcome: str = "approve", **data: Any) -> None:
        """As a webhook does."""
        number, token = link.split("/")
        with self.world.store.transaction() as tx:
            account, gate, _ = gates.find_by_link(tx, int(number), token)
            gates.answer(tx.for_account(account), gate.id, outcome, "a webhook", data, actor="webhook")

    def past(self, item: int) -> None:
        """Let the gate's time be over."""
        self.world.sql("UPDATE gates SET due_at = now() - interval '1 s' WHERE item_id = %s", item)

    def at(self, item: int, step: str = "look") -> FlowItem:
        found = self.world.at(self.run, step, item)
        assert found is not None
        return found

    def go_on(self, item: int) -> None:
        """What the task does once there is an outcome."""
        with self.tx() as tx:
            gates.apply_outcome(tx, self.run, self.at(item), self.step, gates.gate_of(tx, item, "look"))

    def packet(self, item: int) -> dict[str, Any]:
        return dict(
            self.world.sql("SELECT data FROM packets WHERE item_id = %s ORDER BY id DESC", item)[0][0]
        )


@pytest.fixture
def desk(database_url: str, store: Store) -> Desk:
    return Desk(database_url, store)


# The link -----------------------------------------------------------------------------------------------


def test_an_answer_lets_the_item_on(desk: Desk) -> None:
    one, two = desk.items
    desk.answer(desk.open(one), note="fine")
    assert desk.gate(one).outcome == "approve"
    desk.go_on(one)
    assert desk.packet(one) == {"outcome": "approve", "by": "a webhook", "note": "fine"}
    assert desk.at(one, "last").step == "last"
    assert desk.at(two).step == "look"


def test_it_works_once(desk: Desk) -> None:
    link = desk.open(desk.items[0])
    desk.answer(link)
    with pytest.raises(RunConflict, match=r"answered already \(approve, by a webhook\)"):
        desk.answer(link, "reject")
    assert desk.gate(desk.items[0]).outcome == "approve"


def test_it_is_too_late_when_its_time_is_over(desk: Desk) -> None:
    item = desk.items[0]
    link = desk.open(item)
    desk.past(item)
    with pytest.raises(RunConflict, match="this has expired"):
        desk.answer(link)
    # Nor may somebody who needs no link, when nothing has looked at the clock yet.
    number = int(link.split("/")[0])
    with pytest.raises(RunConflict, match="this has expired"), desk.tx() as tx:
        gates.answer(tx, number, "approve", "ann", actor="user:ann")
    assert desk.gate(item).outcome == "reject"


def test_only_its_own_token_opens_it(desk: Desk) -> None:
    one, two = (desk.open(item) for item in desk.items)
    (first, token), (second, other) = one.split("/"), two.split("/")
    wrong = [f"{first}/{other}", f"{second}/{token}", f"{first}/{token[:-1]}", f"{first}/{token}x",
             f"{first}/", f"{first}/{token.swapcase()}", f"999/{token}", f"0/{token}", f"-1/{token}",
             f"{2**80}/{token}", f"{first}/\x00"]  # fmt: skip
    for link in wrong:
        with pytest.raises(NoSuchGate, match=r"^no open gate has this link$"):
            desk.answer(link)
    assert [desk.gate(item).outcome for item in desk.items] == [None, None]


def test_the_stored_hash_is_no_token(desk: Desk) -> None:
    number = desk.open(desk.items[0]).split("/")[0]
    [(kept,)] = desk.world.sql("SELECT token_hash FROM gates")
    with pytest.raises(NoSuchGate):
        desk.answer(f"{number}/{kept}")


def test_tokens_are_long_and_never_the_same(desk: Desk) -> None:
    tokens = [desk.open(desk.items[0]).split("/")[1] for _ in range(20)]
    assert len(set(tokens)) == 20
    assert min(map(len, tokens)) >= 43  # 256 bits


def test_opening_it_again_makes_the_old_link_void(desk: Desk) -> None:
    item = desk.items[0]
    old, new = desk.open(item), desk.open(item)
    assert old.split("/")[0] == new.split("/")[0]
    with pytest.raises(NoSuchGate):
        desk.answer(old)
    desk.answer(new)


def test_an_answer_stands_when_it_is_opened_again(desk: Desk) -> None:
    item = desk.items[0]
    desk.answer(desk.open(item), "reject")
    with desk.tx() as tx:
        assert gates.open_gate(tx, desk.run, item, desk.step, "Is it good?", TASK) is None
    assert desk.gate(item).outcome == "reject"


def test_the_secret_is_nowhere_but_in_the_link(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    item = desk.items[0]
    link = desk.open(item)
    desk.answer(link, note="fine")
    desk.go_on(item)
    token = link.split("/")[1]
    tables = desk.world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [str(desk.world.sql(f'SELECT t::text FROM "{name}" AS t')) for (name,) in tables]  # noqa: S608
    assert any("a webhook" in row for row in rows)
    assert not any(token in row for row in rows)
    assert token not in caplog.text


# Who is first ---------------------------------------------------------------------------------------------


def test_of_many_answers_at_once_one_counts(desk: Desk) -> None:
    link = desk.open(desk.items[0])

    def attempt(number: int) -> str | None:
        try:
            desk.answer(link, "approve" if number % 2 else "reject", number=number)
        except RunConflict:
            return None
        return "approve" if number % 2 else "reject"

    with ThreadPoolExecutor(8) as pool:
        won = [one for one in pool.map(attempt, range(24)) if one is not None]
    assert [desk.gate(desk.items[0]).outcome] == won


def test_an_answer_that_waited_for_another_one_does_not_count(desk: Desk) -> None:
    item = desk.items[0]
    link, gate = desk.open(item), desk.gate(item)
    with ThreadPoolExecutor(1) as pool:
        with desk.tx() as tx:
            gates.answer(tx, gate.id, "approve", "a webhook", actor="webhook")
            second = pool.submit(desk.answer, link, "reject")
            until_one_waits(desk)
        with pytest.raises(RunConflict):
            second.result(60)
    assert desk.gate(item).outcome == "approve"
    assert desk.world.sql("SELECT count(*) FROM audit_log WHERE action = 'gate.answer'") == [(1,)]


def until_one_waits(desk: Desk) -> None:
    """Wait until a statement waits for a row."""
    for _ in range(6000):
        (waiting,) = desk.world.sql(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )[0]
        if waiting:
            return
        time.sleep(0.01)
    raise AssertionError("nothing waits")


def test_an_answer_and_the_time_never_both_count(desk: Desk) -> None:
    item = desk.items[0]
    link = desk.open(item)
    desk.world.sql("UPDATE gates SET due_at = now() + interval '0.2 s'")

    def attempt(number: int) -> bool:
        if number % 2:
            desk.gate(item)
            return False
        try:
            desk.answer(link, "approve")
        except PressroomError:
            return False
        return True

    desk.world.sql("SELECT pg_sleep(0.15)")
    with ThreadPoolExecutor(8) as pool:
        answered = sum(pool.map(attempt, range(60)))
    desk.world.sql("SELECT pg_sleep(0.2)")
    assert answered <= 1
    assert desk.gate(item).outcome == ("approve" if answered else "reject")


def test_two_workers_let_an_item_on_once(desk: Desk) -> None:
    item = desk.items[0]
    desk.answer(desk.open(item))
    found = desk.at(item)
    desk.go_on(item)
    with pytest.raises(AlreadyDone), desk.tx() as tx:
        gates.apply_outcome(tx, desk.run, found, desk.step, gates.gate_of(tx, item, "look"))
    assert len(desk.world.packets(item)) == 2


# The time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "outcome", "status"),
    [
        ({"on_timeout": "approve"}, "approve", "active"),
        ({"on_timeout": "reject"}, "reject", "rejected"),
        ({"on_timeout": "fail"}, "fail", "failed"),
        ({"on_timeout": "fail", "on_failure": "continue"}, "fail", "active"),
        ({"on_timeout": "fail", "on_failure": "skip_item"}, "fail", "skipped"),
        ({"by": "approval", "on_timeout": "approve"}, "approve", "active"),
        ({"by": "time", "on_timeout": "reject"}, "approve", "active"),
    ],
    ids=str,
)
def test_nobody_answers(
    database_url: str, store: Store, gate: dict[str, Any], outcome: str, status: str
) -> None:
    desk = Desk(database_url, store, timeout_hours=1, **gate)
    item = desk.items[0]
    desk.open(item)
    assert desk.gate(item).outcome is None
    left = desk.world.sql("SELECT due_at - now() BETWEEN '59 min' AND '1 h' FROM gates")
    assert left == [(True,)]
    desk.past(item)
    found = desk.gate(item)
    assert (found.outcome, found.answered_by) == (outcome, "the time")
    desk.go_on(item)
    assert desk.world.state(item)[0] == status
    if outcome == "fail":
        assert desk.packet(item)["error"].startswith("nobody answered until ")
        assert len(desk.world.events("item_failed")) == 1
        assert desk.world.close(desk.run) == "partial"


def test_a_rejected_item_is_not_taken_up_again_and_a_failed_one_is(database_url: str, store: Store) -> None:
    desk = Desk(database_url, store, on_timeout="fail")
    one, two = desk.items
    desk.answer(desk.open(one), "reject")
    desk.open(two)
    desk.past(two)
    for item in (one, two):
        desk.go_on(item)
    desk.world.close(desk.run)
    again = desk.world.take(desk.world.run("second"))
    assert [desk.world.state(item)[1] for item in again] == ["two"]


def test_who_clears_a_gate_that_nobody_answered_may_answer_it_then(database_url: str, store: Store) -> None:
    desk = Desk(database_url, store, on_timeout="fail")
    item = desk.items[0]
    desk.open(item)
    desk.past(item)
    desk.go_on(item)
    desk.world.close(desk.run)
    desk.world.run()  # opened again
    assert desk.at(item).packets[-1].kind == "error"
    link = desk.open(item)
    assert desk.gate(item).outcome is None
    desk.answer(link)
    desk.go_on(item)
    assert desk.at(item, "last").packets[-1].data["outcome"] == "approve"


def test_a_restart_in_between_changes_no_outcome(database_url: str, store: Store) -> None:
    """The task died between the time-out and letting the item on: the gate stays as it was decided."""
    desk = Desk(database_url, store, on_timeout="fail")
    item = desk.items[0]
    desk.open(item)
    desk.past(item)
    assert desk.gate(item).outcome == "fail"
    with desk.tx() as tx:
        assert gates.open_gate(tx, desk.run, item, desk.step, "Is it good?", TASK) is None
    assert desk.gate(item).outcome == "fail"


# Airflow's page -------------------------------------------------------------------------------------------


def page(desk: Desk, item: int, outcome: str, by: str | None, seconds: float) -> None:
    """What the page kept, ``seconds`` before or after the gate's time was over; it is read now."""
    [(due,)] = desk.world.sql("SELECT due_at FROM gates WHERE item_id = %s", item)
    with desk.tx() as tx:
        at = due + timedelta(seconds=seconds)
        gates.page_answer(tx, item, "look", PageAnswer(outcome, by, {"text": "Better."}, at))


@pytest.mark.parametrize(
    ("by", "seconds", "due", "outcome", "answered_by"),
    [
        ("ann", -60, False, "approve", "ann"),
        ("ann", -60, True, "approve", "ann"),
        ("ann", 1, True, "fail", "the time"),
        (None, -1, False, "fail", "the time"),
        (None, 1, True, "fail", "the time"),
    ],
    ids=["in time", "in time, read late", "late", "Airflow's clock is ahead", "nobody"],
)
def test_what_airflows_page_kept(
    database_url: str, store: Store, by: str | None, seconds: float, due: bool, outcome: str, answered_by: str
) -> None:
    desk = Desk(database_url, store, by="approval", on_timeout="fail")
    item = desk.items[0]
    desk.open(item)
    if due:
        desk.past(item)
    desk.world.member("ann", "approver")
    page(desk, item, "approve", by, seconds)
    found = desk.gate(item)
    assert (found.outcome, found.answered_by) == (outcome, answered_by)
    desk.go_on(item)
    assert desk.world.state(item)[0] == ("active" if outcome == "approve" else "failed")


def test_an_answer_that_is_on_record_stands(desk: Desk) -> None:
    item = desk.items[0]
    desk.answer(desk.open(item), "reject")
    page(desk, item, "approve", "ann", -60)
    assert desk.gate(item).outcome == "reject"


# What comes with an answer ----------------------------------------------------------------------------------


def test_an_edit_is_the_items_newest_text(desk: Desk) -> None:
    item = desk.items[0]
    desk.answer(desk.open(item), text="Better words.")
    desk.go_on(item)
    newest = desk.at(item, "last").last("text")
    assert newest is not None
    assert newest.data == {"text": "Better words.", "edited_by": "a webhook"}


@pytest.mark.parametrize("text", ["", "  ", None, 5, ["x"]])
def test_what_is_no_text_is_no_edit(desk: Desk, text: object) -> None:
    item = desk.items[0]
    desk.answer(desk.open(item), text=text)
    desk.go_on(item)
    assert desk.at(item, "last").last("text") is None


def test_who_rejects_edits_nothing(desk: Desk) -> None:
    item = desk.items[0]
    desk.answer(desk.open(item), "reject", text="Better words.")
    desk.go_on(item)
    assert [kind for _, _, kind in desk.world.packets(item)] == ["source", "answer"]
    assert desk.world.state(item)[0] == "rejected"


def test_an_answer_cannot_say_who_gave_it(desk: Desk) -> None:
    item = desk.items[0]
    desk.answer(desk.open(item), outcome_="x", by="the boss")
    desk.go_on(item)
    assert desk.packet(item)["by"] == "a webhook"


def test_whatever_comes_with_an_answer_can_be_stored(desk: Desk) -> None:
    item = desk.items[0]
    deep: Any = "end"
    for _ in range(500):
        deep = [deep]
    odd = {
        "nul": "a\x00b",
        "deep": deep,
        "inf": float("inf"),
        "\x00key": 1,
        "big": 10**400,
        "long": "x" * 300_000,
    }
    desk.answer(desk.open(item), **odd)
    desk.go_on(item)
    kept = desk.packet(item)
    assert kept["nul"] in ("ab", "a b")
    assert (kept["inf"], kept["big"], len(kept["long"])) == (None, None, gates.ANSWER_CHARS)
    assert len(json.dumps(kept)) < 2 * gates.ANSWER_CHARS


# Other ways to fail -----------------------------------------------------------------------------------------


def test_an_item_that_is_at_no_gate(desk: Desk) -> None:
    with pytest.raises(NoSuchGate, match=f"item {desk.items[0]} is at no gate look"):
        desk.gate(desk.items[0])


def test_a_gate_that_cannot_be_opened_fails_its_item(desk: Desk) -> None:
    item = desk.items[0]
    with desk.tx() as tx:
        gates.fail(tx, desk.run, desk.at(item), desk.step, PermanentError("no words for it"))
    assert desk.world.state(item)[0] == "failed"
    assert desk.world.events("item_failed") == [f"{item} failed (PermanentError): no words for it"]
    assert desk.world.close(desk.run) == "partial"


def test_open_gates_are_listed_and_another_accounts_are_not(desk: Desk) -> None:
    one, two = desk.items
    desk.open(one)
    desk.answer(desk.open(two))

    def listed(tx: Tx, **options: bool) -> list[int]:
        return [gate.item_id for gate in gates.gates(tx, desk.world.flow_id, **options)]

    with desk.tx() as tx:
        assert (listed(tx), listed(tx, open_only=False)) == ([one], [one, two])
    with desk.world.store.transaction(desk.world.account_id + 1) as tx:
        assert listed(tx, open_only=False) == []
        with pytest.raises(RunConflict):
            gates.answer(tx, 1, "approve", "a stranger", actor="user:eve")
