"""A site that is written in the provider's batches, through a real Airflow."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.acceptance.newsroom import Newsroom
from tests.support.strict_batches import StrictBatches

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

CALL = Decimal("1.5")
"""Cents of an ordinary call."""


@pytest.mark.site("batched")
def test_articles_and_image_prompts_come_in_batches_at_half_the_price(
    newsroom: Newsroom, batches: tuple[StrictBatches, str]
) -> None:
    server, _ = batches
    newsroom.queue(*(f"Batched {number}" for number in range(12)))
    run = newsroom.trigger()
    # The first article is written at once: what the server accepts is learned before a batch is sent.
    newsroom.until(lambda: len(server.batches) == 1, "the batch of the articles")
    newsroom.until(lambda: newsroom.state_of(run, "content.work") == ["deferred"], "the task to defer")
    assert (newsroom.count("contents"), len(server.chats)) == (1, 1)
    newsroom.clear(run, "content.work")
    newsroom.until(lambda: newsroom.state_of(run, "content.work") != ["deferred"], "the clear")
    newsroom.until(lambda: newsroom.state_of(run, "content.work") == ["deferred"], "the task to attach again")
    # A pause has the provider cancel it: what it did is booked, and the rest is asked again afterwards.
    newsroom.steer("pause")
    newsroom.until(lambda: server.batches[0].status == "cancelled", "the provider to cancel")
    newsroom.until(
        lambda: newsroom.sql("SELECT count(*) FROM model_batches WHERE status = 'ended'") == [(1,)],
        "its results to be booked",
    )
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
    [[spent]] = newsroom.sql("SELECT sum(cents) FROM ledger WHERE workflow_id = %(site)s AND kind = 'cost'")
    assert spent == CALL + 23 * CALL / 2
    assert spent / (24 * CALL) <= Decimal("0.55")
    assert newsroom.sql("SELECT reserved FROM accounts WHERE id = %(account)s") == [(0,)]
