"""Batches of a provider: submitted once, read once, paid at their own price, whatever is killed in between.

The real SDK, engine, ledger and runner, against a strict server.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from pressroom.adapters.models.openai_batches import OpenAIBatches
from pressroom.domain.errors import TransientError
from pressroom.engine.models.open_batches import OpenBatches
from pressroom.pipelines.stage import Key
from tests.support.batch_desk import HALF, WHOLE, BatchDesk

pytestmark = pytest.mark.integration


def test_a_batch_writes_at_half_the_price(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(6)
    assert batch_desk.prepare(keys) is not None
    assert batch_desk.held[0] == 12
    assert batch_desk.held[1] > 0
    assert batch_desk.working() is not None
    assert batch_desk.prepare(keys) is not None  # a second look submits nothing
    batch_desk.server.work()
    assert batch_desk.working() is None
    assert batch_desk.prepare(keys) is None
    assert batch_desk.write(keys).done == 6
    assert (len(batch_desk.server.batches), batch_desk.server.chats, batch_desk.written) == (1, [], 6)
    assert (batch_desk.spent, batch_desk.held) == (6 * HALF, (0, 0))
    assert batch_desk.world.sql("SELECT sum(credits) FROM ledger WHERE kind = 'charge'") == [(-12,)]
    assert [kind for kind, _ in batch_desk.events] == ["batch_submitted", "batch_ended"]
    calls = batch_desk.world.sql("SELECT outcome, prompt_tokens, completion_tokens, cents FROM ai_calls")
    assert calls == [("ok", 1000, 500, HALF)] * 6


class Killed(BaseException):
    """The process ends here, between the request and the record of its answer."""


def killed_in(
    owner: type, method: str, batch_desk: BatchDesk, keys: Sequence[Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepare a batch of the items, by a process that is killed where it calls this method."""

    async def dies(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as killed:
        killed.setattr(owner, method, dies)
        with pytest.raises(Killed):
            batch_desk.prepare(keys)


def test_killed_between_submit_and_record_one_batch_is_billed(
    batch_desk: BatchDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = batch_desk.items(4)

    killed_in(OpenBatches, "submitted", batch_desk, keys, monkeypatch)
    assert len(batch_desk.server.batches) == 1
    assert batch_desk.prepare(keys) is not None  # it is found by its mark
    batch_desk.server.work()
    assert batch_desk.prepare(keys) is None
    assert batch_desk.write(keys).done == 4
    assert (len(batch_desk.server.batches), batch_desk.server.billed, batch_desk.spent) == (1, 4, 4 * HALF)
    assert batch_desk.server.chats == []


def test_killed_before_it_was_sent_another_one_is_made(
    batch_desk: BatchDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = batch_desk.items(2)

    killed_in(OpenAIBatches, "submit", batch_desk, keys, monkeypatch)
    assert batch_desk.server.batches == []
    assert batch_desk.prepare(keys) is not None
    batch_desk.server.work()
    assert batch_desk.prepare(keys) is None
    batch_desk.write(keys)
    assert (len(batch_desk.server.batches), batch_desk.spent, batch_desk.held) == (1, 2 * HALF, (0, 0))


def test_an_answer_to_the_submission_that_is_lost_is_looked_for(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(2)
    batch_desk.server.at_create = lambda: JSONResponse({"error": {"message": "bad gateway"}}, 502)
    with pytest.raises(TransientError):
        batch_desk.prepare(keys)
    batch_desk.server.at_create = lambda: None
    assert batch_desk.prepare(keys) is not None
    assert len(batch_desk.server.batches) == 1


def test_nobody_looks_before_the_submission_of_another_process_is_over(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(2)
    batch_desk.server.at_create = lambda: JSONResponse({"error": {"message": "bad gateway"}}, 502)
    with pytest.raises(TransientError):
        batch_desk.prepare(keys)
    batch_desk.patience = 60
    later = batch_desk.prepare(keys)
    assert later is not None
    assert later - datetime.now(later.tzinfo) > timedelta(seconds=30)
    assert batch_desk.world.sql("SELECT external_id FROM model_batches") == [(None,)]


def test_killed_while_its_results_are_read_they_are_booked_once(
    batch_desk: BatchDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = batch_desk.items(3)
    batch_desk.prepare(keys)
    batch_desk.server.work()

    killed_in(OpenBatches, "_end", batch_desk, keys, monkeypatch)
    assert batch_desk.spent == 0
    assert batch_desk.prepare(keys) is None
    assert batch_desk.prepare(keys) is None
    assert batch_desk.spent == 3 * HALF
    assert batch_desk.write(keys).done == 3
    assert batch_desk.spent == 3 * HALF


def test_a_batch_is_found_behind_a_hundred_others(
    batch_desk: BatchDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = batch_desk.items(1)
    batch_desk.server.at_create = lambda: JSONResponse({"error": {"message": "bad gateway"}}, 502)
    with pytest.raises(TransientError):
        batch_desk.prepare(keys)
    [ours] = batch_desk.server.batches
    others = [type(ours)(f"other_{number}", "f", {"pressroom_batch": "x"}) for number in range(150)]
    batch_desk.server.batches[:0] = others
    batch_desk.server.at_create = lambda: None
    assert batch_desk.prepare(keys) is not None
    assert batch_desk.world.sql("SELECT external_id FROM model_batches") == [(ours.id,)]


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_what_a_batch_left_is_written_by_ordinary_calls(batch_desk: BatchDesk, status: str) -> None:
    keys = batch_desk.items(5)
    batch_desk.prepare(keys)
    batch_desk.server.work(only=2, status=status)
    assert batch_desk.prepare(keys) is None
    assert batch_desk.spent == 2 * HALF
    assert batch_desk.write(keys).done == 5
    assert (len(batch_desk.server.chats), len(batch_desk.server.batches)) == (3, 1)
    assert (batch_desk.spent, batch_desk.held) == (2 * HALF + 3 * WHOLE, (0, 0))


def test_a_batch_that_is_refused_as_a_whole_says_why(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(2)
    batch_desk.prepare(keys)
    batch_desk.server.fail("Enqueued token limit reached for m")
    assert batch_desk.prepare(keys) is None
    assert batch_desk.write(keys).done == 2
    assert "Enqueued token limit reached" in batch_desk.events[-1][1]
    assert (batch_desk.spent, batch_desk.held) == (2 * WHOLE, (0, 0))


def test_failed_and_unusable_answers_go_the_ordinary_way(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(4)
    broken = {"role": "assistant", "content": '{"title": "Only a title"}'}
    filtered = {"role": "assistant", "content": ""}
    used = {"prompt_tokens": 1000, "completion_tokens": 500}

    def line(message: Any, finish: str) -> dict[str, Any]:
        choices = [{"index": 0, "message": message, "finish_reason": finish}]
        return {"response": {"status_code": 200, "body": {"choices": choices, "usage": used}}}

    batch_desk.server.spoilt = {
        f"<{keys[0]}>": {"response": {"status_code": 500, "body": {"error": {"message": "oops"}}}},
        f"<{keys[1]}>": line(broken, "stop"),
        f"<{keys[2]}>": line(filtered, "content_filter"),
    }
    batch_desk.prepare(keys)
    batch_desk.server.work()
    assert batch_desk.prepare(keys) is None
    report = batch_desk.write(keys)
    assert (report.done, report.failed) == (3, 1)
    # The first is asked anew, the second is told what was wrong, the third is its own failure.
    assert sorted(len(chat["messages"]) for chat in batch_desk.server.chats) == [2, 4]
    assert batch_desk.world.sql("SELECT item, error_class FROM item_failures") == [
        (str(keys[2]), "FilteredAnswer")
    ]
    assert batch_desk.spent == 3 * HALF + 2 * WHOLE


def test_a_server_without_the_endpoint_is_asked_as_always(batch_desk: BatchDesk) -> None:
    batch_desk.server.missing = True
    keys = batch_desk.items(2)
    assert batch_desk.prepare(keys) is None
    assert batch_desk.write(keys).done == 2
    [(kind, message)] = batch_desk.events
    assert kind == "batch_refused"
    assert "the server has no batch endpoint (it answered 404); its items are written by ordinary" in message
    assert batch_desk.held == (0, 0)
    [[learned]] = batch_desk.world.sql("SELECT learned->'batches' FROM model_dialects")
    assert learned is False


def test_a_stopped_batch_is_cancelled_and_booked_and_the_rest_is_asked_later(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(4)
    batch_desk.prepare(keys)
    batch_desk.server.cancels_slowly = True
    assert batch_desk.stop() is False
    assert batch_desk.server.batches[0].status == "cancelling"
    batch_desk.server.work(only=1, status="cancelled")
    assert batch_desk.stop() is True
    assert (batch_desk.spent, batch_desk.held[1]) == (HALF, 0)
    assert batch_desk.prepare(keys) is not None  # what is left goes into another one
    batch_desk.server.work()
    assert batch_desk.prepare(keys) is None
    assert batch_desk.write(keys).done == 4
    assert (batch_desk.server.billed, batch_desk.spent, batch_desk.server.chats) == (4, 4 * HALF, [])


def test_a_later_run_takes_over_the_batch_of_one_that_died(batch_desk: BatchDesk) -> None:
    keys = batch_desk.items(3)
    batch_desk.prepare(keys)
    batch_desk.world.sql("UPDATE runs SET status = 'failed', completed_at = now()")
    batch_desk.world.sql("DELETE FROM reservations")
    batch_desk.run = batch_desk.world.run("manual__2")
    with batch_desk.world.store.transaction(batch_desk.world.account_id) as tx:
        tx.run("plan_stage", run=batch_desk.run.id, stage="ideas", planned=3, skipped=None)
    assert batch_desk.prepare(keys) is not None
    batch_desk.server.work()
    assert batch_desk.prepare(keys) is None
    assert batch_desk.write(keys).done == 3
    assert (len(batch_desk.server.batches), batch_desk.server.chats, batch_desk.spent) == (1, [], 3 * HALF)
    assert batch_desk.held == (0, 0)


def refused(status: int, words: str) -> Response:
    return JSONResponse({"error": {"message": words}}, status)


def test_a_submission_that_is_refused_is_no_failure_of_the_items(batch_desk: BatchDesk) -> None:
    batch_desk.server.before_create = lambda: refused(400, "batches are not for this organization")
    keys = batch_desk.items(2)
    assert batch_desk.prepare(keys) is None
    assert batch_desk.write(keys).done == 2
    assert "not for this organization" in batch_desk.events[0][1]
    assert batch_desk.held == (0, 0)
