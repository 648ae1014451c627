"""How to reach a model provider: what an Airflow connection says, checked, as one frozen value."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from pressroom.domain.errors import ConfigurationError
from pressroom.domain.model import Limits
from pressroom.domain.prices import FREE, ImagePrice, TextPrice, price_table

OPENAI_HOST = "api.openai.com"
OPENAI_URL = f"https://{OPENAI_HOST}/v1"

Structured = Literal["json_schema", "json_schema_basic", "json_object", "prompt"]
"""How a server is asked for JSON, the strictest way first. Basic: without keywords that OpenAI refuses."""

CentsRate = Annotated[Decimal, Field(ge=0)]


class PriceOverride(BaseModel):
    """A connection's own prices. Units: cents per million tokens, or cents per picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_cents_per_million: CentsRate = Decimal(0)
    cached_input_cents_per_million: CentsRate | None = None
    output_cents_per_million: CentsRate = Decimal(0)
    cents_per_image: CentsRate | None = None


class ConnectionSettings(BaseModel):
    """One provider connection. ``options``: provider fields that go with every request, as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    base_url: str = Field(default="", description="empty: the provider's own")
    api_key: SecretStr = SecretStr("")
    model: str = ""
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    max_wait_seconds: float = Field(default=60, ge=0, description="longest sleep for the rate limit")
    timeout_seconds: float = Field(default=120, gt=0)
    structured: Structured | None = Field(default=None, description="pins the way of asking for JSON")
    native_tools: bool | None = Field(default=None, description="pins whether tool calls are used")
    prices: PriceOverride | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def from_connection(
        cls,
        name: str,
        *,
        host: str | None,
        password: str | None,
        extra: Mapping[str, Any] | None,
        schema: str | None = None,
        port: int | None = None,
    ) -> ConnectionSettings:
        """Settings from a connection's fields.

        ``host``: a base URL, or a host name that ``schema`` and ``port`` complete; ``password``: the API key;
        ``extra``: all other settings. Raises ConfigurationError that names the connection and the key at
        fault, and never a value.
        """
        extra = extra or {}
        unknown = [key for key in extra if key not in _EXTRAS]
        if unknown:
            near = difflib.get_close_matches(unknown[0], _EXTRAS, 1)
            hint = f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(_EXTRAS)}"
            raise ConfigurationError(f"connection {name!r}: unknown key {unknown[0]!r} in extra{hint}")
        values = {
            **extra,
            "name": name,
            "base_url": _base_url(name, host, schema, port),
            "api_key": password or "",
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            # Only place and reason: the input in pydantic's own text could be a secret.
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigurationError(f"connection {name!r}: {where}: {first['msg']}") from None

    def chosen(self, model: str | None) -> str:
        """``model``, else the connection's. Raises ConfigurationError when neither names one."""
        found = model or self.model
        if not found:
            raise ConfigurationError(
                f"connection {self.name!r}: no model: name one in its extra or in the site"
            )
        return found

    def key(self, *, required: bool) -> str:
        """The API key. Raises ConfigurationError when one is required and there is none."""
        secret = self.api_key.get_secret_value()
        if required and not secret:
            raise ConfigurationError(
                f"connection {self.name!r}: no API key: put it in the connection's password"
            )
        return secret

    @property
    def limits(self) -> Limits:
        """Its rate limits."""
        return Limits(self.requests_per_minute, self.tokens_per_minute, max_wait=self.max_wait_seconds)

    @property
    def host(self) -> str:
        """The host name of the base URL."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI itself, whose habits are known without trying."""
        return self.host in ("", OPENAI_HOST)

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


# What a user may write in a connection's extra: all but what comes from its other fields.
_EXTRAS = sorted(set(ConnectionSettings.model_fields) - {"name", "base_url", "api_key"})


def text_price(settings: ConnectionSettings, model: str) -> TextPrice | None:
    """The connection's own price, else today's in the table; None when neither knows the model.

    A local server is free.
    """
    own = settings.prices
    if own is not None:
        cached = own.cached_input_cents_per_million
        input_rate = own.input_cents_per_million
        return TextPrice(input_rate, input_rate if cached is None else cached, own.output_cents_per_million)
    listed = price_table().text(model, datetime.now(UTC).date())
    return FREE if listed is None and settings.is_local else listed


def image_price(settings: ConnectionSettings, model: str) -> ImagePrice | None:
    """The same for pictures."""
    own = settings.prices
    if own is not None:
        each = {} if own.cents_per_image is None else {"any": own.cents_per_image}
        return ImagePrice(own.input_cents_per_million, own.output_cents_per_million, each)
    listed = price_table().image(model, datetime.now(UTC).date())
    return ImagePrice() if listed is None and settings.is_local else listed


def _base_url(name: str, host: str | None, schema: str | None, port: int | None) -> str:
    """The host field as a base URL: it may hold a whole one, or only a name beside schema and port."""
    host = (host or "").strip()
    if not host:
        return ""
    parts = urlsplit(host if "://" in host else f"{schema or 'https'}://{host}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"connection {name!r}: its host is not a web address (https://…)")
    if parts.username or parts.password:
        raise ConfigurationError(f"connection {name!r}: a key belongs in the password, not in the host")
    place = parts.netloc if parts.port or not port else f"{parts.netloc}:{port}"
    # Every OpenAI-compatible server has its API under a path; /v1 is the usual one.
    return f"{parts.scheme}://{place}{parts.path.rstrip('/') or '/v1'}"
