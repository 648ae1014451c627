"""What a call to a service came to when it brought no whole answer."""

from __future__ import annotations

import httpx

from pressroom.domain.errors import ConfigurationError, PressroomError, TransientError, UnknownOutcome

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""Failures before the first byte of a request went out. Everything else may have had its effect."""

UNSENDABLE = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL)
"""Requests that can never go out."""

PASSING = frozenset({408, 425})
"""Statuses below 500 that say to come again, besides 429."""


def unanswered(error: Exception, where: str, service: str, *, lost: str) -> PressroomError:
    """Our error for a request that got no whole answer. ``lost``: what may have happened, '' for a read."""
    name = type(error).__name__
    if isinstance(error, UNSENDABLE):
        return ConfigurationError(f"{where}: the request cannot be sent: {name}")
    if isinstance(error, UNSENT):
        return TransientError(f"{where}: {service} cannot be reached: {name}")
    if lost:
        return UnknownOutcome(f"{where}: no answer, {lost}: {name}")
    if isinstance(error, httpx.TimeoutException):
        return TransientError(f"{where}: no answer in time: {name}")
    return TransientError(f"{where}: the connection or its answer broke: {name}")
