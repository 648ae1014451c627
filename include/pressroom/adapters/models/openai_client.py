"""The SDK's client for a connection."""

from __future__ import annotations

import openai

from pressroom.adapters.http.service import PATIENCE
from pressroom.adapters.models.settings import OPENAI_URL, ConnectionSettings
from pressroom.adapters.models.whole_answers import WholeAnswers
from pressroom.domain.errors import ConfigurationError

MOST_BYTES = 100_000_000
"""Of an answer. A batch's file of results is the largest."""
_VERSION = "api-version"


def open_client(settings: ConnectionSettings, secret: str) -> openai.AsyncOpenAI:
    """A client that makes each request once: the engine retries. Opening one makes no request.

    Raises ConfigurationError for the address of an Azure deployment without its version.
    """
    http = WholeAnswers(
        most_bytes=MOST_BYTES,
        seconds=PATIENCE * settings.timeout_seconds,
        timeout=settings.timeout_seconds,
    )
    key = secret or "none"  # the SDK demands a key, a local server does not
    if settings.is_azure_deployment:
        if _VERSION not in settings.query:
            raise ConfigurationError(
                f"connection {settings.name!r}: the address of a deployment at Azure ends with"
                " ?api-version=…: put it there, or use https://NAME.openai.azure.com/openai/v1, without one"
            )
        return openai.AsyncAzureOpenAI(
            api_key=key,
            api_version=settings.query[_VERSION],
            base_url=settings.base_url,
            timeout=settings.timeout_seconds,
            max_retries=0,
            http_client=http,
        )
    return openai.AsyncOpenAI(
        api_key=key,
        base_url=settings.base_url or OPENAI_URL,
        timeout=settings.timeout_seconds,
        max_retries=0,
        default_query=settings.query or None,
        http_client=http,
    )
