"""The client under every service whose API we speak: base URL, login, bounds, and errors by one table.

The answer is bounded in bytes, and the whole call in time: a server that sends a byte a second is an error.
Which error a failure is, ``adapters.http.errors`` says. Their texts are made here, without the connection's
secrets, and raised ``from None``: httpx's own can hold a whole URL.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, Self, cast

import httpx

from pressroom.adapters.http.bodies import BoundedBody
from pressroom.adapters.http.certificates import trusted
from pressroom.adapters.http.errors import (
    LONGEST,
    ErrorRow,
    Refusal,
    error_of,
    retry_after,
    said,
    scrub,
    unanswered,
)
from pressroom.domain.errors import PermanentError, PressroomError, TransientError, UnknownOutcome
from pressroom.domain.outside import SLOWEST_UPLOAD

ANSWER_BYTES = 20_000_000
WORDS_BYTES = 64 * 1024
"""As much is read of an answer of which only the status and the words count."""

WORDS_CHARS = 240

MOST_PAGES = 200

PATIENCE = 4.0
"""A whole call takes at most so many times ``timeout_seconds``, which bound each wait in it, and the time
that what it sends takes at ``SLOWEST_UPLOAD``.
"""

# A reset header is a time of day when it is larger than this, else a number of seconds.
_EPOCH = 1_000_000_000

Json = dict[str, Any]
Said = Callable[[Any], tuple[str, str]]
Read = Callable[[bytes], Any]
"""Reads the JSON of a body. Raises ValueError or RecursionError when it is none."""
PageOf = Callable[[str], Awaitable[tuple[Any, str]]]
"""Reads the page at a place, '' for the first: its entries, and the place of the next, '' after the last."""


class ServiceSettings(Protocol):
    """What a connection says of a service. ``secrets``: everything that no message may show."""

    @property
    def connection(self) -> str: ...

    @property
    def base_url(self) -> str: ...

    @property
    def timeout_seconds(self) -> float: ...

    @property
    def secrets(self) -> list[str]: ...


class Service:
    """A client of one service. ``transport`` takes the network's place in tests.

    ``name``: as messages call the service; ``params``: of every request; ``rows``: the service's own lines
    of the table of errors; ``read``: how the JSON of a body is read; ``said``: code and words of a refusal's
    JSON; ``resets``: headers in which a 429 says when to come back, beside Retry-After; ``at_once``: the most
    requests at the same time; the others wait.
    """

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        params: Mapping[str, Any] | None = None,
        rows: Sequence[ErrorRow] = (),
        said: Said = said,
        read: Read = json.loads,
        resets: Iterable[str] = (),
        at_once: int = 100,
        most_bytes: int = ANSWER_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.where = f"connection {settings.connection!r}"
        self._name = name
        self._base_url = settings.base_url
        self._params = dict(params or {})
        self._rows = tuple(rows)
        self._said = said
        self._read = read
        self._resets = tuple(resets)
        self._secrets = settings.secrets
        self._seconds = PATIENCE * settings.timeout_seconds
        self._most = most_bytes
        self._auth = auth
        self._free = asyncio.Semaphore(at_once)
        self._http = httpx.AsyncClient(
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", **(headers or {})},
            timeout=settings.timeout_seconds,
            transport=transport,
            verify=trusted(),
        )

    async def close(self) -> None:
        """Let go of its connections."""
        await self._http.aclose()

    def hide(self, *secrets: str) -> None:
        """Keep what the service handed out as a secret out of errors, too."""
        self._secrets = [*self._secrets, *secrets]

    async def call(self, method: str, path: str, *, changes: bool = False, **options: Any) -> Json:
        """The JSON object of the answer. ``options``: as ``request`` has them."""
        body = self.json(await self.request(method, path, changes=changes, **options), changes=changes)
        if not isinstance(body, dict):
            raise self.strange(changes=changes)
        return body

    async def request(
        self,
        method: str,
        path: str | httpx.URL,
        *,
        changes: bool = False,
        allow: Collection[int | str] = (),
        status_only: bool = False,
        params: Mapping[str, Any] | None = None,
        login: bool = True,
        **options: Any,
    ) -> httpx.Response:
        """The answer, read whole. ``path``: below the base URL, or a whole URL; ``options``: httpx's others.

        ``changes``: a failure may have had its effect. ``allow``: statuses, and the service's codes, that are
        answers like a success. ``status_only``: only the status of a success counts: no more than the
        beginning of its body is read, and none of it has to arrive. ``login``: whether the request is signed.
        """
        answer: httpx.Response | None = None
        try:
            url = httpx.URL(path if "://" in str(path) else f"{self._base_url}{path}")
            if merged := {**self._params, **(params or {})}:
                url = url.copy_merge_params(merged)
            request = self._http.build_request(method, url, **options)
            upload = int(request.headers.get("content-length", 0)) / SLOWEST_UPLOAD
            async with self._free, asyncio.timeout(self._seconds + upload):
                answer = await self._http.send(request, auth=self._auth if login else None, stream=True)
                try:
                    content = await self._body(answer, status_only=status_only)
                finally:
                    await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError, PressroomError) as error:
            if not status_only or answer is None or not answer.is_success:
                raise self._lost(error, changes=changes) from None
            content = b""
        whole = with_body(answer, content)
        if whole.is_success or whole.status_code in allow:
            return whole
        refusal = self._refusal(whole, changes=changes)
        if refusal.code in allow:
            return whole
        raise self._error(refusal, whole.headers)

    async def pages(self, page: PageOf, most: int = MOST_PAGES) -> AsyncIterator[Json]:
        """Every entry of a list, over all its pages. A list that cannot be read whole is an error."""
        place = ""
        for _ in range(most):
            entries, following = await page(place)
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise self.strange()
            for entry in entries:
                yield entry
            if not following:
                return
            if following == place:
                break
            place = following
        raise TransientError(f"{self.where}: a list of {self._name}'s does not end")

    def json(self, answer: httpx.Response, *, changes: bool = False) -> Any:
        """The answer's JSON."""
        try:
            return self._read(answer.content)
        except (ValueError, RecursionError):
            raise self.strange(changes=changes) from None

    def strange(self, *, changes: bool = False) -> TransientError:
        """The error for an answer that is not what the API promises."""
        text = f"{self.where}: the server's answer is not what {self._name}'s API promises"
        return UnknownOutcome(text) if changes else TransientError(text)

    def refused(self, code: str, words: str, *, status: int = 200, changes: bool = False) -> PressroomError:
        """The error for a refusal that came as a success."""
        return self._error(Refusal(status, code, words, changes), {})

    async def _body(self, answer: httpx.Response, *, status_only: bool) -> bytes:
        whole = answer.is_success and not status_only
        try:
            body = BoundedBody(answer.headers, self._most if whole else WORDS_BYTES, cut=not whole)
            # The stream itself: it has the bytes as they came, and what the transport has read already, too.
            async for chunk in cast("httpx.AsyncByteStream", answer.stream):
                if body.feed(chunk):
                    break
            return body.finish()
        except PermanentError:
            if answer.is_success:
                raise
            return b""  # words that nobody can read; the status says enough

    def _lost(self, error: Exception, *, changes: bool) -> PressroomError:
        if isinstance(error, PressroomError):  # an answer that cannot be read, or has no end
            kind = UnknownOutcome if changes else type(error)
            return kind(f"{self.where}: {self._name}'s answer: {error}")
        known = httpx.ReadTimeout("") if isinstance(error, TimeoutError) else error
        return unanswered(known, self.where, self._name, changes=changes)

    def _refusal(self, answer: httpx.Response, *, changes: bool) -> Refusal:
        page = False
        try:
            code, words = self._said(self._read(answer.content))
        except (ValueError, RecursionError):
            page = is_page(answer)
            code, words = "", "" if page else answer.text
        if answer.has_redirect_location:
            words = f"it leads to {_without_query(answer)}"
        return Refusal(answer.status_code, code, words, changes, page)

    def _error(self, refusal: Refusal, headers: Mapping[str, str]) -> PressroomError:
        words = self._clean(refusal.words)[:WORDS_CHARS]
        answered = f"{self._name} answered {refusal.status}"
        text = f"{self.where}: {': '.join(filter(None, (answered, words)))}"
        return error_of(refusal, text, self._rows, retry_after=self._wait(headers))

    def _clean(self, text: str) -> str:
        forms = {form for secret in self._secrets for form in (secret, _in_json(secret)) if form}
        # Longest first: one secret may be the beginning of another.
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "[hidden]")
        return scrub(text)

    def _wait(self, headers: Mapping[str, str]) -> float | None:
        """Seconds by Retry-After, else by the latest reset of a limit that is used up."""
        asked = retry_after(headers)
        if asked is not None:
            return asked
        resets = [
            wait
            for name in self._resets
            if headers.get(name.replace("reset", "remaining"), "0").strip() == "0"
            and (wait := until(headers.get(name, ""))) is not None
        ]
        return max(resets, default=None)


