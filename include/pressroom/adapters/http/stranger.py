"""GETs of addresses that others wrote, so that none of them reaches what is not public.

Every host is resolved here, all its addresses are checked, and the connection goes to one of these: what
the name resolves to a moment later is not asked again. TLS verifies the certificate for the host's name.
Each redirect is checked like the first address. Size, time and content type are bounded::

    refused address, scheme, port, redirect, type, size    PermanentError
    4xx                                                    PermanentError
    408, 425, 429, 5xx                                     TransientError with Retry-After
    no connection, no or broken answer, too slow           TransientError
    a certificate that does not fit                        PermanentError

Messages name scheme, host and path only: a query can hold a key.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from pressroom.adapters.http.addresses import (
    WEB_PORTS,
    Resolve,
    is_allowed,
    named,
    system_resolver,
    why_refused,
)
from pressroom.adapters.http.certificates import trusted_of_strangers
from pressroom.adapters.http.stranger_answer import Fetched, read, shown, unanswered
from pressroom.domain.errors import PermanentError, PressroomError, TransientError

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = {301, 302, 303, 307, 308}
_CONNECT_SECONDS = 10.0
_AGENT = "Pressroom (content fetcher)"
_URL_CHARS = 4096
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,255}")


@dataclass(frozen=True)
class Limits:
    """``bytes`` counts after decompression; ``seconds`` is for everything, redirects included."""

    redirects: int = 3
    bytes: int = 5_000_000
    seconds: float = 30.0


class SafeHttp:
    """The client. ``allow_hosts``: names that may be private; with a port when it is not 80 or 443."""

    def __init__(
        self,
        *,
        allow_hosts: Collection[str] = (),
        limits: Limits | None = None,
        resolve: Resolve = system_resolver,
    ) -> None:
        self._allowed = named(allow_hosts)
        self.limits = limits or Limits()
        self._resolve = resolve
        # No connection is kept: it would be reused by address, whatever the host's name and certificate.
        self._transport = httpx.AsyncHTTPTransport(
            verify=trusted_of_strangers(),
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of its connections."""
        await self._transport.aclose()

    async def get(
        self,
        url: str,
        *,
        accept: Collection[str] = (),
        also: Collection[int] = (),
        most: int | None = None,
    ) -> Fetched:
        """What is at that address. Raises as the module says, ours ``from None``.

        ``accept``: media types such as ``text/*``; none: any. An answer that names no type passes. ``also``:
        statuses that are answers like 200. ``most``: bytes, when fewer than the limit.
        """
        where = shown(url)
        most = min(most or self.limits.bytes, self.limits.bytes)
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await self._follow(url, accept, also, most)
        except TimeoutError:
            raise TransientError(f"{where}: not done within {self.limits.seconds:g} seconds") from None

    async def check(self, url: str) -> None:
        """See that the address may be fetched, and resolve its host. Nothing is fetched.

        Raises as ``get``.
        """
        await self._addresses(self._target(url), shown(url))

    async def _follow(self, url: str, accept: Collection[str], also: Collection[int], most: int) -> Fetched:
        for _ in range(self.limits.redirects + 1):
            target = self._target(url)
            where = shown(url)
            response = await self._send(target, where, accept)
            try:
                if response.status_code not in _REDIRECTS:
                    return await read(response, url, where, accept, also, most)
                url = _next(target, response, where)
            except (httpx.HTTPError, httpx.StreamError) as error:
                raise unanswered(error, where) from None
            finally:
                await response.aclose()
        raise PermanentError(f"{shown(url)}: more than {self.limits.redirects} redirects")

    def _target(self, url: str) -> httpx.URL:
        """The URL, if its form allows a request at all."""
        where = shown(url)
        try:
            target = httpx.URL(url)
            host = target.raw_host.decode("ascii")
            authority = urlsplit(url).netloc
        except (httpx.InvalidURL, ValueError, TypeError):
            raise PermanentError(f"{where}: this is not a URL") from None
        if target.scheme not in _PORTS:
            raise PermanentError(f"{where}: only http and https are fetched")
        if target.userinfo or "@" in authority:
            raise PermanentError(f"{where}: a user name or password in a URL is refused")
        if not _HOST.fullmatch(host) or len(url) > _URL_CHARS:
            raise PermanentError(f"{where}: this is not a URL that can be fetched")
        port = target.port or _PORTS[target.scheme]
        if port not in WEB_PORTS and f"{_name(target)}:{port}" not in self._allowed:
            raise PermanentError(
                f"{where}: port {port} is refused; allow it by name, as {_name(target)}:{port} in allow_hosts"
            )
        return target

    async def _send(self, target: httpx.URL, where: str, accept: Collection[str]) -> httpx.Response:
        """The head of an answer, from the first checked address that takes the connection."""
        headers = {
            "Host": target.netloc.decode("ascii"),
            "User-Agent": _AGENT,
            "Accept": ", ".join([*accept, "*/*;q=0.1"]),
            "Accept-Encoding": "gzip",
        }
        failed: PressroomError = TransientError(f"{where}: its host has no address")
        for address in await self._addresses(target, where):
            request = httpx.Request(
                "GET",
                target.copy_with(host=address),
                headers=headers,
                extensions=_extensions(target, self.limits),
            )
            try:
                return await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = unanswered(error, where)
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
                raise unanswered(error, where) from None
        raise failed

    async def _addresses(self, target: httpx.URL, where: str) -> list[str]:
        """The host's addresses. One that is not public dooms them all: a name has no business with both."""
        port = target.port or _PORTS[target.scheme]
        try:
            addresses = list(await self._resolve(target.raw_host.decode("ascii").strip("[]"), port))
        except TransientError as error:
            raise TransientError(f"{where}: {error}") from None
        if is_allowed(_name(target), port, self._allowed):
            return addresses
        refused = next((kind for kind in map(why_refused, addresses) if kind), "")
        if refused:
            raise PermanentError(
                f"{where}: refused, because {_name(target)} leads to a {refused} address; a host that is not "
                "public must be allowed by name in allow_hosts"
            )
        return addresses


def _next(target: httpx.URL, response: httpx.Response, where: str) -> str:
    location = response.headers.get("location", "")
    try:
        url = str(target.join(location)) if location else ""
    except (httpx.InvalidURL, ValueError):
        url = ""
    if not url:
        raise PermanentError(f"{where}: it redirects to nowhere")
    if target.scheme == "https" and not url.startswith("https:"):
        raise PermanentError(f"{where}: it redirects from https to {shown(url)}, which is refused")
    return url


def _extensions(target: httpx.URL, limits: Limits) -> dict[str, object]:
    seconds = limits.seconds
    waits = {"connect": min(_CONNECT_SECONDS, seconds), "read": seconds, "write": seconds, "pool": seconds}
    # The name for TLS; where the host is an address, that is what the certificate must be for.
    return {"timeout": waits, "sni_hostname": _name(target)}


def _name(target: httpx.URL) -> str:
    """The host as it is compared: ASCII, lower case, without a last dot."""
    return target.raw_host.decode("ascii").lower().rstrip(".").strip("[]")
