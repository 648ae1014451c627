"""Which network addresses a fetch may go to: public ones only, however they are written or wrapped."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence

from pressroom.domain.errors import TransientError

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → its addresses, in the order in which to try them. Raises TransientError."""

_V4_SPECIAL = {
    ipaddress.ip_network("100.64.0.0/10"): "shared (carrier-grade NAT)",
    ipaddress.ip_network("168.63.129.16/32"): "metadata",
    ipaddress.ip_network("192.0.0.0/24"): "reserved",
    ipaddress.ip_network("192.88.99.0/24"): "reserved",
}
# Only global unicast is public, and in it these are not, or lead through a relay to some IPv4 address.
_V6_PUBLIC = ipaddress.ip_network("2000::/3")
_V6_SPECIAL = [ipaddress.ip_network(net) for net in ("2001::/23", "2001:db8::/32")]
# Asked first: releases of Python differ on whether these are private.
_V6_RESERVED = [ipaddress.ip_network(net) for net in ("64:ff9b:1::/48", "2002::/16", "3fff::/20")]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = {"169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254"}

WEB_PORTS = frozenset({80, 443})
"""Ports of a host that is allowed without one, to those who fetch."""


def named(hosts: Collection[str]) -> frozenset[str]:
    """Hosts that are allowed, as ``host``, ``host:port`` or ``[address]:port``, for ``is_allowed``."""
    return frozenset(host.strip().lower().strip("[").replace("]", "") for host in hosts)


def is_allowed(name: str, port: int, allowed: Collection[str], usual: Collection[int] = WEB_PORTS) -> bool:
    """Whether a host is among those ``named``. ``name``: lower case, an address without brackets; ``usual``:
    ports that one without a port is allowed with.
    """
    return f"{name}:{port}" in allowed or (name in allowed and port in usual)


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """What the machine's resolver says. It also reads 127.1, 0x7f.1 and 2130706433 as addresses."""
    loop = asyncio.get_running_loop()
    try:
        entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TransientError(f"the host {host[:100]!r} cannot be found: {type(error).__name__}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def why_refused(address: str) -> str:
    """Why an address must not be fetched ("private", "loopback"); '' when it is public."""
    if "%" in address:
        return "link-local"
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unreadable"
    return _v4(ip) if isinstance(ip, ipaddress.IPv4Address) else _v6(ip)


def _v4(ip: ipaddress.IPv4Address) -> str:
    if str(ip) in _METADATA:
        return "metadata"
    special = next((kind for network, kind in _V4_SPECIAL.items() if ip in network), "")
    return special or _kind(ip) or ("" if ip.is_global else "reserved")


def _v6(ip: ipaddress.IPv6Address) -> str:
    if str(ip) in _METADATA:
        return "metadata"
    if ip.ipv4_mapped is not None:
        return _v4(ip.ipv4_mapped)
    if ip in _NAT64:  # a translator sends this on to the IPv4 address in its last four bytes
        return _v4(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    if any(ip in network for network in _V6_RESERVED):
        return "reserved"
    kind = _kind(ip)
    if kind or ip not in _V6_PUBLIC or any(ip in network for network in _V6_SPECIAL):
        return kind or "reserved"
    return "" if ip.is_global else "reserved"


def _kind(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    checks = {
        "unspecified": ip.is_unspecified,
        "loopback": ip.is_loopback,
        "link-local": ip.is_link_local,
        "multicast": ip.is_multicast,
        "private": ip.is_private,
        "reserved": ip.is_reserved,
    }
    return next((kind for kind, applies in checks.items() if applies), "")
