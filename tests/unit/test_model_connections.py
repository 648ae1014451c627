"""The addresses that people type for a model's server, and the waits that servers state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from openai._models import FinalRequestOptions

from pressroom.adapters.models.openai_client import open_client
from pressroom.adapters.models.reset_times import duration, stated_wait
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.domain.errors import ConfigurationError

CLASSIC = "https://acme.openai.azure.com/openai/deployments/writer"


def settings(host: str) -> ConnectionSettings:
    return ConnectionSettings.from_connection("text", host=host, password="k-123", extra={"model": "m"})


@pytest.mark.parametrize(
    ("host", "base_url", "query"),
    [
        ("https://api.example.org", "https://api.example.org/v1", {}),
        ("https://api.example.org/v1/", "https://api.example.org/v1", {}),
        ("https://api.example.org/v1/chat/completions", "https://api.example.org/v1", {}),
        ("https://api.example.org/openai/v1/chat/completions/", "https://api.example.org/openai/v1", {}),
        ("https://api.example.org/v1/models", "https://api.example.org/v1", {}),
        ("https://api.example.org/v1/images/generations", "https://api.example.org/v1", {}),
        (f"{CLASSIC}?api-version=2024-10-21", CLASSIC, {"api-version": "2024-10-21"}),
        (f"{CLASSIC}/chat/completions?api-version=2024-10-21", CLASSIC, {"api-version": "2024-10-21"}),
        ("https://acme.openai.azure.com/openai/v1/", "https://acme.openai.azure.com/openai/v1", {}),
    ],
)
def test_an_address_is_taken_as_it_is_pasted(host: str, base_url: str, query: dict[str, str]) -> None:
    made = settings(host)
    assert (made.base_url, made.query) == (base_url, query)


async def sent_by(made: ConnectionSettings) -> tuple[str, Mapping[str, str]]:
    """The URL and the headers of a request, which nobody answers."""
    async with open_client(made, "k-123") as client:
        request = client._build_request(FinalRequestOptions(method="post", url="/chat/completions"))
        return str(request.url), request.headers


async def test_azures_classic_address_keeps_its_version_and_takes_the_key_in_a_header() -> None:
    url, headers = await sent_by(settings(f"{CLASSIC}?api-version=2024-10-21"))
    assert url == f"{CLASSIC}/chat/completions?api-version=2024-10-21"
    assert headers["api-key"] == "k-123"
    assert "authorization" not in headers


def test_an_azure_deployment_without_its_version_is_told_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"api-version.*openai/v1"):
        open_client(settings(CLASSIC), "k-123")


async def test_all_others_take_a_bearer() -> None:
    url, headers = await sent_by(settings("https://acme.openai.azure.com/openai/v1"))
    assert url == "https://acme.openai.azure.com/openai/v1/chat/completions"
    assert headers["authorization"] == "Bearer k-123"
    assert "api-key" not in headers


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("38.2s", 38.2), ("6m0s", 360), ("1h2m3s", 3723), ("450ms", 0.45), ("20 seconds", 20),
        ("1 minute 20 seconds", 80), ("2 hours", 7200), ("0s", 0), ("soon", None), ("", None), ("12", None),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


GOOGLE = [{"error": {"details": [{"@type": "x"}, {"@type": "RetryInfo", "retryDelay": "41s"}]}}]
REQUESTS = {"x-ratelimit-reset-requests": "2m", "x-ratelimit-reset-tokens": "1.5s"}

NO_TOKENS = {**REQUESTS, "x-ratelimit-remaining-requests": "7", "x-ratelimit-remaining-tokens": "0"}


@pytest.mark.parametrize(
    ("headers", "body", "words", "seconds"),
    [
        ({}, GOOGLE, "", 41),
        ({}, None, "Rate limit reached. Please try again in 38.2s. Visit us.", 38.2),
        ({}, None, "Please retry after 20 seconds.", 20),
        ({}, None, "Please wait 1m20s", 80),
        (REQUESTS, None, "", 120),
        (NO_TOKENS, None, "", 1.5),
        ({"x-ratelimit-reset-requests": "99h"}, None, "", 86400),
        ({"x-ratelimit-reset-requests": "1735689600"}, None, "", None),
        ({}, {"a": [1, None, "x"]}, "You exceeded your quota of 100 requests.", None),
        ({}, {"retryDelay": 5}, "", None),
    ],
)  # fmt: skip
def test_a_wait_is_read_wherever_it_is_stated(
    headers: dict[str, str], body: Any, words: str, seconds: float | None
) -> None:
    assert stated_wait(headers, body, words) == (None if seconds is None else pytest.approx(seconds))
