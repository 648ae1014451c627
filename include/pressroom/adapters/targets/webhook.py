"""A webhook as a target: the piece as JSON, signed, to an address of the user's.

The request is signed by the rules of Standard Webhooks (see ``signing``; the secret is the connection's
password), and carries ``Idempotency-Key``, the piece's key: a receiver that gets a key again does nothing, or
updates what it has. With such a receiver sending again does no harm, so ``find`` says that it lacks the piece
unless ``find_url`` says otherwise. One that does not promise this (``"idempotent": false`` in extra) needs
``find_url``, or an operator who settles what became of a request that was not answered.

Needs: the URL in host, the secret in password; ``find_url`` and ``idempotent`` in extra. Fails as
``adapters.http.errors`` says, and besides::

    404, 410    ConfigurationError: the address is the connection's own
    409         TransientError: the receiver is at the same key already
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import AfterValidator, Field

from pressroom.adapters.http.errors import OWN_ADDRESS, ErrorRow
from pressroom.adapters.http.notify import RECEIVER, HookSettings, address_parts
from pressroom.adapters.http.service import Service
from pressroom.adapters.http.signing import sign
from pressroom.adapters.targets.article import (
    Illustration,
    LinkedArticleArguments,
    cleaned_with,
    linked_article_of,
)
from pressroom.adapters.targets.service import ServiceTarget
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
from pressroom.domain.markup.html import text_of
from pressroom.domain.outside import clean_line, web_url
from pressroom.domain.publishing import NO_SETTINGS, Content, Piece, Placed

__all__ = ["Webhook", "WebhookSettings"]

ID_CHARS = 200

_ROWS = (OWN_ADDRESS, ErrorRow(TransientError, {409}))


def _is_template(text: str) -> str:
    parts = urlsplit(text.replace("{key}", "key"))
    if text and ("{key}" not in text or parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("is not a web address (https://…) with {key} in it")
    return text


class WebhookSettings(HookSettings):
    """One connection. ``url``: where pieces are posted to; ``password``: the secret that signs them."""

    find_url: Annotated[str, AfterValidator(_is_template)] = Field(
        default="", description="where to ask for a piece: {key} is replaced; answers 200 or 404"
    )
    idempotent: bool = Field(
        default=True, description="whether the receiver takes a piece once however often its key comes"
    )
    settle_seconds: float = Field(
        default=10, ge=0, description="how long a piece that was not answered may still turn up"
    )

    @property
    def secrets(self) -> list[str]:
        """Everything that must not be shown."""
        return [*super().secrets, *address_parts(self.find_url)]


class WebhookArguments(LinkedArticleArguments):
    """An article as the receiver gets it."""

    limits: ClassVar = replace(LinkedArticleArguments.limits, picture_urls=True)


class Webhook(ServiceTarget[WebhookSettings, Service]):
    """One receiver as a target. Nothing can be taken back.

    ``at`` says when a piece is to appear; the receiver has to wait for it.
    """

    handler = "webhook"
    description = "Sends an article to another system, which takes it from there."
    arguments: type[LinkedArticleArguments] = WebhookArguments

    @staticmethod
    def _client(settings: WebhookSettings, transport: httpx.AsyncBaseTransport | None) -> Service:
        return Service(RECEIVER, settings, rows=_ROWS, transport=transport)

    def from_content(self, content: Content) -> LinkedArticleArguments:
        return WebhookArguments(**linked_article_of(content))

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """Checks nothing: a receiver can only be asked by sending something."""

    async def publish(self, piece: Piece[LinkedArticleArguments]) -> Placed:
        """Raises ConfigurationError for a picture without an address on the web."""
        headers = {"Idempotency-Key": header_value(piece.key), "Content-Type": "application/json"}
        body = payload(piece, self._where)
        answer = await self._send("POST", "", piece.key, body, headers, changes=True)
        return _placed(piece.key, answer.content)

    async def find(self, piece: Piece[LinkedArticleArguments]) -> Placed | None:
        """Without ``find_url``: None when sending again does no harm, else PermanentError."""
        if not self._settings.find_url:
            if self._settings.idempotent:
                return None
            raise PermanentError(
                f"{self._where}: the receiver cannot be asked whether it has {piece.key[:80]!r}: look there"
                " and settle it by hand, or put find_url into extra"
            )
        url = self._settings.find_url.replace("{key}", quote(piece.key, safe=""))
        # A message of its own: a receiver that remembers ids would refuse the piece after this question.
        answer = await self._send("GET", url, str(uuid.uuid4()), b"", {}, allow=(404,))
        return None if answer.status_code == 404 else _placed(piece.key, answer.content)

    async def unpublish(self, external_id: str) -> bool:
        """Does nothing: a sent webhook cannot be taken back."""
        del external_id
        return False

    async def _send(
        self, method: str, url: str, message: str, body: bytes, headers: Mapping[str, str], **options: Any
    ) -> httpx.Response:
        secret = self._settings.password.get_secret_value()
        signed = {**headers, **sign(message, body, secret, at=self._now().timestamp())}
        return await self._api.request(
            method, url, status_only=True, content=body or None, headers=signed, **options
        )


def payload(piece: Piece[LinkedArticleArguments], where: str) -> bytes:
    """The body of the request. ``where``: how errors name the connection."""
    arguments = piece.arguments
    if any(not web_url(picture.url) for picture in piece.pictures):
        raise ConfigurationError(
            f"{where}: a webhook names pictures by their web addresses, and one has none: serve the media"
            " folder and set the Airflow variable pressroom_media_public_url"
        )
    cleaned = cleaned_with(
        arguments.html, [Illustration(shown.url, shown.url, shown.alt) for shown in piece.pictures]
    )
    body = {
        "key": piece.key,
        "title": arguments.title,
        "html": cleaned,
        "text": text_of(cleaned),
        "excerpt": arguments.excerpt,
        "meta_description": arguments.meta_description or arguments.excerpt,
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


def _placed(key: str, answer: bytes) -> Placed:
    """Under the id that the answer names, if it is JSON and names one, else under the key."""
    try:
        body = json.loads(answer)
    except ValueError:
        body = None
    known = body if isinstance(body, dict) else {}
    id = known.get("id")
    named = clean_line(str(id), ID_CHARS) if isinstance(id, str | int) and not isinstance(id, bool) else ""
    return Placed(named or key, web_url(known.get("url")))


Settings, Target = WebhookSettings, Webhook
