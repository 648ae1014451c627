"""A webhook as a target: the piece as JSON, signed, to an address of the user's.

The request carries ``Pressroom-Signature`` (see ``signing``; the secret is the connection's password) and
``Idempotency-Key``, the piece's key: a receiver that gets a key again does nothing, or updates what it has.
With such a receiver sending again does no harm, so ``find`` says that it lacks the piece unless ``find_url``
says otherwise. One that does not promise this (``"idempotent": false`` in extra) needs ``find_url``, or an
operator who settles what became of a request that was not answered.

Errors::

    no connection                        TransientError: nothing was sent
    no answer, broken answer, 5xx        UnknownOutcome, also 408 and 425; TransientError when looking
    409                                  TransientError: the receiver is at the same key already
    429                                  TransientError with its Retry-After
    401, 402, 403, 404, 410, a redirect  ConfigurationError
    other 4xx                            PermanentError with the receiver's words
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self, Unpack
from urllib.parse import quote, urlsplit

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from pressroom.adapters.connection import ConnectionFields, settings_of, web_address
from pressroom.adapters.http.errors import PASSING, UNSENDABLE, UNSENT
from pressroom.adapters.http.retry_after import retry_after
from pressroom.adapters.http.scrub import scrub
from pressroom.adapters.http.signing import SIGNATURE_HEADER, sign
from pressroom.adapters.targets.article import LinkedArticleArguments, linked_article_of
from pressroom.adapters.targets.body import Illustration, cleaned_with
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.markup import text_of
from pressroom.domain.outside import clean_line, web_url
from pressroom.domain.packets import HTML_CHARS, TITLE_CHARS
from pressroom.domain.publishing import NO_SETTINGS, Content, Piece, Placed, TargetLimits

__all__ = ["Webhook", "WebhookSettings"]

ANSWER_BYTES = 64 * 1024
ID_CHARS = 200

_SETUP = {401, 402, 403, 404, 410}


def _is_template(text: str) -> str:
    parts = urlsplit(text.replace("{key}", "key"))
    if text and ("{key}" not in text or parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("is not a web address (https://…) with {key} in it")
    return text


class WebhookSettings(BaseModel):
    """One connection. ``url``: where pieces are posted to; ``password``: the secret that signs them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connection: str
    url: str
    password: SecretStr
    find_url: Annotated[str, AfterValidator(_is_template)] = Field(
        default="", description="where to ask for a piece: {key} is replaced; answers 200 or 404"
    )
    idempotent: bool = Field(
        default=True, description="whether the receiver takes a piece once however often its key comes"
    )
    timeout_seconds: float = Field(default=30, gt=0)
    settle_seconds: float = Field(
        default=10, ge=0, description="how long a piece that was not answered may still turn up"
    )

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> WebhookSettings:
        """Settings from the fields of an HTTP connection.

        ``host``: the URL, or a host name that ``schema`` and ``port`` complete; ``password``: the secret;
        ``login`` is not used; ``extra``: all other settings. Raises ConfigurationError that names the
        connection and the key at fault, and never the secret.
        """
        password = fields.get("password")
        if not password:
            raise ConfigurationError(
                f"connection {connection_id!r}: password: no secret to sign the requests with"
            )
        url = web_address(connection_id, fields)
        return settings_of(cls, connection_id, fields.get("extra"), url=url, password=password)


