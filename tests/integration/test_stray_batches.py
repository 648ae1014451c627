"""A batch whose run is over is collected once it has ended, without a clear or another run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import JSONResponse

from pressroom.domain.errors import ConfigurationError, TransientError
from pressroom.engine.runs import control
from tests.support.airflow_library import airflow_as_library
from tests.support.batch_desk import HALF, PRICES, BatchDesk

with airflow_as_library():
    from pressroom.orchestration.server import stray_batches
    from pressroom.orchestration.server.collect_batches import collect
    from pressroom.orchestration.server.stray_batches import StrayBatches
    from pressroom.orchestration.tools.connections import Connections

pytestmark = pytest.mark.integration


def end(desk: BatchDesk, *, cancelled: bool = False) -> None:
    with desk.world.store.transaction(desk.world.account_id) as tx:
        if cancelled:
            control.cancel(tx, desk.world.site_id, desk.run.id)
        control.close_run(tx, desk.run.id, failed=None if cancelled else "its disk was full")


def look(desk: BatchDesk) -> None:
    """What the sweep and its collector do, all in this process."""
    extra = {"model": "m", "prices": PRICES, "timeout_seconds": 1}
    fields = SimpleNamespace(
        host=desk.url, schema="", port=None, login="", password="sk-test", extra_dejson=extra
    )
    connections = Connections({"text": fields}.__getitem__, lambda name: None, (KeyError,))
    with desk.world.store.transaction() as tx:
        due = tx.rows("claim_stray_batches")
    for row in due:
        asyncio.run(collect(desk.world.store, connections, row["account_id"], row["id"]))


def later(desk: BatchDesk) -> None:
    """Let the time pass after which it is looked at again."""
    desk.world.sql("UPDATE model_batches SET looked_at = looked_at - interval '10 minutes 1 second'")


def statuses(desk: BatchDesk) -> list[str]:
    return [status for (status,) in desk.world.sql("SELECT status FROM model_batches ORDER BY id")]


def next_run(desk: BatchDesk) -> None:
    desk.run = desk.world.run("manual__2")
    with desk.world.store.transaction(desk.world.account_id) as tx:
        tx.run("plan_stage", run=desk.run.id, stage="ideas", planned=9, skipped=None)


def test_a_failed_runs_batch_is_booked_and_kept_and_the_next_run_pays_nothing(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(4)
    batch_desk.prepare(keys)
    held = batch_desk.held[1]
    end(batch_desk)
    # The credits are free, and the cents are held for what the provider may still do: a cap counts them.
    assert batch_desk.held == (0, held)
    assert held > 0
    look(batch_desk)
    assert (statuses(batch_desk), batch_desk.spent) == (["submitted"], Decimal(0))
    batch_desk.server.work()
    look(batch_desk)
    assert statuses(batch_desk) == ["submitted"]  # it is not due yet
    later(batch_desk)
    look(batch_desk)
    assert (statuses(batch_desk), batch_desk.spent, batch_desk.held) == (["ended"], 4 * HALF, (0, 0))
    assert batch_desk.events[-1] == (
        "batch_ended", "ideas: the provider's batch batch_0 is completed: 4 answers",
    )  # fmt: skip
    later(batch_desk)
    look(batch_desk)
    assert batch_desk.spent == 4 * HALF

    next_run(batch_desk)
    assert batch_desk.write(keys).done == 4
    assert (batch_desk.server.chats, len(batch_desk.server.batches)) == ([], 1)
    assert (batch_desk.spent, batch_desk.held) == (4 * HALF, (0, 0))
    assert batch_desk.world.sql("SELECT count(*) FROM ai_cache") == [(4,)]


def test_a_cancelled_runs_batch_is_cancelled_and_what_it_did_is_booked(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(3)
    batch_desk.prepare(keys)
    batch_desk.server.cancels_slowly = True
    end(batch_desk, cancelled=True)
    look(batch_desk)
    assert batch_desk.server.batches[0].status == "cancelling"
    assert statuses(batch_desk) == ["submitted"]
    batch_desk.server.work(only=1, status="cancelled")
    later(batch_desk)
    look(batch_desk)
    assert (statuses(batch_desk), batch_desk.spent, batch_desk.held) == (["ended"], HALF, (0, 0))

    next_run(batch_desk)
    batch_desk.prepare(keys)  # the rest goes into another one
    batch_desk.server.work()
    assert batch_desk.prepare(keys) is None
    assert batch_desk.write(keys).done == 3
    assert (batch_desk.server.billed, batch_desk.server.chats) == (3, [])


def test_a_batch_of_unknown_submission_is_looked_for_and_taken_in(batch_desk: BatchDesk) -> None:
    batch_desk.server.at_create = lambda: JSONResponse({"error": {"message": "bad gateway"}}, 502)
    with pytest.raises(TransientError):
        batch_desk.prepare(batch_desk.items(2))
    batch_desk.server.at_create = lambda: None
    end(batch_desk)
    batch_desk.world.sql("UPDATE model_batches SET attempted_at = attempted_at - interval '1 minute'")
    look(batch_desk)
    assert batch_desk.world.sql("SELECT external_id FROM model_batches") == [("batch_0",)]
    batch_desk.server.work()
    later(batch_desk)
    look(batch_desk)
    assert (statuses(batch_desk), batch_desk.spent, batch_desk.held) == (["ended"], 2 * HALF, (0, 0))


def test_a_batch_that_was_never_made_is_ended_and_holds_nothing(batch_desk: BatchDesk) -> None:
    batch_desk.server.before_create = lambda: JSONResponse({"error": {"message": "bad gateway"}}, 502)
    with pytest.raises(TransientError):
        batch_desk.prepare(batch_desk.items(2))
    end(batch_desk)
    batch_desk.world.sql("UPDATE model_batches SET attempted_at = attempted_at - interval '1 minute'")
    look(batch_desk)
    assert statuses(batch_desk) == ["refused"]
    assert (batch_desk.spent, batch_desk.held) == (Decimal(0), (0, 0))


@pytest.mark.parametrize("gone", ["the batch", "its results"])
def test_what_the_provider_has_deleted_is_booked_at_its_bound(batch_desk: BatchDesk, gone: str) -> None:
    keys = batch_desk.items(2)
    batch_desk.prepare(keys)
    held = batch_desk.held[1]
    end(batch_desk)
    batch_desk.server.work()
    batch_desk.server.files.clear()
    if gone == "the batch":
        batch_desk.server.batches.clear()
    look(batch_desk)
    assert (statuses(batch_desk), batch_desk.spent, batch_desk.held) == (["ended"], held, (0, 0))
    assert "the provider no longer has the batch batch_0 or its results" in batch_desk.events[-1][1]
    assert batch_desk.world.sql("SELECT DISTINCT outcome FROM ai_calls") == [("BatchLost",)]
    next_run(batch_desk)
    assert batch_desk.write(keys).done == 2
    assert len(batch_desk.server.chats) == 2


def test_a_deleted_batch_holds_up_no_run_that_waits_for_it(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(2)
    batch_desk.prepare(keys)
    batch_desk.server.batches.clear()
    assert batch_desk.working() is None
    assert batch_desk.prepare(keys) is None
    assert batch_desk.write(keys).done == 2
    assert len(batch_desk.server.chats) == 2


def test_a_batch_of_a_run_that_goes_on_is_none_of_the_sweeps(batch_desk: BatchDesk) -> None:
    batch_desk.prepare(batch_desk.items(1))
    batch_desk.server.work()
    look(batch_desk)
    assert (statuses(batch_desk), batch_desk.spent) == (["submitted"], Decimal(0))


def test_a_provider_that_is_down_or_a_connection_that_is_gone_is_asked_again_later(
    batch_desk: BatchDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_desk.prepare(batch_desk.items(1))
    end(batch_desk)
    with monkeypatch.context() as down:
        down.setattr(batch_desk, "url", "http://127.0.0.1:9/v1")
        with pytest.raises(TransientError):
            look(batch_desk)
    empty: dict[str, Any] = {}
    nothing = Connections(empty.__getitem__, lambda name: None, (KeyError,))
    [[number]] = batch_desk.world.sql("SELECT id FROM model_batches")
    with pytest.raises(ConfigurationError, match="'text' does not exist"):
        asyncio.run(collect(batch_desk.world.store, nothing, batch_desk.world.account_id, number))
    batch_desk.server.work()
    later(batch_desk)
    look(batch_desk)
    assert batch_desk.spent == HALF


def test_a_held_cap_counts_a_batch_that_an_ended_run_left(batch_desk: BatchDesk) -> None:
    batch_desk.prepare(batch_desk.items(2))
    held = batch_desk.held[1]
    end(batch_desk)
    with batch_desk.world.store.transaction(batch_desk.world.account_id) as tx:
        sums = tx.rows("spent_cents", workflow=batch_desk.world.site_id, run=batch_desk.run.id)[0]
    assert (Decimal(sums["held_workflow"]), Decimal(sums["held_account"])) == (held, held)


class Started:
    """Processes that the sweep would begin."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.code: int | None = None
        self.killed = 0

    def begin(self, batches: list[str]) -> Any:
        self.batches.append(batches)
        return SimpleNamespace(poll=lambda: self.code, kill=self._kill)

    def _kill(self) -> None:
        self.killed += 1


def test_the_sweep_begins_one_collector_at_a_time_and_none_without_need(
    batch_desk: BatchDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started()
    monkeypatch.setattr(stray_batches, "begin", started.begin)
    sweep = StrayBatches(batch_desk.world.store)
    batch_desk.prepare(batch_desk.items(1))
    sweep.look()
    assert started.batches == []
    end(batch_desk)
    sweep.look()
    later(batch_desk)
    sweep.look()  # the first one is still at work
    [[number]] = batch_desk.world.sql("SELECT id FROM model_batches")
    assert started.batches == [[f"{batch_desk.world.account_id}:{number}"]]
    monkeypatch.setattr(stray_batches, "LONGEST", -1)
    sweep.look()
    assert started.killed == 1
    started.code = -9
    sweep.look()
    assert len(started.batches) == 2


def test_the_collector_is_a_process_that_finds_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, env, stdin: begun.append((command, env)))
    stray_batches.begin(["1:2"])
    [(command, env)] = begun
    assert command == [sys.executable, "-m", stray_batches.COLLECTOR, "1:2"]
    assert env["PYTHONPATH"].split(":") == [path for path in sys.path if path]
