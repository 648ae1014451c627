"""How often one caller may call. Counted in the server's process, so each of several counts for itself."""

from __future__ import annotations

import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from pressroom.api.kit.problems import Problem
from pressroom.domain.errors import ConfigurationError


class CallerLimits:
    """``rate``: as in ``600/minute``; ``named``: the setting, for the error. Raises ConfigurationError."""

    def __init__(self, rate: str, named: str) -> None:
        try:
            self._rate = parse(rate)
        except ValueError:
            raise ConfigurationError(f"{named}: {rate!r} is not a rate such as 600/minute") from None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(self, caller: str) -> None:
        """Count a call. Raises Problem 429, which says when the next one may come."""
        if self._limiter.hit(self._rate, caller):
            return
        reset = self._limiter.get_window_stats(self._rate, caller).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        raise Problem(
            429, f"more than {self._rate.amount} calls in {self._rate.get_expiry()} seconds",
            remedy=f"wait {seconds} seconds", headers={"Retry-After": str(seconds)},
        )  # fmt: skip
