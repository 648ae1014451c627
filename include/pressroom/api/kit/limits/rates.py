"""How often somebody may call. A call that moves much data counts as several."""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import HTTPConnection

from pressroom.api.kit.problems import Problem
from pressroom.domain.errors import ConfigurationError

RATE_VARIABLE = "PRESSROOM_API_RATE"
USUAL_RATE = "600/minute"
RATE_OF_FAILURES = "30/minute"
"""Wrong keys, links and signatures from one address."""
BYTES_OF_A_CALL = 100_000
"""A call counts once, and once more for each so many bytes of its body and of its answer."""


class Rates:
    """``rate``: as in ``600/minute``; ``named``: the setting, for the error. Raises ConfigurationError."""

    def __init__(self, rate: str, named: str) -> None:
        try:
            self._rate: RateLimitItem = parse(rate)
        except ValueError:
            raise ConfigurationError(f"{named}: {rate!r} is not a rate such as 600/minute") from None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, who: str, size: int = 0) -> None:
        """Count a call with so many bytes. Raises Problem 429, which says when the next one may come."""
        if not self._limiter.hit(self._rate, who, cost=self._cost(1 + self.further(size))):
            raise self._refused(who)

    def add(self, who: str, calls: int) -> None:
        """Count what was done already, as far as there is room: later calls are refused for it."""
        room = self._limiter.get_window_stats(self._rate, who).remaining
        calls = min(calls, room)
        if calls > 0:
            self._limiter.hit(self._rate, who, cost=calls)

    def check(self, who: str) -> None:
        """Raises Problem 429 when no call is left. Counts nothing."""
        if not self._limiter.test(self._rate, who):
            raise self._refused(who)

    @staticmethod
    def further(size: int) -> int:
        """The further calls that so many bytes count as."""
        return size // BYTES_OF_A_CALL

    def _cost(self, calls: int) -> int:
        return min(calls, self._rate.amount)

    def _refused(self, who: str) -> Problem:
        reset = self._limiter.get_window_stats(self._rate, who).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        return Problem(
            429, f"more than {self._rate.amount} calls in {self._rate.get_expiry()} seconds; a call counts"
            f" once more for each {BYTES_OF_A_CALL} bytes that it sends or gets",
            remedy=f"wait {seconds} seconds", headers={"Retry-After": str(seconds)},
        )  # fmt: skip


def address_of(request: HTTPConnection) -> str:
    """Where a request comes from: an IPv4 address, or the network of an IPv6 one, since a host has all of
    it.
    """
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
