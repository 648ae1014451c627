"""How a call to a service failed, as one of our errors: one table for all services.

::

    no connection                        ServiceDown: nothing was sent
    no whole answer, or none in time     TransientError; UnknownOutcome when something was to be changed
    408, 425, 5xx                        likewise
    429                                  TransientError: the request was not taken
    401, 402, 403, a redirect            ConfigurationError: no item gets through
    other statuses                       PermanentError: this item does not get through

A service adds rows for what it says in ways of its own, and never repeats the table. Where the address of a
request is the connection's own (``OWN_ADDRESS``), 404 and 410 are about the set-up, too; elsewhere they are
about the thing that the path names.

What is shown of an error holds no key: ``scrub``, because a server can repeat what it was sent.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    ServiceDown,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.outside import visible

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""Failures before the first byte of a request went out. Everything else may have had its effect."""

_SETUP = frozenset({401, 402, 403})
_PASSING = frozenset({408, 425})

_SECRET = re.compile(
    r"(bearer\s+\S+|authorization\s*[:=]\s*\S+(\s+\S+)?|x-api-key\s*[:=]\s*\S+|x-mc-auth\s*[:=]\s*\S+"
    r"|usertoken\s*[:=]\s*[^&\s]+|api[-_]key\s*[:=]\s*\S+|(?<![\w-])(sk|rk|pk|sess|key)-[\w*.-]{6,})",
    re.IGNORECASE,
)

# A server that asks for more than this is taken at its word only so far.
LONGEST = 24 * 3600.0


@dataclass(frozen=True)
class Refusal:
    """An answer that is not a success. ``code``: the service's name or number for it; ``words``: its text.

    ``changes``: something was to be changed; ``page``: the answer is HTML.
    """

    status: int
    code: str = ""
    words: str = ""
    changes: bool = False
    page: bool = False


@dataclass(frozen=True)
class ErrorRow:
    """A service's own line of the table: every condition that it states must hold.

    ``code`` and ``words`` are patterns without regard to case: of the whole code, and of a part of the words.
    ``hint``: what the user is told besides.
    """

    kind: type[PressroomError]
    statuses: Collection[int] = ()
    code: str = ""
    words: str = ""
    changes: bool | None = None
    page: bool | None = None
    hint: str = ""

    def holds(self, refusal: Refusal) -> bool:
        """Whether the line is about this refusal."""
        return (
            (not self.statuses or refusal.status in self.statuses)
            and (not self.code or re.fullmatch(self.code, refusal.code, re.IGNORECASE) is not None)
            and (not self.words or re.search(self.words, refusal.words, re.IGNORECASE) is not None)
            and self.changes in (None, refusal.changes)
            and self.page in (None, refusal.page)
        )


OWN_ADDRESS = ErrorRow(ConfigurationError, {404, 410})
"""For services whose every request goes to the connection's own address: nothing is there for any item."""


def row_of(refusal: Refusal, rows: Sequence[ErrorRow] = ()) -> ErrorRow:
    """The first of the service's rows that holds, else the line of the table above."""
    return next((row for row in rows if row.holds(refusal)), None) or _common(refusal)


def _common(refusal: Refusal) -> ErrorRow:
    status = refusal.status
    if status == 429:
        return ErrorRow(TransientError)
    if status >= 500 or status in _PASSING:
        return ErrorRow(UnknownOutcome if refusal.changes else TransientError)
    if 300 <= status < 400:
        return ErrorRow(ConfigurationError, hint="a redirect: put the final address into the connection")
    return ErrorRow(ConfigurationError if status in _SETUP else PermanentError)


def error_of(
    refusal: Refusal, text: str, rows: Sequence[ErrorRow] = (), *, retry_after: float | None = None
) -> PressroomError:
    """Our error for a refusal. ``text``: what it says, already without secrets."""
    row = row_of(refusal, rows)
    text += f" ({row.hint})" if row.hint else ""
    return row.kind(text, retry_after=retry_after) if issubclass(row.kind, TransientError) else row.kind(text)


def unanswered(error: Exception, where: str, service: str, *, changes: bool = False) -> PressroomError:
    """Our error for a request that got no whole answer. Its own text is left out: it can hold a URL."""
    name = type(error).__name__
    if isinstance(error, httpx.TooManyRedirects):
        return ConfigurationError(f"{where}: {service} redirects in circles")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return ConfigurationError(f"{where}: its address is not an http(s) URL: {name}")
    if isinstance(error, httpx.LocalProtocolError):
        return ConfigurationError(f"{where}: the request cannot be sent: {name}")
    if isinstance(error, _UNSENT):
        return ServiceDown(f"{where}: {service} cannot be reached: {name}")
    if changes:
        return UnknownOutcome(f"{where}: no whole answer, the request may have had its effect: {name}")
    return TransientError(f"{where}: no whole answer: {name}")


def said(body: Any) -> tuple[str, str]:
    """What most services call a refusal in their JSON, and their words for it.

    Both stand in the body, in its ``error``, or in a list of ``errors``. Without any of the usual
    names, the words are the whole body.
    """
    if isinstance(body, list) and body and isinstance(body[0], dict):  # Google wraps an error in a list
        body = body[0]
    if not isinstance(body, dict):
        return "", str(body)
    inner = body["error"] if isinstance(body.get("error"), dict) else body
    listed = body.get("errors")
    errors: list[Any] = listed if isinstance(listed, list) else []
    sources = [inner, *(error for error in errors if isinstance(error, dict))]
    code = next(
        (str(source[key]) for source in sources for key in ("error", "type", "code") if source.get(key)), ""
    )
    words = [str(inner[key]) for key in ("message", "detail", "title", "error") if inner.get(key)][:1]
    for error in errors:
        text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
        words += [str(text)] if text and str(text) not in words else []
    return code, "; ".join(words) or (json.dumps(body, ensure_ascii=False) if body else "")


def scrub(text: str, secret: str = "") -> str:
    """The text, short, on one line, without ``secret`` or anything that looks like a key.

    Characters that cannot be seen go, too: a terminal obeys them, and Postgres stores no NUL.
    """
    text, secret = visible(text), visible(secret)
    if secret:
        text = text.replace(secret, "[hidden]")
    return " ".join(_SECRET.sub("[hidden]", text).split())[:500]


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds to wait by ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date); None when not said.

    ``now``: seconds since the epoch, for tests.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _number(headers.get(name))
        if seconds is not None:
            return min(max(seconds * unit, 0.0), LONGEST)
    text = headers.get("retry-after")
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(at - (time.time() if now is None else now), 0.0), LONGEST)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
