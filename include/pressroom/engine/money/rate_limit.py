"""A limit on requests and tokens per minute that all workers on all hosts share, through one table.

A call takes its place in the queue and sleeps until its turn, so a burst of callers is spaced out without
retries.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from pressroom.domain.errors import TransientError
from pressroom.domain.model import RateLimits
from pressroom.store.database import SYSTEM, Store, Tx

MINUTE = 60.0


class RateLimiter:
    """The shared limit of one connection. Without limits it never touches the database."""

    def __init__(self, store: Store, connection: str, limits: RateLimits) -> None:
        self._store = store
        self._connection = connection
        self._limits = limits
        self._paused_until = 0.0
        """Without limits: until when the server asked for a pause, by this process's clock."""

    async def acquire(self, tokens: int = 0) -> None:
        """Wait for room for the tokens. Raises TransientError when the wait is longer than max_wait."""
        pause = self._paused_until - time.monotonic()
        if pause > self._limits.max_wait:
            raise TransientError(
                f"connection {self._connection!r}: the server asked for a pause of {pause:.0f} s more",
                retry_after=pause,
            )
        if pause > 0:
            await asyncio.sleep(pause)
        if self._limits.rates:
            wait = await asyncio.to_thread(self.take, tokens)
            if wait > 0:
                await asyncio.sleep(wait)

    def take(self, tokens: int = 0) -> float:
        """Take a place in the queue. Returns the seconds until it. Raises as ``acquire``, and takes
        nothing.
        """
        longest = 0.0
        if not self._limits.rates:
            return longest
        with self._store.transaction() as tx:
            for unit, rate in self._limits.rates.items():
                units = 1 if unit == "requests" else tokens
                cost = units * MINUTE / rate
                # On an idle connection, even a call larger than the whole burst starts at once.
                slack = max(self._burst(rate) - cost, 0.0)
                rows = tx.rows(
                    "take_units",
                    connection=self._connection,
                    unit=unit,
                    cost=timedelta(seconds=cost),
                    slack=timedelta(seconds=slack),
                    max_wait=timedelta(seconds=self._limits.max_wait),
                )
                # No row: another transaction inserted it after this statement began, so this call is refused.
                taken, wait = (rows[0]["taken"], rows[0]["wait"]) if rows else (False, 0.0)
                if not taken:
                    wait = max(wait, self._limits.max_wait)
                    raise TransientError(
                        f"the rate limit of connection {self._connection!r} ({rate} {unit} a minute)"
                        f" has no room for {wait:.0f} s",
                        retry_after=wait,
                    )
                longest = max(longest, wait)
        return longest

    def correct(self, tx: Tx, *, estimated: int, used: int) -> None:
        """Replace a call's expected tokens by those that it used."""
        rate = self._limits.tokens_per_minute
        if rate is not None and used != estimated:
            by = timedelta(seconds=(used - estimated) * MINUTE / rate)
            tx.run("shift_due", connection=self._connection, unit="tokens", by=by)

    async def penalize(self, retry_after: float) -> None:
        """Delay all next calls by these seconds, because the server asked for it. Without limits there is no
        queue that all workers share, so it holds for the calls of this limiter.
        """
        if not self._limits.rates:
            self._paused_until = max(self._paused_until, time.monotonic() + retry_after)
        for unit, rate in list(self._limits.rates.items())[:1]:
            wait = timedelta(seconds=retry_after + self._burst(rate))
            await self._store.run(
                SYSTEM, Tx.run, "push_due", connection=self._connection, unit=unit, wait=wait
            )

    def _burst(self, rate: int) -> float:
        """The seconds of the rate that may be used at once: at least one request's."""
        return max(self._limits.burst_seconds, MINUTE / rate)
