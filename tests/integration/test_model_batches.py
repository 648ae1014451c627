"""Batches of a provider: submitted once, read once, paid at their own price, whatever is killed in between.

The real SDK, engine, ledger and runner, against a strict server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from pressroom.adapters.models.openai_batches import OpenAIBatches
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.domain.errors import TransientError
from pressroom.domain.model import Prompt
from pressroom.domain.run import Run
from pressroom.engine.models.batches import Batches
from pressroom.engine.models.dialects import StoredDialects
from pressroom.engine.models.text import TextEngine
from pressroom.engine.runs.batch import Report, run_batch, workable
from pressroom.pipelines.stage import Key, Saved, Stage
from pressroom.store.database import Store, Tx
from tests.support.model_desk import Note
from tests.support.served import served
from tests.support.strict_batches import StrictBatches
from tests.support.world import World, make_world

pytestmark = pytest.mark.integration

PRICES = {"input_cents_per_million": 1000, "output_cents_per_million": 2000, "batch_share": 0.5}
WHOLE, HALF = Decimal(2), Decimal(1)
"""Cents of one answer, by an ordinary call and in a batch."""


class Desk:
    """A stage of notes, asked in batches; each method is a process of its own."""

    def __init__(self, world: World, server: StrictBatches, url: str) -> None:
        self.world, self.server, self.url = world, server, url
        self.run = world.run()
        self.patience = 0.0
        with world.store.transaction(world.account_id) as tx:
            tx.run("plan_stage", run=self.run.id, stage="ideas", planned=9, skipped=None)

    def items(self, number: int) -> list[Key]:
        return list(self.world.clusters(number))

    def prepare(self, keys: Sequence[Key], **extra: Any) -> datetime | None:
        """Bring the batches forward."""

        async def work() -> datetime | None:
            async with self._model(**extra) as model:
                engine, batches = self._of(model)
                items = await self.world.store.run(self.world.account_id, workable, STAGE, self.run, keys)
                return await batches.prepare(STAGE, items, tools(engine))

        return asyncio.run(work())

    def write(self, keys: Sequence[Key], **extra: Any) -> Report:
        """Work through the items as always."""

        async def work() -> Report:
            async with self._model(**extra) as model:
                engine, _ = self._of(model)
                return await run_batch(
                    STAGE, self.run, keys, store=self.world.store, tools_for=tools(engine), concurrency=4
                )

        return asyncio.run(work())

    def stop(self) -> bool:
        async def work() -> bool:
            async with self._model() as model:
                return await self._of(model)[1].stop()

        return asyncio.run(work())

    def working(self) -> datetime | None:
        async def work() -> datetime | None:
            async with self._model() as model:
                return await self._of(model)[1].working("ideas")

        return asyncio.run(work())

    def _model(self, **extra: Any) -> OpenAIText:
        more = {"model": "m", "prices": PRICES, "timeout_seconds": 5, **extra}
        settings = ConnectionSettings.from_connection("text", host=self.url, password="sk-test", extra=more)
        return OpenAIText(settings, dialects=StoredDialects(self.world.store))

    def _of(self, model: OpenAIText) -> tuple[TextEngine, Batches]:
        price = text_price(model.settings, model.model)
        engine = TextEngine(model, self.world.store, price, model.settings.limits)
        engine.in_batches = True
        batches = Batches(self.world.store, self.run, engine, model, OpenAIBatches(model), self.patience)
        return engine, batches

    @property
    def written(self) -> int:
        [[number]] = self.world.sql("SELECT count(*) FROM clusters WHERE status = 'planned'")
        return int(number)

    @property
    def spent(self) -> Decimal:
        [[cents]] = self.world.sql("SELECT coalesce(sum(cents), 0) FROM ledger WHERE kind = 'cost'")
        return Decimal(cents)

    @property
    def held(self) -> tuple[Any, ...]:
        [row] = self.world.sql("SELECT coalesce(sum(credits), 0), coalesce(sum(cents), 0) FROM reservations")
        return tuple(row)

    @property
    def events(self) -> list[tuple[str, str]]:
        rows = self.world.sql(
            "SELECT kind, message FROM run_events WHERE kind ~ '^batch_(s|e|r)' ORDER BY id"
        )
        return [(row[0], row[1]) for row in rows]


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> list[int]:
    statement = "SELECT id FROM clusters WHERE status = 'new' AND id = ANY(%s) ORDER BY id"
    return [row[0] for row in tx._connection.execute(statement, [list(keys)]).fetchall()]


async def process(item: int, tools: Any) -> Note:
    written: Note = await tools.text.generate(Prompt("note", "You write.", f"Note <{item}>.", 200), Note)
    return written


def save(tx: Tx, run: Run, item: int, output: Note) -> Saved:
    tx._connection.execute("UPDATE clusters SET status = 'planned' WHERE id = %s", [item])
    return Saved(created=1)


STAGE: Stage[int, Note] = Stage(
    name="ideas", title="notes", pending=lambda tx, run: [], load=load, process=process, save=save, key=str,
    result_fields={}, charge=lambda run, item: Decimal(2), by_batch=True,
)  # fmt: skip


def tools(engine: TextEngine) -> Any:
    return lambda scope: SimpleNamespace(text=engine.bound(scope, 0.7))


@pytest.fixture(scope="module")
def batch_server() -> Iterator[tuple[StrictBatches, str]]:
    server = StrictBatches()
    with served(server.app) as url:
        yield server, f"{url}/v1"


@pytest.fixture
def desk(database_url: str, store: Store, batch_server: tuple[StrictBatches, str]) -> Desk:
    server, url = batch_server
    server.clear()
    return Desk(make_world(database_url, store), server, url)


def test_a_batch_writes_at_half_the_price(desk: Desk) -> None:
    keys = desk.items(6)
    assert desk.prepare(keys) is not None
    assert desk.held[0] == 12
    assert desk.held[1] > 0
    assert desk.working() is not None
    assert desk.prepare(keys) is not None  # a second look submits nothing
    desk.server.work()
    assert desk.working() is None
    assert desk.prepare(keys) is None
    assert desk.write(keys).done == 6
    assert (len(desk.server.batches), desk.server.chats, desk.written) == (1, [], 6)
    assert (desk.spent, desk.held) == (6 * HALF, (0, 0))
    assert desk.world.sql("SELECT sum(credits) FROM ledger WHERE kind = 'charge'") == [(-12,)]
    assert [kind for kind, _ in desk.events] == ["batch_submitted", "batch_ended"]
    calls = desk.world.sql("SELECT outcome, prompt_tokens, completion_tokens, cents FROM ai_calls")
    assert calls == [("ok", 1000, 500, HALF)] * 6


class Killed(BaseException):
    """The process ends here, between the request and the record of its answer."""


def killed_in(
    owner: type, method: str, desk: Desk, keys: Sequence[Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepare a batch of the items, by a process that is killed where it calls this method."""

    async def dies(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as killed:
        killed.setattr(owner, method, dies)
        with pytest.raises(Killed):
            desk.prepare(keys)


def test_killed_between_submit_and_record_one_batch_is_billed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = desk.items(4)

    killed_in(Batches, "_submitted", desk, keys, monkeypatch)
    assert len(desk.server.batches) == 1
    assert desk.prepare(keys) is not None  # it is found by its mark
    desk.server.work()
    assert desk.prepare(keys) is None
    assert desk.write(keys).done == 4
    assert (len(desk.server.batches), desk.server.billed, desk.spent) == (1, 4, 4 * HALF)
    assert desk.server.chats == []


def test_killed_before_it_was_sent_another_one_is_made(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = desk.items(2)

    killed_in(OpenAIBatches, "submit", desk, keys, monkeypatch)
    assert desk.server.batches == []
    assert desk.prepare(keys) is not None
    desk.server.work()
    assert desk.prepare(keys) is None
    desk.write(keys)
    assert (len(desk.server.batches), desk.spent, desk.held) == (1, 2 * HALF, (0, 0))


def test_an_answer_to_the_submission_that_is_lost_is_looked_for(desk: Desk) -> None:
    keys = desk.items(2)
    desk.server.at_create = lambda: JSONResponse({"error": {"message": "bad gateway"}}, 502)
    with pytest.raises(TransientError):
        desk.prepare(keys)
    desk.server.at_create = lambda: None
    assert desk.prepare(keys) is not None
    assert len(desk.server.batches) == 1


def test_nobody_looks_before_the_submission_of_another_process_is_over(desk: Desk) -> None:
    keys = desk.items(2)
    desk.server.at_create = lambda: JSONResponse({"error": {"message": "bad gateway"}}, 502)
    with pytest.raises(TransientError):
        desk.prepare(keys)
    desk.patience = 60
    later = desk.prepare(keys)
    assert later is not None
    assert later - datetime.now(later.tzinfo) > timedelta(seconds=30)
    assert desk.world.sql("SELECT external_id FROM model_batches") == [(None,)]


def test_killed_while_its_results_are_read_they_are_booked_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = desk.items(3)
    desk.prepare(keys)
    desk.server.work()

    killed_in(Batches, "_end", desk, keys, monkeypatch)
    assert desk.spent == 0
    assert desk.prepare(keys) is None
    assert desk.prepare(keys) is None
    assert desk.spent == 3 * HALF
    assert desk.write(keys).done == 3
    assert desk.spent == 3 * HALF


def test_a_batch_is_found_behind_a_hundred_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = desk.items(1)
    desk.server.at_create = lambda: JSONResponse({"error": {"message": "bad gateway"}}, 502)
    with pytest.raises(TransientError):
        desk.prepare(keys)
    [ours] = desk.server.batches
    others = [type(ours)(f"other_{number}", "f", {"pressroom_batch": "x"}) for number in range(150)]
    desk.server.batches[:0] = others
    desk.server.at_create = lambda: None
    assert desk.prepare(keys) is not None
    assert desk.world.sql("SELECT external_id FROM model_batches") == [(ours.id,)]


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_what_a_batch_left_is_written_by_ordinary_calls(desk: Desk, status: str) -> None:
    keys = desk.items(5)
    desk.prepare(keys)
    desk.server.work(only=2, status=status)
    assert desk.prepare(keys) is None
    assert desk.spent == 2 * HALF
    assert desk.write(keys).done == 5
    assert (len(desk.server.chats), len(desk.server.batches)) == (3, 1)
    assert (desk.spent, desk.held) == (2 * HALF + 3 * WHOLE, (0, 0))


def test_a_batch_that_is_refused_as_a_whole_says_why(desk: Desk) -> None:
    keys = desk.items(2)
    desk.prepare(keys)
    desk.server.fail("Enqueued token limit reached for m")
    assert desk.prepare(keys) is None
    assert desk.write(keys).done == 2
    assert "Enqueued token limit reached" in desk.events[-1][1]
    assert (desk.spent, desk.held) == (2 * WHOLE, (0, 0))


def test_failed_and_unusable_answers_go_the_ordinary_way(desk: Desk) -> None:
    keys = desk.items(4)
    broken = {"role": "assistant", "content": '{"title": "Only a title"}'}
    filtered = {"role": "assistant", "content": ""}
    used = {"prompt_tokens": 1000, "completion_tokens": 500}

    def line(message: Any, finish: str) -> dict[str, Any]:
        choices = [{"index": 0, "message": message, "finish_reason": finish}]
        return {"response": {"status_code": 200, "body": {"choices": choices, "usage": used}}}

    desk.server.spoilt = {
        f"<{keys[0]}>": {"response": {"status_code": 500, "body": {"error": {"message": "oops"}}}},
        f"<{keys[1]}>": line(broken, "stop"),
        f"<{keys[2]}>": line(filtered, "content_filter"),
    }
    desk.prepare(keys)
    desk.server.work()
    assert desk.prepare(keys) is None
    report = desk.write(keys)
    assert (report.done, report.failed) == (3, 1)
    # The first is asked anew, the second is told what was wrong, the third is its own failure.
    assert sorted(len(chat["messages"]) for chat in desk.server.chats) == [2, 4]
    assert desk.world.sql("SELECT item, error_class FROM item_failures") == [(str(keys[2]), "FilteredAnswer")]
    assert desk.spent == 3 * HALF + 2 * WHOLE


def test_a_server_without_the_endpoint_is_asked_as_always(desk: Desk) -> None:
    desk.server.missing = True
    keys = desk.items(2)
    assert desk.prepare(keys) is None
    assert desk.write(keys).done == 2
    [(kind, message)] = desk.events
    assert kind == "batch_refused"
    assert "the server has no batch endpoint (it answered 404); its items are written by ordinary" in message
    assert desk.held == (0, 0)
    [[learned]] = desk.world.sql("SELECT learned->'batches' FROM model_dialects")
    assert learned is False


def test_a_stopped_batch_is_cancelled_and_booked_and_the_rest_is_asked_later(desk: Desk) -> None:
    keys = desk.items(4)
    desk.prepare(keys)
    desk.server.cancels_slowly = True
    assert desk.stop() is False
    assert desk.server.batches[0].status == "cancelling"
    desk.server.work(only=1, status="cancelled")
    assert desk.stop() is True
    assert (desk.spent, desk.held[1]) == (HALF, 0)
    assert desk.prepare(keys) is not None  # what is left goes into another one
    desk.server.work()
    assert desk.prepare(keys) is None
    assert desk.write(keys).done == 4
    assert (desk.server.billed, desk.spent, desk.server.chats) == (4, 4 * HALF, [])


def test_a_later_run_takes_over_the_batch_of_one_that_died(desk: Desk) -> None:
    keys = desk.items(3)
    desk.prepare(keys)
    desk.world.sql("UPDATE runs SET status = 'failed', completed_at = now()")
    desk.world.sql("DELETE FROM reservations")
    desk.run = desk.world.run("manual__2")
    with desk.world.store.transaction(desk.world.account_id) as tx:
        tx.run("plan_stage", run=desk.run.id, stage="ideas", planned=3, skipped=None)
    assert desk.prepare(keys) is not None
    desk.server.work()
    assert desk.prepare(keys) is None
    assert desk.write(keys).done == 3
    assert (len(desk.server.batches), desk.server.chats, desk.spent) == (1, [], 3 * HALF)
    assert desk.held == (0, 0)


def refused(status: int, words: str) -> Response:
    return JSONResponse({"error": {"message": words}}, status)


def test_a_submission_that_is_refused_is_no_failure_of_the_items(desk: Desk) -> None:
    desk.server.before_create = lambda: refused(400, "batches are not for this organization")
    keys = desk.items(2)
    assert desk.prepare(keys) is None
    assert desk.write(keys).done == 2
    assert "not for this organization" in desk.events[0][1]
    assert desk.held == (0, 0)
