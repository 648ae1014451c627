"""What a flow has taken up of its sources, and how its items move, on a real Postgres."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pressroom.domain.errors import (
    AlreadyDone,
    ConfigurationError,
    PermanentError,
    TransientError,
)
from pressroom.domain.run import Run
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import Stop
from pressroom.pipelines.flow.items import FlowItem, Outcome, fail, move
from pressroom.testing import FakeText
from tests.support.flow_world import (
    AUTO,
    FEED,
    FETCH,
    LAST,
    PING,
    WRITE,
    FlowWorld,
    Make,
    broken,
    entries,
    mended,
    refused,
)


def at(world: FlowWorld, run: Run, step: str, item: int) -> FlowItem:
    found = world.at(run, step, item)
    assert found is not None
    return found


def claims(world: FlowWorld) -> dict[str, bool]:
    """Source id → whether it is taken for good."""
    rows = world.sql(
        "SELECT source_id, committed_at IS NOT NULL FROM flow_claims WHERE flow_id = %s", world.flow_id
    )
    return dict(rows)


# Claims -----------------------------------------------------------------------------------------------


def test_a_second_run_over_the_same_source_makes_no_items(make: Make) -> None:
    world = make(FETCH, PING)
    world.sources = entries("one", "two")
    first = world.run("first")
    assert [world.state(item) for item in world.work(first)] == [("done", "one"), ("done", "two")]
    assert claims(world) == {"one": True, "two": True}
    assert world.close(first) == "completed"
    second = world.run("second")
    assert world.take(second) == []
    assert world.close(second) == "completed"


def test_the_cap_leaves_the_rest_for_the_next_run(make: Make) -> None:
    world = make(FETCH | {"source": FEED | {"cap": 2, "start": "all"}}, PING)
    world.sources = entries("one", "two", "three", "four", "five")
    taken = []
    for number in range(4):
        run = world.run(f"run {number}")
        taken.append([world.state(item)[1] for item in world.work(run)])
        world.close(run)
    assert taken == [["one", "two"], ["three", "four"], ["five"], []]


def test_what_is_claimed_is_held_while_its_run_is_live(make: Make) -> None:
    world = make(FETCH, PING)
    world.sources = entries("one")
    first = world.run("first")
    [item] = world.take(first)
    assert claims(world) == {"one": False}
    second = world.run("second")  # a flow may have several runs at once
    assert world.take(second) == []
    world.step(first, "tell", item)
    assert claims(world) == {"one": True}


def test_a_failed_item_is_free_for_the_next_run(make: Make) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one", "two")
    broken(world)
    first = world.run("first")
    items = world.work(first)
    assert [world.state(item)[0] for item in items] == ["failed", "failed"]
    assert claims(world) == {}
    assert world.close(first) == "partial"
    mended(world)
    second = world.run("second")
    again = world.work(second)
    assert [world.state(item) for item in again] == [("done", "one"), ("done", "two")]
    assert not set(again) & set(items)
    assert [world.state(item)[0] for item in items] == ["failed", "failed"]


@pytest.mark.parametrize("ending", ["agent_skipped", "skipped", "rejected", "done"])
def test_what_ended_otherwise_is_not_taken_up_again(make: Make, ending: str) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one")
    first = world.run("first")
    [item] = world.take(first)
    found = at(world, first, "write", item)
    with world.store.transaction(world.account_id) as tx:
        move(tx, first, found, world.flow.steps[1], Outcome([], "end" if ending == "done" else ending, "so"))
    assert world.state(item) == (ending, "one")
    world.close(first)
    assert world.take(world.run("second")) == []


def test_two_runs_at_once_never_share_an_item(make: Make) -> None:
    world = make(FETCH, PING)
    world.sources = entries(*[f"entry{number}" for number in range(10)])
    runs = [world.run(f"run {number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(world.take, runs))
    active = world.sql("SELECT source_id FROM flow_items WHERE status = 'active'")
    assert sorted(active) == sorted((f"entry{number}",) for number in range(10))
    lost = world.sql("SELECT reason FROM flow_items WHERE status <> 'active'")
    assert set(lost) <= {("taken up by another run",)}
    assert sum(len(one) for one in taken) == 10 + len(lost)
    assert len(claims(world)) == 10


def test_what_an_ended_run_never_finished_is_taken_up_by_the_next(make: Make) -> None:
    world = make(FETCH, PING, LAST)
    world.sources = entries("one", "two")
    first = world.run("first")
    one, two = world.take(first)
    world.step(first, "tell", one)
    world.step(first, "last", one)
    world.step(first, "tell", two)
    assert world.close(first) == "partial"
    assert world.state(two) == ("failed", "two")
    [(reason,)] = world.sql("SELECT reason FROM flow_items WHERE id = %s", two)
    assert reason == "the run ended before the step last was done"
    second = world.run("second")
    [again] = world.work(second)
    assert world.state(again) == ("done", "two")


def test_the_opening_stage_does_its_work_once(make: Make) -> None:
    world = make(FETCH, PING)
    world.sources = entries("one")
    run = world.run()
    taken = world.take(run)
    world.sources = entries("one", "two")
    assert world.take(run) == taken  # cleared: the run has its items


def test_a_flow_that_is_only_a_fetch_is_done_with_what_it_saw(make: Make) -> None:
    world = make(FETCH)
    world.sources = entries("one")
    first = world.run("first")
    [item] = world.take(first)
    assert world.state(item) == ("done", "one")
    assert claims(world) == {"one": True}


def test_an_item_of_the_trigger_is_taken_up_once(make: Make) -> None:
    world = make(PING)
    first = world.run("first", item={"id": "order-7", "title": "Seven"})
    [item] = world.work(first)
    assert world.state(item) == ("done", "order-7")
    assert world.work(world.run("second", item={"id": "order-7"})) == []
    assert len(world.work(world.run("third"))) == 1
    assert len(world.work(world.run("fourth"))) == 1  # without an id each run is an item of its own


# Moving on ----------------------------------------------------------------------------------------------


def test_packets_are_numbered_in_order_and_never_change(make: Make) -> None:
    world = make(FETCH, WRITE, AUTO, PING)
    world.sources = entries("one")
    [item] = world.work(world.run())
    assert world.packets(item) == [
        (1, "read", "source"), (2, "write", "text"), (3, "blog", "published"), (4, "tell", "note"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("on_failure", "ending", "last_ran"),
    [("stop", "failed", False), ("continue", "done", True), ("skip_item", "skipped", False),
     ("go to last", "done", True)],
)  # fmt: skip
def test_on_failure(make: Make, on_failure: str, ending: str, last_ran: bool) -> None:
    world = make(FETCH, WRITE | {"on_failure": on_failure}, PING, LAST)
    world.sources = entries("one")
    broken(world)
    run = world.run()
    [item] = world.work(run)
    assert world.state(item)[0] == ending
    steps = [step for _, step, _ in world.packets(item)]
    assert ("last" in steps) is last_ran
    assert ("tell" in steps) is (on_failure == "continue")
    [(data,)] = world.sql("SELECT data FROM packets WHERE item_id = %s AND kind = 'error'", item)
    assert data == {"error": "the model cannot do it", "error_class": "PermanentError"}
    assert claims(world) == ({} if ending == "failed" else {"one": True})
    assert len(world.events("item_failed")) == 1
    assert world.close(run) == "partial"


def test_of_a_defect_only_the_class_is_told(make: Make) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one")
    world.text = FakeText({"TextAnswer": ValueError("token=s3cret\x00")})
    run = world.run()
    [item] = world.take(run)
    with pytest.raises(ValueError, match="s3cret"):
        world.step(run, "write", item)
    told = world.sql("SELECT status, reason FROM flow_items WHERE id = %s", item)
    assert told == [("failed", "write: unexpected ValueError")]
    [(data,)] = world.sql("SELECT data FROM packets WHERE item_id = %s AND kind = 'error'", item)
    assert data == {"error": "unexpected ValueError", "error_class": "ValueError"}


def test_a_reason_is_kept_without_what_postgres_cannot_hold(make: Make) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one")
    world.text = FakeText({"TextAnswer": PermanentError("no\x00thing")})
    [item] = world.work(world.run())
    told = world.sql("SELECT status, reason FROM flow_items WHERE id = %s", item)
    assert told == [("failed", "write: nothing")]


def test_one_items_failure_holds_no_other(make: Make) -> None:
    world = make(FETCH, WRITE, PING)
    world.sources = entries("one", "two", "three")
    world.text = FakeText(
        {"TextAnswer": lambda prompt: refused() if "Two" in prompt.user else {"text": "fine"}}
    )
    items = world.work(world.run())
    assert [world.state(item)[0] for item in items] == ["done", "failed", "done"]


def test_what_may_pass_is_tried_again_and_leaves_no_packet(make: Make) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one")
    world.text = FakeText({"TextAnswer": [TransientError("away"), {"text": "here"}]})
    run = world.run()
    [item] = world.take(run)
    assert world.step(run, "write", item).waiting
    assert world.state(item)[0] == "active"
    assert world.step(run, "write", item).done == 1
    assert [kind for _, _, kind in world.packets(item)] == ["source", "text"]


def test_what_never_passes_fails_with_the_last_try(make: Make) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one")
    world.text = FakeText({"TextAnswer": TransientError("away")})
    run = world.run()
    [item] = world.take(run)
    assert world.step(run, "write", item, last_try=True).failed == 1
    assert world.state(item)[0] == "failed"


def test_a_wrong_set_up_fails_the_task_and_not_the_item(make: Make) -> None:
    world = make(FETCH, AUTO | {"to": "nowhere"})
    world.sources = entries("one")
    run = world.run()
    [item] = world.take(run)
    with pytest.raises(ConfigurationError):
        world.step(run, "blog", item)
    assert world.state(item)[0] == "active"


@pytest.mark.parametrize("step", ["write", "draw"])
def test_a_wrong_key_of_a_model_is_no_attempt_of_an_item(make: Make, step: str) -> None:
    draw = {"name": "draw", "type": "media", "prompt": "{{ item.title }}"}
    world = make(FETCH, WRITE if step == "write" else draw)
    world.sources = entries("one")
    error = ConfigurationError("the key is refused")
    right, world.text, world.images.error = world.text, FakeText({"TextAnswer": error}), error
    for number in range(4):  # one more than an item of a site has attempts
        run = world.run(f"manual__{number}")
        [item] = world.take(run)
        with pytest.raises(ConfigurationError):
            world.step(run, step, item, last_try=True)
        assert world.state(item)[0] == "active"
        world.close(run)
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    world.text, world.images.error = right, None
    assert [world.state(item)[0] for item in world.work(world.run("manual__mended"))] == ["done"]


def test_who_comes_second_moves_nothing(make: Make) -> None:
    world = make(FETCH, PING, LAST)
    world.sources = entries("one")
    run = world.run()
    [item] = world.take(run)
    found = at(world, run, "tell", item)
    world.step(run, "tell", item)
    step = world.flow.steps[1]
    late = Outcome([("note", {"late": True})])
    with pytest.raises(AlreadyDone, match="at tell"), world.store.transaction(world.account_id) as tx:
        move(tx, run, found, step, late)
    with pytest.raises(AlreadyDone, match="at tell"), world.store.transaction(world.account_id) as tx:
        fail(tx, run, found, step, PermanentError("late"))
    assert len(world.packets(item)) == 2
    assert world.step(run, "tell", item).done == 0  # nothing is there to be done


def test_who_fails_second_fails_nothing(make: Make) -> None:
    """A worker that lost the item while the model thought: the failure is no longer the item's."""
    world = make(FETCH, WRITE, LAST)
    world.sources = entries("one")
    run = world.run()
    [item] = world.take(run)

    def overtaken(_: Any) -> Exception:
        with world.store.transaction(world.account_id) as tx:
            move(
                tx,
                run,
                at(world, run, "write", item),
                world.flow.steps[1],
                Outcome([("text", {"text": "x"})]),
            )
        return refused()

    world.text = FakeText({"TextAnswer": overtaken})
    report = world.step(run, "write", item)
    assert (report.failed, report.done) == (0, 0)
    assert world.events("item_failed") == []
    assert at(world, run, "last", item).packets[-1].kind == "text"


