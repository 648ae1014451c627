"""Signed words to whoever wants to know: one POST of JSON, and no answer waited for but that it arrived."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self, Unpack

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from pressroom.adapters.connection import ConnectionFields, secret_of, settings_of, web_address
from pressroom.adapters.http.scrub import scrub
from pressroom.adapters.http.signing import SIGNATURE_HEADER, sign
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
from pressroom.domain.text import to_json


class NotifySettings(BaseModel):
    """A connection to a webhook. ``password``: the secret that signs."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    connection: str
    url: str
    password: SecretStr
    timeout_seconds: float = Field(default=10, gt=0, le=60)

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> Self:
        """``host``: the URL; ``password``: the secret. Raises ConfigurationError."""
        if not secret_of(fields):
            raise ConfigurationError(
                f"connection {connection_id!r}: password: there is no secret to sign with"
            )
        url = web_address(connection_id, fields)
        return settings_of(cls, connection_id, fields.get("extra"), url=url, password=fields.get("password"))


async def notify(
    settings: NotifySettings,
    event: str,
    payload: Mapping[str, Any],
    *,
    transport: httpx.AsyncBaseTransport | None = None,
) -> None:
    """Send it. Raises TransientError or PermanentError, which name the connection and not its URL."""
    body = to_json({"event": event, **payload}).encode()
    secret = settings.password.get_secret_value()
    headers = {
        "Content-Type": "application/json",
        "Pressroom-Event": event,
        SIGNATURE_HEADER: sign(body, secret, at=int(time.time())),
    }
    where = f"connection {settings.connection!r}"
    try:
        async with httpx.AsyncClient(timeout=settings.timeout_seconds, transport=transport) as client:
            answer = await client.post(settings.url, content=body, headers=headers)
    except httpx.TransportError as error:
        raise TransientError(f"{where}: not reachable: {type(error).__name__}") from None
    except httpx.HTTPError as error:
        raise PermanentError(f"{where}: {type(error).__name__}") from None
    if answer.status_code == 429 or answer.status_code >= 500:
        raise TransientError(f"{where}: it answered {answer.status_code}")
    if not answer.is_success:
        raise PermanentError(f"{where}: it answered {answer.status_code}: {scrub(answer.text, secret)[:200]}")
