"""How to reach Metricool, or the simulator in its place: what an Airflow connection says, checked."""

from __future__ import annotations

import re
from typing import ClassVar, Self, Unpack
from urllib.parse import urlsplit

from pydantic import Field

from pressroom.adapters.connection import ApiSettings, ConnectionFields, HeaderSecret, secret_of
from pressroom.domain.social import Platform

METRICOOL_URL = "https://app.metricool.com/api"
SIMULATOR_TOKEN = "simulator"

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


class MetricoolSettings(ApiSettings):
    """One connection. ``password``: the token, which Metricool's account settings show.

    ``user_id`` and ``blog_id``: Metricool's numbers of the user, which ``login`` can hold, and of the brand.
    """

    home: ClassVar[str] = METRICOOL_URL

    password: HeaderSecret
    user_id: int = Field(ge=1)
    blog_id: int = Field(ge=1)
    simulator: bool = Field(default=False, description="the other side is the simulator, and so is the clock")
    pinterest_board: str = Field(default="", description="id of the board for pins that name none")
    network: Platform | None = Field(default=None, description="where posts go that name no network")

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> Self:
        """As ApiSettings; the simulator needs no token."""
        extra = dict(fields.get("extra") or {})
        if (login := fields.get("login")) and "user_id" not in extra:
            extra["user_id"] = login
        if extra.get("simulator") is True and not secret_of(fields):
            fields["password"] = SIMULATOR_TOKEN
        fields["extra"] = extra
        return super().from_connection(connection_id, **fields)

    @property
    def headers(self) -> dict[str, str]:
        """What a request proves its right with: a user token, or a JWT as a bearer token."""
        token = self.password.get_secret_value()
        return {"Authorization": f"Bearer {token}"} if _JWT.fullmatch(token) else {"X-Mc-Auth": token}

    @property
    def origin(self) -> str:
        """The base URL without its path."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"
