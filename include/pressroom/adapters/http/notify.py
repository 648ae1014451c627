"""Notifications: a POST of signed JSON to a connection's address. Only the status of the answer counts.

Fails as every service does; its address is the connection's own, so 404 and 410 are about the set-up.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, Self, Unpack
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from pressroom.adapters.connection import ConnectionFields, secret_of, settings_of, web_address
from pressroom.adapters.http.errors import OWN_ADDRESS
from pressroom.adapters.http.service import Service
from pressroom.adapters.http.signing import check_secret, sign
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.text import to_json

RECEIVER = "the receiver"


class HookSettings(BaseModel):
    """A connection to a receiver of signed requests. ``password``: the secret that signs."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    connection: str
    url: str
    password: SecretStr
    timeout_seconds: float = Field(default=30, gt=0)

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> Self:
        """Settings from the fields of an HTTP connection.

        ``host``: the URL, or a host name that ``schema`` and ``port`` complete; ``password``: the secret;
        ``login`` is not used; ``extra``: all other settings. Raises ConfigurationError that names the
        connection and the key at fault, and never the secret.
        """
        try:
            check_secret(secret_of(fields))
        except ConfigurationError as error:
            raise ConfigurationError(f"connection {connection_id!r}: password: {error}") from None
        url = web_address(connection_id, fields)
        return settings_of(cls, connection_id, fields.get("extra"), url=url, password=fields.get("password"))

    @property
    def base_url(self) -> str:
        """Where every request goes."""
        return self.url

    @property
    def secrets(self) -> list[str]:
        """Everything that must not be shown: the path of a webhook's address is often its password."""
        return [self.password.get_secret_value(), *address_parts(self.url)]


class NotifySettings(HookSettings):
    """A connection that is told things. Nothing waits for it long."""

    timeout_seconds: float = Field(default=10, gt=0, le=60)


async def notify(
    settings: NotifySettings,
    event: str,
    payload: Mapping[str, Any],
    *,
    uid: str = "",
    transport: httpx.AsyncBaseTransport | None = None,
) -> None:
    """Send it. Raises TransientError or PermanentError, which name the connection and not its URL.

    ``uid``: the message's id for a receiver that takes each once; '' for a new one.
    """
    body = to_json({"event": event, **payload}).encode()
    headers = {
        "Content-Type": "application/json",
        "Pressroom-Event": event,
        **sign(uid or str(uuid.uuid4()), body, settings.password.get_secret_value(), at=time.time()),
    }
    service = Service(RECEIVER, settings, rows=(OWN_ADDRESS,), transport=transport)
    try:
        await service.request("POST", "", status_only=True, content=body, headers=headers)
    finally:
        await service.close()


def address_parts(address: str) -> list[str]:
    """An address, its path and its query."""
    parts = urlsplit(address)
    return [part for part in (address, parts.path, parts.query) if len(part) > 1]