class Webhook:
    """One receiver as a target. Use as an async context manager.

    ``transport`` takes the network's place in tests, ``clock`` (Unix seconds) the time's. Nothing can be
    taken back. When a piece shall appear is told in ``at``; it is the receiver's to heed.
    """

    handler = "webhook"
    description = "Sends an article to another system, which takes it from there."
    arguments = LinkedArticleArguments
    limits = TargetLimits(title_chars=TITLE_CHARS, text_chars=HTML_CHARS)

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.connection = settings.connection
        self.settle_seconds = settings.settle_seconds
        self._settings = settings
        self._secret = settings.password.get_secret_value()
        self._where = f"connection {settings.connection!r}"
        self._clock = clock
        self._http = httpx.AsyncClient(timeout=settings.timeout_seconds, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def from_content(self, content: Content) -> LinkedArticleArguments:
        """See Target."""
        return LinkedArticleArguments(**linked_article_of(content))

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """See Target. Nothing can be asked of a receiver without sending it something, so nothing is."""

    async def publish(self, piece: Piece[LinkedArticleArguments]) -> Placed:
        """See Target. Raises ConfigurationError for a picture without an address on the web."""
        headers = {"Idempotency-Key": header_value(piece.key), "Content-Type": "application/json"}
        _, said = await self._send("POST", self._settings.url, payload(piece, self._where), headers)
        return _placed(piece.key, said)

    async def find(self, piece: Piece[LinkedArticleArguments]) -> Placed | None:
        """See Target. Without ``find_url`` None where sending again does no harm, else PermanentError."""
        if not self._settings.find_url:
            if self._settings.idempotent:
                return None
            raise PermanentError(
                f"{self._where}: the receiver cannot be asked whether it has {piece.key[:80]!r}: look there"
                " and settle it by hand, or put find_url into extra"
            )
        url = self._settings.find_url.replace("{key}", quote(piece.key, safe=""))
        status, said = await self._send("GET", url, b"", {}, absent=True)
        return None if status == 404 else _placed(piece.key, said)

    async def unpublish(self, external_id: str) -> bool:
        """See Target. What was sent stays sent."""
        del external_id
        return False

    async def _send(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], *, absent: bool = False
    ) -> tuple[int, bytes]:
        """Status and beginning of the answer. ``absent``: 404 is an answer like others."""
        sends = method == "POST"
        signed = {**headers, SIGNATURE_HEADER: sign(body, self._secret, at=int(self._clock()))}
        answered: httpx.Response | None = None
        try:
            async with self._http.stream(method, url, content=body or None, headers=signed) as answer:
                answered = answer
                said = await _beginning(answer)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            if answered is None or not answered.is_success:
                raise self._unanswered(error, sends=sends) from None
            said = b""  # it was taken: what more there was to say does not matter
        if answered.is_success or (absent and answered.status_code == 404):
            return answered.status_code, said
        raise self._refused(answered.status_code, said, answered.headers, sends=sends)

    def _unanswered(self, error: Exception, *, sends: bool) -> PressroomError:
        name = type(error).__name__
        if isinstance(error, UNSENDABLE):
            return ConfigurationError(f"{self._where}: the request cannot be sent: {name}")
        if isinstance(error, UNSENT):
            return TransientError(f"{self._where}: the receiver cannot be reached: {name}")
        if sends:
            return UnknownOutcome(f"{self._where}: no answer, the piece may have been taken: {name}")
        return TransientError(f"{self._where}: no whole answer: {name}")

    def _refused(
        self, status: int, body: bytes, headers: Mapping[str, str], *, sends: bool
    ) -> PressroomError:
        text = self._hide(f"{self._where}: the receiver answered {status}: {_words(body)}")
        if status in (409, 429):
            return TransientError(text, retry_after=retry_after(headers))
        if status >= 500 or status in PASSING:
            kind = UnknownOutcome if sends else TransientError
            return kind(text, retry_after=retry_after(headers))
        if status in _SETUP or status < 400:
            return ConfigurationError(text)
        return PermanentError(text)

    def _hide(self, text: str) -> str:
        # The path of a webhook's address is often its password.
        for address in (self._settings.url, self._settings.find_url):
            parts = urlsplit(address)
            for part in (address, parts.path, parts.query):
                text = text.replace(part, "[hidden]") if len(part) > 1 else text
        return scrub(text, self._secret)


def payload(piece: Piece[LinkedArticleArguments], where: str) -> bytes:
    """The body of the request. ``where``: how errors name the connection."""
    arguments = piece.arguments
    if any(not web_url(picture.url) for picture in piece.pictures):
        raise ConfigurationError(
            f"{where}: a webhook names pictures by their web addresses, and one has none: serve the media"
            " folder and set the Airflow variable pressroom_media_public_url"
        )
    cleaned = cleaned_with(
        arguments.html, [Illustration(one.url, one.url, one.alt) for one in piece.pictures]
    )
    body = {
        "key": piece.key,
        "title": arguments.title,
        "html": cleaned,
        "text": text_of(cleaned),
        "excerpt": arguments.excerpt,
        "slug": arguments.slug,
        "tags": list(arguments.tags),
        "categories": list(arguments.categories),
        "link": web_url(arguments.link),
        "at": piece.at.isoformat() if piece.at else None,
        "pictures": [
            {"url": picture.url, "alt": picture.alt, "media_type": picture.media_type}
            for picture in piece.pictures
        ],
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def header_value(key: str) -> str:
    """The key as a header can carry it: as it is, when it is plain ASCII without blanks."""
    return quote(key, safe="!#$&'()*+,-./:;=?@[]^_`{|}~")


async def _beginning(answer: httpx.Response) -> bytes:
    said = bytearray()
    async for chunk in answer.aiter_bytes():
        said += chunk
        if len(said) > ANSWER_BYTES:
            break
    return bytes(said[:ANSWER_BYTES])


def _placed(key: str, said: bytes) -> Placed:
    """Under the id that the answer names, if it is JSON and names one, else under the key."""
    try:
        body = json.loads(said)
    except ValueError:
        body = None
    known = body if isinstance(body, dict) else {}
    id = known.get("id")
    named = clean_line(str(id), ID_CHARS) if isinstance(id, str | int) and not isinstance(id, bool) else ""
    return Placed(named or key, web_url(known.get("url")))


def _words(said: bytes) -> str:
    """What the receiver said of its refusal; of a page of HTML, nothing."""
    text = said.decode("utf-8", "replace")
    try:
        body: Any = json.loads(text)
    except ValueError:
        return "" if text.lstrip().startswith("<") else clean_line(text, 300)
    if isinstance(body, dict):
        body = next((body[name] for name in ("message", "detail", "error", "title") if body.get(name)), body)
    return clean_line(str(body), 300)
