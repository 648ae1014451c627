"""A site that is written in the provider's batches, through a real Airflow."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pressroom.engine.runs import control
from tests.acceptance.newsroom import Newsroom
from tests.support.strict_batches import StrictBatches

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

CALL = Decimal("1.5")
"""Cents of an ordinary call."""


@pytest.fixture
def server(provider_of_batches: tuple[StrictBatches, str]) -> StrictBatches:
    """The provider, without what other tests left there."""
    provider_of_batches[0].clear()
    return provider_of_batches[0]


def batch_is_out(newsroom: Newsroom, server: StrictBatches, articles: int) -> str:
    """Start a run, and wait until its articles are at work in a batch. Returns the DAG run's id."""
    newsroom.queue(*(f"{newsroom.slug} {number}" for number in range(articles)))
    run = newsroom.trigger()
    newsroom.until(lambda: len(server.batches) == 1, "the batch of the articles")
    newsroom.until(lambda: newsroom.state_of(run, "content.work") == ["deferred"], "the task to defer")
    return run


def spent(newsroom: Newsroom) -> Decimal:
    [[cents]] = newsroom.sql("SELECT sum(cents) FROM ledger WHERE workflow_id = %(site)s AND kind = 'cost'")
    return Decimal(cents)


def batch_has_ended(newsroom: Newsroom) -> bool:
    return newsroom.sql("SELECT status FROM model_batches WHERE workflow_id = %(site)s") == [("ended",)]


@pytest.mark.site("batched")
def test_articles_and_image_prompts_come_in_batches_at_half_the_price(
    newsroom: Newsroom, server: StrictBatches
) -> None:
    run = batch_is_out(newsroom, server, 12)
    # The first article is written at once: what the server accepts is learned before a batch is sent.
    assert (newsroom.count("contents"), len(server.chats)) == (1, 1)
    newsroom.clear(run, "content.work")
    newsroom.until(lambda: newsroom.state_of(run, "content.work") != ["deferred"], "the clear")
    newsroom.until(lambda: newsroom.state_of(run, "content.work") == ["deferred"], "the task to attach again")
    # A pause has the provider cancel it: what it did is booked, and the rest is asked again afterwards.
    newsroom.steer("pause")
    newsroom.until(lambda: server.batches[0].status == "cancelled", "the provider to cancel")
    newsroom.until(lambda: batch_has_ended(newsroom), "its results to be booked")
    assert newsroom.sql("SELECT sum(cents) FROM ai_calls WHERE workflow_id = %(site)s") == [
        (CALL + CALL / 2,)
    ]
    newsroom.steer("resume")
    newsroom.until(lambda: len(server.batches) == 2, "a batch of the rest")
    server.work()
    newsroom.until(lambda: newsroom.count("contents") == 12, "the articles")
    newsroom.until(lambda: len(server.batches) == 3, "the batch of the image prompts")
    server.work()
    assert newsroom.finish(run) == "success", newsroom.events()[-10:]

    assert newsroom.run_status(run) == "completed"
    assert newsroom.count("images", "status = 'generated'") == 24
    assert newsroom.charged() == newsroom.owed() == 12 * (5 + 2 + 2 * 2)
    assert (len(server.chats), server.billed) == (1, 23)
    assert spent(newsroom) == CALL + 23 * CALL / 2
    assert spent(newsroom) / (24 * CALL) <= Decimal("0.55")
    assert newsroom.sql("SELECT reserved FROM accounts WHERE id = %(account)s") == [(0,)]


@pytest.mark.site("left")
def test_the_batch_of_a_failed_run_that_nobody_clears_is_collected_and_pays_for_the_next_run(
    newsroom: Newsroom, server: StrictBatches
) -> None:
    run = batch_is_out(newsroom, server, 4)
    known = len(server.chats)  # what the server accepts may be known from another site
    newsroom.api.mark(newsroom.dag_id, run, "failed")
    newsroom.until(lambda: newsroom.run_status(run) == "failed", "the run to end")
    assert not batch_has_ended(newsroom)
    server.work()
    # Somewhat later: the first look was at the end of the run.
    newsroom.sql("UPDATE model_batches SET looked_at = NULL WHERE workflow_id = %(site)s")
    newsroom.until(lambda: batch_has_ended(newsroom), "the sweep to collect it")
    assert spent(newsroom) == known * CALL + server.billed * CALL / 2
    assert newsroom.sql("SELECT count(*) FROM reservations WHERE workflow_id = %(site)s") == [(0,)]

    again = newsroom.trigger()
    newsroom.until(lambda: len(server.batches) == 2, "the batch of the image prompts")
    assert (newsroom.count("contents"), len(server.chats)) == (4, known)
    server.work()
    assert newsroom.finish(again) == "success", newsroom.events()[-10:]
    assert spent(newsroom) == known * CALL + (8 - known) * CALL / 2


@pytest.mark.site("halved")
def test_cancel_now_has_the_provider_cancel_and_books_what_it_did(
    newsroom: Newsroom, server: StrictBatches
) -> None:
    run = batch_is_out(newsroom, server, 4)
    written = newsroom.count("contents")
    with newsroom.store.transaction(newsroom.row.account_id) as tx:
        control.cancel(tx, newsroom.row.workflow_id, now=True)
    newsroom.until(lambda: newsroom.run_status(run) == "cancelled", "the run to end")
    newsroom.until(lambda: batch_has_ended(newsroom), "the batch to be booked")
    assert [batch.status for batch in server.batches] == ["cancelled"]
    assert (server.billed, spent(newsroom)) == (1, len(server.chats) * CALL + CALL / 2)
    assert (newsroom.count("contents"), newsroom.count("tasks", "status = 'queued'")) == (
        written,
        4 - written,
    )
    assert newsroom.sql("SELECT count(*) FROM reservations WHERE workflow_id = %(site)s") == [(0,)]


@pytest.mark.site("backed")
def test_a_batch_outlives_its_triggerer_and_what_it_leaves_is_written_by_the_fallback(
    newsroom: Newsroom, server: StrictBatches
) -> None:
    run = batch_is_out(newsroom, server, 4)
    asked = len(server.chats)
    newsroom.services.replace("triggerer")
    server.refuses_chats = True
    server.work(only=1, status="expired")
    newsroom.until(lambda: newsroom.count("contents") == 4, "the articles")
    newsroom.until(lambda: len(server.batches) == 2, "the batch of the image prompts")
    server.work()
    assert newsroom.finish(run) == "success", newsroom.events()[-10:]

    left = 3 - asked  # of four articles: those of the first calls, and one of the batch, are not asked again
    assert (server.billed, len(server.chats)) == (1 + 4, asked)
    assert newsroom.sql(
        "SELECT connection, count(*) FROM ai_calls WHERE workflow_id = %(site)s AND outcome = 'ok'"
        " AND kind = 'text' GROUP BY connection ORDER BY connection"
    ) == [("pressroom_backed", asked + 5), ("pressroom_text", left)]
    assert any("its fallback 'pressroom_text' takes its place" in event for event in newsroom.events())
