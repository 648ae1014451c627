"""Connections to a mail server and to Slack. Everything that apprise is given is built from these."""

from __future__ import annotations

import re
from email.utils import formataddr, parseaddr
from typing import Literal, Self, Unpack

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from pressroom.adapters.connection import ConnectionFields, secret_of, settings_of
from pressroom.domain.errors import ConfigurationError

PORTS = {"starttls": 587, "tls": 465, "none": 25}
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?|[0-9a-fA-F:]{2,45}")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}")
_HOOK = re.compile(r"(?:https://hooks\.slack\.com/services/)?(T[A-Z0-9]+)/(B[A-Z0-9]+)/([A-Za-z0-9]+)")
_BOT = re.compile(r"xoxb-[A-Za-z0-9-]+")


class MailSettings(BaseModel):
    """A connection to a mail server. ``sender``: as in ``Pressroom <press@example.com>``."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    connection: str
    host: str
    port: int
    login: str
    password: SecretStr
    sender: str
    security: Literal["starttls", "tls", "none"] = "starttls"
    timeout_seconds: int = Field(default=20, gt=0, le=30)

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> Self:
        """Settings from the fields of a connection.

        ``host``, ``port``: the server's; ``login``, ``password``: none for a server that asks for none;
        ``extra``: sender, security, timeout_seconds.

        Raises ConfigurationError that names the connection and the place at fault, and never a secret.
        """
        where = f"connection {connection_id!r}"
        host, login = (fields.get("host") or "").strip(), (fields.get("login") or "").strip()
        if not _HOST.fullmatch(host):
            raise ConfigurationError(
                f"{where}: its host is not a mail server's name, such as smtp.example.org"
            )
        password = secret_of(fields)
        if not (login + password).isascii():
            raise ConfigurationError(
                f"{where}: login and password: a mail server can be sent ASCII letters only, and one of these"
                " has others"
            )
        extra = dict(fields.get("extra") or {})
        extra.setdefault("sender", login)
        name, address = parseaddr(str(extra["sender"]))
        if not _ADDRESS.fullmatch(address) or not str(extra["sender"]).isprintable():
            raise ConfigurationError(
                f"{where}: sender: put the address that mails come from into the extra, such as"
                ' {"sender": "Pressroom <press@example.com>"}'
            )
        extra["sender"] = formataddr((name, address))
        port = fields.get("port") or PORTS.get(str(extra.get("security", "starttls")), PORTS["starttls"])
        return settings_of(cls, connection_id, extra, host=host, port=port, login=login, password=password)

    @property
    def secrets(self) -> list[str]:
        """All values that no message may show."""
        return [text for text in (self.password.get_secret_value(),) if text]


class SlackSettings(BaseModel):
    """A connection to Slack: a webhook, whose address is the secret, or a bot's token."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    connection: str
    password: SecretStr
    timeout_seconds: int = Field(default=20, gt=0, le=30)

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> Self:
        """Settings from the fields of a connection. ``password``: the address of an incoming webhook, or the
        token of a bot (``xoxb-…``). The host is Slack's, whatever the connection says.

        Raises ConfigurationError that names the connection, and never the secret.
        """
        secret = secret_of(fields)
        if not _HOOK.fullmatch(secret) and not _BOT.fullmatch(secret):
            raise ConfigurationError(
                f"connection {connection_id!r}: password: this is neither the address of an incoming webhook"
                " (https://hooks.slack.com/services/T…/B…/…) nor the token of a bot (xoxb-…)"
            )
        return settings_of(cls, connection_id, fields.get("extra"), password=secret)

    @property
    def hook(self) -> tuple[str, str, str] | None:
        """The three parts of an incoming webhook; None for a bot."""
        match = _HOOK.fullmatch(self.password.get_secret_value())
        return None if match is None else (match[1], match[2], match[3])

    @property
    def secrets(self) -> list[str]:
        """All values that no message may show."""
        return [self.password.get_secret_value(), *(self.hook or ())]
