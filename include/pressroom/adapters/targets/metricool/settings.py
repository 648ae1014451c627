"""How to reach Metricool, or the simulator in its place: what an Airflow connection says, checked."""

from __future__ import annotations

import re
from typing import Unpack
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from pressroom.adapters.connection import ConnectionFields, secret_of, settings_of, web_address
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.social import Platform

METRICOOL_HOST = "app.metricool.com"
METRICOOL_URL = f"https://{METRICOOL_HOST}/api"
SIMULATOR_TOKEN = "simulator"

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


class MetricoolSettings(BaseModel):
    """One connection. ``user_id`` and ``blog_id`` are Metricool's numbers of the user and of the brand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connection: str
    base_url: str = METRICOOL_URL
    token: SecretStr
    user_id: int = Field(ge=1)
    blog_id: int = Field(ge=1)
    simulator: bool = Field(default=False, description="the other side is the simulator, and so is the clock")
    timeout_seconds: float = Field(default=30, gt=0)
    settle_seconds: float = Field(
        default=10, ge=0, description="how long a post whose creation was not answered may still turn up"
    )
    pinterest_board: str = Field(default="", description="id of the board for pins that name none")
    network: Platform | None = Field(default=None, description="where posts go that name no network")

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> MetricoolSettings:
        """Settings from the fields of an HTTP connection.

        ``host``: a base URL, or a host name that ``schema`` and ``port`` complete, empty for Metricool's own;
        ``login``: the user's number, unless ``extra`` has it as user_id; ``password``: the token; ``extra``:
        all other settings. Raises ConfigurationError that names the connection and the key at fault, and
        never the token.
        """
        extra = dict(fields.get("extra") or {})
        if (login := fields.get("login")) and "user_id" not in extra:
            extra["user_id"] = login
        base_url = _base_url(connection_id, fields)
        token = secret_of(fields) or (SIMULATOR_TOKEN if extra.get("simulator") is True else "")
        settings = settings_of(cls, connection_id, extra, base_url=base_url, token=token)
        if not token:
            raise ConfigurationError(
                f"connection {connection_id!r}: password: no token (Metricool's account settings show it)"
            )
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ConfigurationError(
                f"connection {connection_id!r}: password: the token holds a character that no header carries"
            )
        return settings

    @property
    def secret(self) -> str:
        """The token."""
        return self.token.get_secret_value()

    @property
    def secrets(self) -> list[str]:
        """Everything that must not be shown."""
        return [self.secret]

    @property
    def headers(self) -> dict[str, str]:
        """What a request proves its right with: a user token, or a JWT as a bearer token."""
        if _JWT.fullmatch(self.secret):
            return {"Authorization": f"Bearer {self.secret}"}
        return {"X-Mc-Auth": self.secret}

    @property
    def origin(self) -> str:
        """The base URL without its path."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"


def _base_url(name: str, fields: ConnectionFields) -> str:
    """The host field as a base URL; Metricool's own has its API under /api, wherever else it is as given."""
    if not (fields.get("host") or "").strip():
        return METRICOOL_URL
    parts = urlsplit(web_address(name, fields, secrets="a token belongs in the password"))
    path = parts.path.rstrip("/") or ("/api" if parts.hostname == METRICOOL_HOST else "")
    return f"{parts.scheme}://{parts.netloc}{path}"
