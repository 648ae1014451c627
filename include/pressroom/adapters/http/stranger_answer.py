"""Answers of web servers, read within bounds. Every fault of an answer becomes one of our errors."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import httpx

from pressroom.adapters.http import errors
from pressroom.adapters.http.bodies import BoundedBody, decode
from pressroom.adapters.http.errors import Refusal, error_of, retry_after, scrub
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError


@dataclass(frozen=True)
class Fetched:
    """An answer. ``url``: where it finally came from; ``media_type``: lower case, '' when not said."""

    url: str
    status: int
    media_type: str = ""
    charset: str = ""
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body, decoded."""
        return decode(self.body, self.charset)


async def read(
    response: httpx.Response, url: str, where: str, accept: Collection[str], also: Collection[int], most: int
) -> Fetched:
    """The answer, whole. Raises as ``SafeHttp.get`` says, and httpx's errors when the connection breaks."""
    status = response.status_code
    media_type, _, rest = response.headers.get("content-type", "").partition(";")
    media_type = media_type.strip().lower()
    if status not in also and not 200 <= status < 300:
        raise _by_status(response, where)
    if accept and media_type and status not in also and not _fits(media_type, accept):
        raise PermanentError(f"{where}: it is {media_type[:80]!r}, not {' or '.join(sorted(accept))}")
    return Fetched(url, status, media_type, _charset(rest), await _body(response, where, most))


async def _body(response: httpx.Response, where: str, most: int) -> bytes:
    try:
        body = BoundedBody(response.headers, most)
        async for chunk in response.aiter_raw():
            body.feed(chunk)
        return body.finish()
    except PressroomError as error:
        raise type(error)(f"{where}: {error}") from None


def _by_status(response: httpx.Response, where: str) -> PressroomError:
    text = f"{where}: the server answered {response.status_code}"
    refusal = Refusal(response.status_code)
    return _theirs(error_of(refusal, text, retry_after=retry_after(response.headers)))


def unanswered(error: Exception, where: str) -> PressroomError:
    """Our error for a request that got no whole answer."""
    cause: BaseException | None = error
    for _ in range(8):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PermanentError(f"{where}: its certificate does not verify")
        cause = (cause.__cause__ or cause.__context__) if cause else None
    if isinstance(error, ValueError):
        return PermanentError(f"{where}: the request cannot be sent: {type(error).__name__}")
    return _theirs(errors.unanswered(error, where, "its host"))


def _theirs(error: PressroomError) -> PressroomError:
    """The same for an address that somebody else wrote: no set-up of this installation is wrong."""
    return PermanentError(str(error)) if isinstance(error, ConfigurationError) else error


def _fits(media_type: str, accept: Collection[str]) -> bool:
    return any(fnmatchcase(media_type, pattern) for pattern in accept)


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip(" \"'")[:40]
    return ""


def shown(url: str) -> str:
    """The address as messages name it, without whatever may be secret in it."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "a URL that cannot be read"
    text = f"{parts.scheme}://{host}{parts.path}" if host else f"{parts.scheme or 'an address'}:"
    return scrub("".join(c if c.isprintable() else "?" for c in text[:200]))
