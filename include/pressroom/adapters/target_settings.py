"""What a connection to a service that publishes says, checked. No secret is in a text that it makes."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Self, Unpack
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from pressroom.adapters.connection_fields import ConnectionFields, secret_of, settings_of, web_address


def _is_sendable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text:
        raise ValueError("is empty")
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("holds a character that no header carries")
    return secret


HeaderSecret = Annotated[SecretStr, AfterValidator(_is_sendable)]
"""A secret that goes into a header: not empty, printable ASCII without blanks."""


class ApiSettings(BaseModel):
    """One connection to one service. Subclasses say what is special about theirs.

    ``home``: the service's own base URL, for a connection without a host; its path is also that of a bare
    host below the service's domain. Fields named ``login`` and ``password`` are those of the connection.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    home: ClassVar[str]

    connection: str
    base_url: str
    timeout_seconds: float = Field(default=30, gt=0)
    settle_seconds: float = Field(
        default=10, ge=0, description="how long a publication that was not answered may still turn up"
    )

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> Self:
        """Settings from the fields of an HTTP connection.

        ``host``: a base URL, or a host name that ``schema`` and ``port`` complete; empty: the service's own.
        Raises ConfigurationError that names the connection and the place at fault, and never a secret.
        """
        own = {"login": (fields.get("login") or "").strip(), "password": secret_of(fields)}
        own = {name: value for name, value in own.items() if name in cls.model_fields}
        base_url = _base_url(connection_id, cls.home, fields)
        return settings_of(cls, connection_id, fields.get("extra"), base_url=base_url, **own)

    @property
    def secrets(self) -> list[str]:
        """Everything that must not be shown."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]


def _base_url(connection_id: str, home: str, fields: ConnectionFields) -> str:
    if not (fields.get("host") or "").strip():
        return home
    given = urlsplit(web_address(connection_id, fields))
    own = urlsplit(home)
    domain = ".".join((own.hostname or "").split(".")[-2:])
    same = given.hostname == domain or (given.hostname or "").endswith(f".{domain}")
    path = given.path.rstrip("/") or (own.path if same else "")
    return f"{given.scheme}://{given.netloc}{path}"
