"""How to reach Metricool, or the simulator in its place: what an Airflow connection says, checked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from pressroom.domain.errors import ConfigurationError

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

    @classmethod
    def from_connection(
        cls,
        connection_id: str,
        *,
        host: str | None = None,
        schema: str | None = None,
        port: int | None = None,
        login: str | None = None,
        password: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> MetricoolSettings:
        """Settings from the fields of an HTTP connection.

        ``host``: a base URL, or a host name that ``schema`` and ``port`` complete, empty for Metricool's own;
        ``login``: the user's number, unless ``extra`` has it as user_id; ``password``: the token; ``extra``:
        all other settings. Raises ConfigurationError that names the connection and the key at fault, and
        never the token.
        """
        extra = dict(extra or {})
        unknown = [key for key in extra if key not in _EXTRAS]
        if unknown:
            near = difflib.get_close_matches(unknown[0], _EXTRAS, 1)
            hint = f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(_EXTRAS)}"
            raise ConfigurationError(
                f"connection {connection_id!r}: unknown key {unknown[0]!r} in extra{hint}"
            )
        if login and "user_id" not in extra:
            extra["user_id"] = login
        base_url = _base_url(connection_id, host, schema, port)
        token = (password or "").strip() or (SIMULATOR_TOKEN if extra.get("simulator") is True else "")
        try:
            settings = cls.model_validate(
                {**extra, "connection": connection_id, "base_url": base_url, "token": token}
            )
        except ValidationError as error:
            # Only place and reason: the input in pydantic's own text could be a secret.
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigurationError(f"connection {connection_id!r}: {where}: {first['msg']}") from None
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


# What a user may write in a connection's extra: all but what comes from its other fields.
_EXTRAS = sorted(set(MetricoolSettings.model_fields) - {"connection", "base_url", "token"})


def _base_url(name: str, host: str | None, schema: str | None, port: int | None) -> str:
    """The host field as a base URL; Metricool's own has its API under /api, wherever else it is as given."""
    host = (host or "").strip()
    if not host:
        return METRICOOL_URL
    try:
        parts = urlsplit(host if "://" in host else f"{schema or 'https'}://{host}")
        given = parts.port
    except ValueError:
        raise ConfigurationError(f"connection {name!r}: its host is not a web address (https://…)") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"connection {name!r}: its host is not a web address (https://…)")
    if parts.username or parts.password:
        raise ConfigurationError(f"connection {name!r}: a token belongs in the password, not in the host")
    place = parts.netloc if given or not port else f"{parts.netloc}:{port}"
    path = parts.path.rstrip("/") or ("/api" if parts.hostname == METRICOOL_HOST else "")
    return f"{parts.scheme}://{place}{path}"