def test_a_cleared_run_takes_a_failed_item_up_again_at_its_step(make: Make) -> None:
    world = make(FETCH, PING, WRITE, LAST)
    world.sources = entries("one")
    broken(world)
    run = world.run()
    [item] = world.work(run)
    assert world.state(item)[0] == "failed"
    assert world.at(run, "write", item) is None  # not before somebody clears it
    world.close(run)
    mended(world)
    run = world.run()
    assert claims(world) == {}
    assert [world.step(run, name, item).done for name in ("tell", "write", "last")] == [0, 1, 1]
    assert world.state(item) == ("done", "one")
    assert claims(world) == {"one": True}
    steps = [(step, kind) for _, step, kind in world.packets(item)]
    assert steps[1:] == [("tell", "note"), ("write", "error"), ("write", "text"), ("last", "note")]
    assert world.close(run) == "completed"


def test_but_not_what_another_run_has_taken_up_meanwhile(make: Make) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one")
    broken(world)
    first = world.run("first")
    [item] = world.work(first)
    world.close(first)
    mended(world)
    [again] = world.work(world.run("second"))
    first = world.run("first")
    assert world.step(first, "write", item).done == 0
    assert [world.state(one)[0] for one in (item, again)] == ["failed", "done"]


def test_nor_when_that_happens_while_it_is_worked_on(make: Make) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one")
    broken(world)
    first = world.run("first")
    [item] = world.work(first)
    world.close(first)
    first = world.run("first")
    found = at(world, first, "write", item)
    [again] = world.take(world.run("second"))
    with pytest.raises(AlreadyDone), world.store.transaction(world.account_id) as tx:
        move(tx, first, found, world.flow.steps[1], Outcome())
    assert [world.state(one)[0] for one in (item, again)] == ["failed", "active"]


def test_a_pause_and_a_cancellation_stop_before_the_next_step(make: Make) -> None:
    world = make(FETCH, PING)
    world.sources = entries("one")
    run = world.run()
    [item] = world.take(run)
    with world.store.transaction(world.account_id) as tx:
        control.pause(tx, world.flow_id)
    assert world.step(run, "tell", item).stop is Stop.PAUSED
    with world.store.transaction(world.account_id) as tx:
        control.resume(tx, world.flow_id)
        control.cancel(tx, world.flow_id)
    assert world.step(run, "tell", item).stop is Stop.CANCELLED
    assert world.state(item)[0] == "active"
    assert world.close(run) == "cancelled"


def test_what_waits_is_counted_by_step(make: Make) -> None:
    world = make(FETCH, PING, LAST)
    world.sources = entries("one", "two", "three")
    run = world.run()
    items = world.take(run)
    world.step(run, "tell", items[0])
    with world.store.transaction(world.account_id) as tx:
        assert world.pipeline.waiting(tx, world.flow_id) == {"tell": 2, "last": 1}
    world.close(run)
    with world.store.transaction(world.account_id) as tx:
        assert world.pipeline.waiting(tx, world.flow_id) == {}
