"""The shared rate limit: two workers are one queue, a penalty holds for all, nothing is taken in vain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from pressroom.domain.errors import TransientError
from pressroom.domain.model import RateLimits
from pressroom.engine.money.rate_limit import RateLimiter
from pressroom.store.database import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def limiter(store: Store) -> Callable[..., RateLimiter]:
    def make(connection: str = "text", **limits: object) -> RateLimiter:
        return RateLimiter(store, connection, RateLimits(**limits))  # type: ignore[arg-type]

    return make


def test_unlimited_needs_no_database() -> None:
    with Store("postgresql://nobody@127.0.0.1:9/none") as nowhere:
        free = RateLimiter(nowhere, "text", RateLimits())
        assert free.take(10_000) == 0
        asyncio.run(free.acquire(5))
        asyncio.run(free.penalize(60))


def test_two_workers_share_one_limit(limiter: Callable[..., RateLimiter]) -> None:
    """60 a minute with a burst of 5: of 20 at once, 15 wait, one second apart."""
    workers = [
        limiter(requests_per_minute=60, burst_seconds=5),
        limiter(requests_per_minute=60, burst_seconds=5),
    ]
    with ThreadPoolExecutor(4) as pool:
        waits = sorted(pool.map(lambda n: workers[n % 2].take(), range(20)))
    assert waits[:5] == pytest.approx([0] * 5, abs=0.5)
    assert waits[5:] == pytest.approx(list(range(1, 16)), abs=0.5)


def test_connections_do_not_share(limiter: Callable[..., RateLimiter]) -> None:
    assert limiter("a", requests_per_minute=1, burst_seconds=0).take() == 0
    assert limiter("b", requests_per_minute=1, burst_seconds=0).take() == 0
    assert limiter("a", requests_per_minute=1, burst_seconds=0).take() == pytest.approx(60, abs=1)


def test_tokens_count_and_are_corrected(limiter: Callable[..., RateLimiter], store: Store) -> None:
    tokens = limiter(tokens_per_minute=6000, burst_seconds=1)  # 100 a second
    assert tokens.take(2000) == 0  # more than the burst, but nothing was waiting
    assert tokens.take(100) == pytest.approx(20, abs=0.5)
    with store.transaction() as tx:
        tokens.correct(tx, estimated=2000, used=500)
    assert tokens.take(100) == pytest.approx(6, abs=0.5)


def test_beyond_max_wait_nothing_is_taken(limiter: Callable[..., RateLimiter], database_url: str) -> None:
    both = limiter(requests_per_minute=600, tokens_per_minute=600, burst_seconds=1, max_wait=5)
    both.take(200)
    before = due(database_url)
    with pytest.raises(TransientError, match="rate limit") as caught:
        both.take(200)
    assert caught.value.retry_after == pytest.approx(20, abs=1)
    assert due(database_url) == before


def test_a_penalty_holds_for_everyone(limiter: Callable[..., RateLimiter]) -> None:
    one, other = limiter(requests_per_minute=6000), limiter(requests_per_minute=6000)
    assert one.take() == 0
    asyncio.run(one.penalize(30))
    assert other.take() == pytest.approx(30, abs=0.5)
    asyncio.run(one.penalize(5))  # a shorter one does not shorten it
    assert other.take() == pytest.approx(30, abs=0.5)
    asyncio.run(one.penalize(600))
    with pytest.raises(TransientError) as caught:
        other.take()
    assert caught.value.retry_after == pytest.approx(600, abs=1)


def test_acquire_sleeps_until_its_turn(limiter: Callable[..., RateLimiter]) -> None:
    quick = limiter(requests_per_minute=300, burst_seconds=0)  # one each 0.2 s

    async def three() -> None:
        await asyncio.gather(*(quick.acquire() for _ in range(3)))

    started = time.monotonic()
    asyncio.run(three())
    assert 0.35 <= time.monotonic() - started < 2


def due(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT unit, due_at FROM rate_limits ORDER BY unit").fetchall()
