"""Requests to the APIs of services that publish, and every way they can fail as one of our errors::

    no connection                        TransientError: nothing was sent
    no answer, broken answer, 5xx        TransientError; UnknownOutcome when something was to be published
    408, 425                             likewise
    429                                  TransientError with the wait it asks for: the request was not taken
    401, 402, 403, a redirect            ConfigurationError
    other 4xx                            PermanentError with the server's words

A service's ``judge`` comes first, for what it says in other ways. The texts of errors are made here and
scrubbed, and raised ``from None``: httpx's own can hold a whole URL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from pressroom.adapters.connection import ApiSettings
from pressroom.adapters.http.errors import PASSING, unanswered
from pressroom.adapters.http.retry_after import LONGEST, retry_after
from pressroom.adapters.http.scrub import scrub
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)

_SETUP = {401, 402, 403}
# A reset header is a time of day when it is larger than this, else a number of seconds.
_EPOCH = 1_000_000_000

Json = dict[str, Any]


@dataclass(frozen=True)
class Refusal:
    """An answer that is no success. ``code``: the service's name or number for it; ``words``: what it says.

    ``changes``: something was to be published.
    """

    status: int
    code: str
    words: str
    changes: bool


Judge = Callable[[Refusal], type[PressroomError] | None]
"""A service's own reading of a refusal; None: the table above holds."""


class Api:
    """A client of one service. ``transport`` takes the network's place in tests.

    ``resets``: headers in which a 429 says when to come back, beside Retry-After.
    """

    def __init__(
        self,
        service: str,
        settings: ApiSettings,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        judge: Judge = lambda _: None,
        resets: Iterable[str] = (),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.where = f"connection {settings.connection!r}"
        self._service = service
        self._base_url = settings.base_url
        self._judge = judge
        self._resets = tuple(resets)
        self._secrets = settings.secrets
        self._http = httpx.AsyncClient(
            headers={"Accept": "application/json", **(headers or {})},
            auth=auth,
            timeout=settings.timeout_seconds,
            transport=transport,
        )

    async def close(self) -> None:
        """Let go of its connections."""
        await self._http.aclose()

    def hide(self, *secrets: str) -> None:
        """Keep what the service handed out as a secret out of errors, too."""
        self._secrets = [*self._secrets, *secrets]

    async def call(self, method: str, path: str, *, changes: bool = False, **options: Any) -> Json:
        """The JSON object of the answer. ``options`` as httpx has them: params, json, content, headers …"""
        answer = await self.request(method, path, changes=changes, **options)
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self.strange(changes=changes)
        return body

    async def request(
        self, method: str, path: str, *, changes: bool = False, absent: bool = False, **options: Any
    ) -> httpx.Response:
        """The answer.

        ``changes``: a failure may have had its effect; ``absent``: 404 is an answer like others.
        """
        try:
            answer = await self._http.request(method, f"{self._base_url}{path}", **options)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            lost = "it may have been published" if changes else ""
            raise unanswered(error, self.where, self._service, lost=lost) from None
        if answer.is_success or (absent and answer.status_code == 404):
            return answer
        raise self._refused(answer, changes=changes)

    def strange(self, *, changes: bool = False) -> TransientError:
        """The error for an answer that is not what the API promises."""
        text = f"{self.where}: the server's answer is not what {self._service}'s API promises"
        return UnknownOutcome(text) if changes else TransientError(text)

    def _refused(self, answer: httpx.Response, *, changes: bool) -> PressroomError:
        status = answer.status_code
        code, words = said(answer)
        if status < 400:
            return ConfigurationError(
                f"{self.where}: {self._service}'s API is not at this address (it answered {status})"
            )
        shown = ": ".join(filter(None, (f"{self._service} answered {status}", words)))
        text = f"{self.where}: {self._clean(shown)}"
        kind = self._judge(Refusal(status, code, words, changes)) or _kind(status, changes=changes)
        if issubclass(kind, TransientError):
            return kind(text, retry_after=self._wait(answer.headers))
        return kind(text)

    def _clean(self, text: str) -> str:
        # Longest first: one secret may be the beginning of another.
        for secret in sorted(filter(None, self._secrets), key=len, reverse=True):
            text = text.replace(secret, "[hidden]")
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


def until(reset: str, *, now: float | None = None) -> float | None:
    """Seconds until a limit is reset, of a header that has them or the time; None when it is unreadable."""
    if not reset.strip().isdecimal():
        return None
    value = float(reset)
    if value > _EPOCH:
        value -= time.time() if now is None else now
    return min(max(value, 0.0), LONGEST)


def said(answer: httpx.Response) -> tuple[str, str]:
    """What the server calls its refusal, and its words; of a page of HTML, nothing."""
    try:
        body = answer.json()
    except ValueError:
        html = "html" in answer.headers.get("content-type", "")
        return "", "" if html else answer.text
    if not isinstance(body, dict):
        return "", str(body)
    code = next((str(body[key]) for key in ("error", "type", "code") if body.get(key)), "")
    words = [str(body[key]) for key in ("message", "detail", "title", "error") if body.get(key)][:1]
    errors = body.get("errors")
    for one in errors if isinstance(errors, list) else []:
        told = one.get("message") or one.get("detail") if isinstance(one, dict) else one
        words += [str(told)] if told and str(told) not in words else []
    return code, "; ".join(words)


def _kind(status: int, *, changes: bool) -> type[PressroomError]:
    if status == 429:
        return TransientError
    if status >= 500 or status in PASSING:
        return UnknownOutcome if changes else TransientError
    return ConfigurationError if status in _SETUP else PermanentError
