"""The page of providers: each example on it is a connection that works as the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pressroom.adapters.models.openai_client import open_client
from pressroom.adapters.models.settings import (
    OPENAI_URL,
    ConnectionSettings,
    embedding_price,
    ending,
    image_price,
    text_price,
)
from pressroom.domain.prices import ModelKind, price_table
from pressroom.settings import read_connection
from tests.support.provider_dialects import PROVIDERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "providers.md").read_text("utf-8")

SECTIONS = {part.split("\n", 1)[0].strip(): part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}
EXAMPLES = [
    (name, json.loads(block))
    for name, text in SECTIONS.items()
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)
]

CALLED = {
    "OpenAI": ["https://api.openai.com/v1"],
    "Azure OpenAI": [
        "https://NAME.openai.azure.com/openai/v1",
        "https://NAME.openai.azure.com/openai/deployments/my-deployment",
    ],
    "Anthropic": ["https://api.anthropic.com/v1"],
    "Gemini": ["https://generativelanguage.googleapis.com/v1beta/openai"],
    "Mistral": ["https://api.mistral.ai/v1"],
    "DeepSeek": ["https://api.deepseek.com/v1"],
    "Kimi (Moonshot)": ["https://api.moonshot.ai/v1"],
    "Qwen (DashScope)": ["https://dashscope-intl.aliyuncs.com/compatible-mode/v1"],
    "Groq": ["https://api.groq.com/openai/v1"],
    "xAI": ["https://api.x.ai/v1"],
    "OpenRouter": ["https://openrouter.ai/api/v1"],
    "LiteLLM": ["http://litellm.internal:4000/v1"],
    "vLLM": ["http://gpu-1.internal:8000/v1"],
    "Ollama": ["http://localhost:11434/v1"],
    "LM Studio": ["http://localhost:1234/v1"],
    "llama.cpp": ["http://localhost:8080/v1"],
    "Embeddings": ["https://api.openai.com/v1", "https://api.mistral.ai/v1"],
    "Pictures": ["https://api.openai.com/v1"],
}
"""Section → the base URL of each of its examples."""


def built(example: Mapping[str, Any]) -> ConnectionSettings:
    """The settings, by the way of Airflow's environment variables."""
    fields = read_connection(json.dumps(example), "the page")
    names = ("host", "schema", "port", "login", "password", "extra")
    return ConnectionSettings.from_connection("text", **{name: fields.get(name) for name in names})


def test_each_section_has_its_examples() -> None:
    seen: dict[str, list[str]] = {}
    for name, example in EXAMPLES:
        seen.setdefault(name, []).append(built(example).base_url or OPENAI_URL)
    assert seen == CALLED


@pytest.mark.parametrize(
    ("name", "example"), EXAMPLES, ids=[f"{number}-{name}" for number, (name, _) in enumerate(EXAMPLES)]
)
async def test_an_example_is_a_connection_whose_model_lasts_and_has_a_price(
    name: str, example: Mapping[str, Any]
) -> None:
    settings = built(example)
    model = settings.chosen(None)
    by_section: Mapping[str, tuple[ModelKind, Callable[[ConnectionSettings, str], object]]] = {
        "Embeddings": ("embedding", embedding_price),
        "Pictures": ("image", image_price),
    }
    kind, price = by_section.get(name, ("text", text_price))
    assert price(settings, model) is not None
    assert ending(settings, kind, model) == ""
    async with open_client(settings, settings.key(required=settings.is_openai)) as client:
        called = (settings.base_url or OPENAI_URL).replace("NAME", "name")  # a host has no capitals
        assert str(client.base_url).rstrip("/") == called


def test_the_variable_is_written_as_airflow_reads_it() -> None:
    [value] = re.findall(r"^AIRFLOW_CONN_PRESSROOM_TEXT='(.*)'$", PAGE, re.MULTILINE)
    assert built(json.loads(value)).base_url == "https://api.mistral.ai/v1"


def test_what_is_said_to_be_scripted_is() -> None:
    assert set(re.findall(r"scripted `(\w+)`", SECTIONS["What was seen"])) == set(PROVIDERS)


def test_each_provider_says_what_was_seen() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]*?) \|", SECTIONS["What was seen"], re.MULTILINE)
    named = {name for name, _ in rows} - {"provider", "---"}
    assert {re.sub(r" \(.*\)", "", name) for name in CALLED} - {"Pictures"} == {
        "Embeddings" if name == "embeddings" else name for name in named
    }


def test_no_model_that_ends_is_a_default_or_an_example() -> None:
    today = datetime.now(UTC).date()
    ending_models = {entry.model for entry in price_table().entries if entry.ends and entry.ending(today)}
    assert "gpt-5-mini" in ending_models
    files = [ROOT / name for name in ("airflow_settings.yaml", "README.md", "docs/providers.md")]
    for file in [*files, *sorted((ROOT / "examples").rglob("*.yaml"))]:
        words = set(re.findall(r"[\w.-]+", file.read_text("utf-8")))
        assert not words & ending_models, file.name


def test_readme_leads_to_it() -> None:
    assert "docs/providers.md" in (ROOT / "README.md").read_text("utf-8")
