"""What an Airflow connection says of a WordPress site."""

from __future__ import annotations

import base64
from typing import Annotated, Literal, Unpack
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from pressroom.adapters.connection import ConnectionFields, secret_of, settings_of, web_address
from pressroom.domain.errors import ConfigurationError


def _is_web_address(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
        raise ValueError("is not a web address (https://…)")
    return text


class WordPressSettings(BaseModel):
    """One connection. ``site_url``: the front page; ``password``: an application password of ``user``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connection: str
    site_url: str
    user: str = Field(min_length=1)
    password: SecretStr
    rest_base: Annotated[str, AfterValidator(_is_web_address)] = Field(
        default="",
        description="root of the REST API, such as https://example.org/wp-json/ or …/?rest_route=/,"
        " when the site itself does not say where it is",
    )
    status: Literal["publish", "draft", "pending"] = Field(
        default="publish",
        description="what a finished piece becomes; draft and pending leave it to an editor",
    )
    meta_description_field: str = Field(
        default="",
        max_length=100,
        description="the field of a post's meta in which the site's SEO plugin has the meta description,"
        " such as _yoast_wpseo_metadesc; the site must show it in the REST API",
    )
    timeout_seconds: float = Field(default=30, gt=0)
    settle_seconds: float = Field(
        default=30, ge=0, description="how long a piece whose creation was not answered may still turn up"
    )

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> WordPressSettings:
        """Settings from the fields of an HTTP connection.

        ``host``: the site's URL, or a host name that ``schema`` and ``port`` complete; ``login``: the user;
        ``password``: an application password, with or without its spaces; ``extra``: all other settings.
        Raises ConfigurationError that names the connection and the key at fault, and never the password.
        """
        where = f"connection {connection_id!r}"
        user, secret = (fields.get("login") or "").strip(), secret_of(fields)
        if not user or ":" in user:
            raise ConfigurationError(f"{where}: login: the name of the WordPress user is missing")
        if not secret:
            raise ConfigurationError(
                f"{where}: password: no application password (the user's profile in WordPress makes one)"
            )
        return settings_of(
            cls,
            connection_id,
            fields.get("extra"),
            site_url=web_address(connection_id, fields),
            user=user,
            password=secret,
        )

    @property
    def secret(self) -> str:
        """The application password."""
        return self.password.get_secret_value()

    @property
    def base_url(self) -> str:
        """Where the site is; its API is looked for from there."""
        return self.site_url

    @property
    def secrets(self) -> list[str]:
        """The password in every form in which it goes over the wire."""
        basic = base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()
        return [self.secret, "".join(self.secret.split()), basic]
