"""Which hosts notices may go to: public ones, and private ones that are allowed by name."""

from __future__ import annotations

from collections.abc import Collection

from pressroom.adapters.http.addresses import (
    WEB_PORTS,
    Resolve,
    is_allowed,
    named,
    system_resolver,
    why_refused,
)
from pressroom.domain.errors import ConfigurationError

MAIL_PORTS = frozenset({25, 465, 587})
"""Ports of a mail server that is allowed without one."""


async def must_be_reachable(
    connection: str,
    host: str,
    port: int,
    allow_hosts: Collection[str],
    *,
    usual: Collection[int] = WEB_PORTS,
    resolve: Resolve = system_resolver,
) -> None:
    """Raises ConfigurationError when the host leads to an address that is not public and is not allowed, as
    ``host:port``, or as ``host`` with one of the ``usual`` ports; TransientError when it cannot be found.
    """
    if is_allowed(host.lower().rstrip("."), port, named(allow_hosts), usual):
        return
    for address in await resolve(host, port):
        kind = why_refused(address)
        if kind:
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise ConfigurationError(
                f"connection {connection!r}: {place} leads to a {kind} address, where notices may not"
                f" go: an operator adds {place} to the Airflow variable pressroom_allow_hosts, and"
                f" grants it to the account (pressroom grant ACCOUNT --host {place})"
            )
