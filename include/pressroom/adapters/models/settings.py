"""The settings of a model provider's connection, checked, as one frozen value."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Unpack
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from pressroom.adapters.connection import ConnectionFields, settings_of, web_address
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.model import RateLimits
from pressroom.domain.prices import FREE, ImagePrice, ModelKind, TextPrice, price_table

OPENAI_HOST = "api.openai.com"
AZURE = ".azure.com"
OPENAI_URL = f"https://{OPENAI_HOST}/v1"

Structured = Literal["json_schema", "json_schema_basic", "json_object", "prompt"]
"""The ways to ask a server for JSON, the strictest first. Basic: without keywords that OpenAI refuses."""

# People paste the address that a provider's page shows for one request.
_ENDPOINT = re.compile(r"/(chat/completions|completions|responses|models|images/generations|embeddings)$")
_AZURE_DEPLOYMENT = "/openai/deployments/"

CentsRate = Annotated[Decimal, Field(ge=0)]


class PriceOverride(BaseModel):
    """A connection's own prices. Units: cents per million tokens, or cents per picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_cents_per_million: CentsRate = Decimal(0)
    cached_input_cents_per_million: CentsRate | None = None
    cache_write_cents_per_million: CentsRate | None = Field(
        default=None, description="of what the provider puts into its cache; as input"
    )
    output_cents_per_million: CentsRate = Decimal(0)
    reasoning_cents_per_million: CentsRate | None = Field(default=None, description="of thoughts; as output")
    batch_share: Decimal | None = Field(
        default=None, ge=0, le=1, description="of these prices, what the batch endpoint takes"
    )
    cents_per_image: CentsRate | None = None


class ConnectionSettings(BaseModel):
    """One provider connection. ``options``: fields that are sent unchanged with every request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    base_url: str = Field(default="", description="empty: the provider's own")
    query: dict[str, str] = Field(default_factory=dict, description="sent with every request")
    api_key: SecretStr = SecretStr("")
    model: str = ""
    base_model: str = Field(
        default="", description="the listed model behind a deployment's name, whose prices count"
    )
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    max_wait_seconds: float = Field(default=60, ge=0, description="longest sleep for the rate limit")
    timeout_seconds: float = Field(default=120, gt=0)
    structured: Structured | None = Field(default=None, description="pins the way of asking for JSON")
    native_tools: bool | None = Field(default=None, description="pins whether tool calls are used")
    reasoning: Literal["none", "low", "medium", "high"] | None = Field(
        default=None, description="how much the model thinks; None: as it does by itself"
    )
    head_room_tokens: int | None = Field(
        default=None, ge=0, le=200_000, description="room for thoughts beside the answer; None: learned"
    )
    prices: PriceOverride | None = None
    fallback: str = Field(
        default="", description="the connection that is asked when this one is down or out of money"
    )
    options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def from_connection(cls, name: str, **fields: Unpack[ConnectionFields]) -> ConnectionSettings:
        """Settings from a connection's fields.

        ``host``: a base URL, or a host name with ``schema`` and ``port``. ``password``: the API key.
        ``extra``: all other settings. Raises ConfigurationError that names the connection and the wrong key,
        never a value.
        """
        base_url, query = _address(name, fields)
        return settings_of(
            cls,
            name,
            fields.get("extra"),
            named="name",
            base_url=base_url,
            query=query,
            api_key=fields.get("password") or "",
        )

    def chosen(self, model: str | None) -> str:
        """``model``, else the connection's. Raises ConfigurationError when neither names one."""
        name = model or self.model
        if not name:
            raise ConfigurationError(
                f"connection {self.name!r}: no model: name one in its extra or in the site"
            )
        return name

    def key(self, *, required: bool) -> str:
        """The API key. Raises ConfigurationError when it is required and missing."""
        secret = self.api_key.get_secret_value()
        if required and not secret:
            raise ConfigurationError(
                f"connection {self.name!r}: no API key: put it in the connection's password"
            )
        return secret

    @property
    def connection(self) -> str:
        """Its name, as a service's settings have it."""
        return self.name

    @property
    def secrets(self) -> list[str]:
        """Everything that must not be shown."""
        return [self.api_key.get_secret_value()]

    @property
    def limits(self) -> RateLimits:
        """The connection's rate limits."""
        return RateLimits(self.requests_per_minute, self.tokens_per_minute, max_wait=self.max_wait_seconds)

    @property
    def host(self) -> str:
        """The host name of the base URL."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI itself, whose dialect is known."""
        return self.host in ("", OPENAI_HOST)

    @property
    def is_azure_deployment(self) -> bool:
        """Whether this is the classic address of a deployment at Azure, which takes its key in a header."""
        return self.host.endswith(AZURE) and _AZURE_DEPLOYMENT in self.base_url

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def text_price(settings: ConnectionSettings, model: str) -> TextPrice | None:
    """The connection's own price, else today's in the table. None when neither knows the model.

    A local server is free.
    """
    own = settings.prices
    if own is not None:
        cached = own.cached_input_cents_per_million
        input_rate = own.input_cents_per_million
        return TextPrice(
            input_rate,
            input_rate if cached is None else cached,
            own.output_cents_per_million,
            own.reasoning_cents_per_million,
            own.batch_share,
            cache_write=own.cache_write_cents_per_million,
        )
    table, today = price_table(), datetime.now(UTC).date()
    listed = table.text(model, today) or table.text(settings.base_model, today)
    return FREE if listed is None and settings.is_local else listed


def image_price(settings: ConnectionSettings, model: str) -> ImagePrice | None:
    """As ``text_price``, for image models."""
    own = settings.prices
    if own is not None:
        each = {} if own.cents_per_image is None else {"any": own.cents_per_image}
        return ImagePrice(own.input_cents_per_million, own.output_cents_per_million, each)
    table, today = price_table(), datetime.now(UTC).date()
    listed = table.image(model, today) or table.image(settings.base_model, today)
    return ImagePrice() if listed is None and settings.is_local else listed


def embedding_price(settings: ConnectionSettings, model: str) -> TextPrice | None:
    """As ``text_price``, for embedding models."""
    own = settings.prices
    if own is not None:
        return TextPrice(own.input_cents_per_million, own.input_cents_per_million, Decimal(0))
    table, today = price_table(), datetime.now(UTC).date()
    listed = table.embedding(model, today) or table.embedding(settings.base_model, today)
    return FREE if listed is None and settings.is_local else listed


def ending(settings: ConnectionSettings, kind: ModelKind, model: str) -> str:
    """What to tell of a model that has ended or ends soon; '' for others.

    A connection that names its ``base_model`` calls that one by another name. Azure has a calendar of its
    own.
    """
    if settings.host.endswith(AZURE):
        return ""
    today = datetime.now(UTC).date()
    table = price_table()
    entry = table.entry(kind, model, today) or table.entry(kind, settings.base_model, today)
    words = entry.ending(today) if entry else ""
    return f"connection {settings.name!r}: {words}" if words else ""


def _address(name: str, fields: ConnectionFields) -> tuple[str, dict[str, str]]:
    """The base URL and its query, from a host field with a whole URL, or a name for schema and port."""
    if not (fields.get("host") or "").strip():
        return "", {}
    parts = urlsplit(web_address(name, fields, secrets="a key belongs in the password"))
    path = _ENDPOINT.sub("", parts.path.rstrip("/"))
    # Every OpenAI-compatible server has its API under a path; /v1 is the usual one.
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}", dict(parse_qsl(parts.query))
