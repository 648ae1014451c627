"""The check of a model's connection at each provider's server: what it can do and costs, for nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.domain.errors import AnswerError, TransientError
from pressroom.domain.model import Message, ModelRequest
from pressroom.engine.models.dialects import StoredDialects
from pressroom.pipelines.site import SITE
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.model_desk import Note
from tests.support.provider_dialects import PROVIDERS
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.whole_runs import PRICES
from tests.support.world import World, make_world

with airflow_as_library():
    from pressroom.orchestration.tools.connections import Connections
    from pressroom.orchestration.tools.probe import models_of, verified

pytestmark = pytest.mark.integration

PRICE = "1000 in, 100 cached, 2000 out (cents a million tokens)"
THINKS = "4096 tokens more for thoughts"
SAME = "nothing that differs from OpenAI's API"
LEARNED = {
    "openai_reasoning": f"the limit is called max_completion_tokens; no temperature; {THINKS}",
    "anthropic": "no temperature; response_format is ignored, the schema is shown in words",
    "mistral": SAME,
    "deepseek": f"JSON by json_object; {THINKS}",
    "kimi": "no temperature",
    "groq": SAME,
    "gemini": THINKS,
    "xai": THINKS,
    "openrouter": THINKS,
    "azure": f"JSON by json_object; the limit is called max_completion_tokens; {THINKS}",
    "vllm": f"no system role; {THINKS}",
    "lm_studio": SAME,
}
ASKED = {
    "openai_reasoning": "JSON by json_schema, tool calls, system role",
    "anthropic": "JSON by json_schema, the schema in words, tool calls, system role",
    "deepseek": "JSON by json_object, the schema in words, tool calls, temperature, system role",
    "kimi": "JSON by json_schema, tool calls, system role",
    "azure": "JSON by json_object, the schema in words, tool calls, temperature, system role",
    "vllm": "JSON by json_schema, tool calls, temperature",
}
AS_OPENAI = "JSON by json_schema, tool calls, temperature, system role"


@pytest.fixture
def server(scripted_openai: ScriptedOpenAI) -> ScriptedOpenAI:
    scripted_openai.script.clear()
    return scripted_openai


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store)


def connections(server: ScriptedOpenAI, media: Path, **extra: Any) -> Connections:
    more = {"model": "scripted-1", "prices": PRICES, **extra}
    read = SimpleNamespace(
        host=server.base_url, schema=None, port=None, login=None, password="sk-test-12345678",
        extra_dejson=more,
    )  # fmt: skip
    return Connections(lambda name: read, lambda name: media.as_uri(), (KeyError,))


def facts(world: World, known: Connections) -> list[str]:
    return [each.text for each in models_of(world.store, world.row.run(), [SITE], known)]


async def ask(world: World, known: Connections) -> None:
    """The first call of a run, whatever becomes of it."""
    messages = [Message("system", "You write."), Message("user", "Write a note.")]
    request = ModelRequest(messages, "Note", Note.model_json_schema(), max_tokens=600)
    dialects = StoredDialects(world.store)
    async with OpenAIText(known.model("pressroom_text"), dialects=dialects) as model:
        try:
            await model.complete(request)
        except (AnswerError, TransientError):
            return


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_check_says_what_the_model_costs_and_what_was_learned_and_asks_it_nothing(
    world: World, server: ScriptedOpenAI, tmp_path: Path, provider: str
) -> None:
    server.script.update({"dialect": provider})
    known = connections(server, tmp_path)
    model = f"scripted-1, connection 'pressroom_text'. price: {PRICE}"
    assert facts(world, known) == [f"{model}. learned: nothing yet; its first call learns what it takes"]
    assert server.script.journal == []
    asyncio.run(ask(world, known))
    calls = len(server.script.journal)
    asked = ASKED.get(provider, AS_OPENAI)
    assert facts(world, known) == [f"{model}. asked with: {asked}. learned: {LEARNED[provider]}"]
    found = verified(world.store, world.row.run(), [SITE], known)
    unlisted = ["Azure does not list its deployments" in each.text for each in found]
    assert unlisted == ([True] if provider == "azure" else [])
    assert [each for each in found if each.problem] == []
    assert len(server.script.journal) == calls


def test_what_goes_into_a_cache_is_among_the_prices(
    world: World, server: ScriptedOpenAI, tmp_path: Path
) -> None:
    [listed] = facts(world, connections(server, tmp_path, prices=None, base_model="claude-opus-5.5"))
    assert "price: 400 in, 20 cached, 2000 out, 500 into a cache (cents a million tokens)" in listed
