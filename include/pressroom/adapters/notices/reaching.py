"""Which hosts notices may go to: public ones, and private ones that are allowed by name."""

from __future__ import annotations

from collections.abc import Collection

from pressroom.adapters.http.addresses import Resolve, system_resolver, why_refused
from pressroom.domain.errors import ConfigurationError


async def must_be_reachable(
    connection: str, host: str, port: int, allow_hosts: Collection[str], resolve: Resolve = system_resolver
) -> None:
    """Raises ConfigurationError when the host leads to an address that is not public and is not allowed, as
    ``host`` or ``host:port``; TransientError when it cannot be found.
    """
    allowed = {each.strip().lower() for each in allow_hosts}
    if {host.lower(), f"{host.lower()}:{port}"} & allowed:
        return
    for address in await resolve(host, port):
        kind = why_refused(address)
        if kind:
            raise ConfigurationError(
                f"connection {connection!r}: {host}:{port} leads to a {kind} address, where notices may not"
                f" go: an operator adds {host}:{port} to the Airflow variable pressroom_allow_hosts, and"
                f" grants it to the account (pressroom grant ACCOUNT --host {host}:{port})"
            )