class ServiceClient:
    """The base of what has a service to itself, in ``_api``. Use as an async context manager."""

    _api: Service

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of its connections."""
        await self._api.close()


def until(reset: str, *, now: float | None = None) -> float | None:
    """Seconds until a limit is reset, of a header that has them or the time; None when it is unreadable."""
    if not reset.strip().isdecimal():
        return None
    value = float(reset)
    if value > _EPOCH:
        value -= time.time() if now is None else now
    return min(max(value, 0.0), LONGEST)


def _without_query(answer: httpx.Response) -> str:
    """Where a redirect leads, without what may be a secret."""
    try:
        url = answer.url.join(answer.headers["location"])
    except httpx.InvalidURL:
        return "an address that is not a URL"
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def is_page(answer: httpx.Response) -> bool:
    """Whether an answer that is not JSON is HTML: of a server or a guard before the API."""
    return "html" in answer.headers.get("content-type", "") or answer.content.lstrip()[:1] == b"<"


def with_body(answer: httpx.Response, content: bytes) -> httpx.Response:
    """The answer with its body, which is unpacked already."""
    of_packed = ("content-encoding", "content-length", "transfer-encoding")
    headers = [pair for pair in answer.headers.multi_items() if pair[0].lower() not in of_packed]
    return httpx.Response(answer.status_code, headers=headers, content=content, request=answer.request)
