"""A whole site run and a whole mission run at a server of each provider: every item is done and paid once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pressroom.store.database import Store
from tests.support.model_desk import raw
from tests.support.provider_clouds import OpenRouter
from tests.support.provider_dialects import PROVIDERS
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.whole_runs import KEYWORDS, WholeRun, cents_of, connection, run_mission, run_site

pytestmark = pytest.mark.integration

PASSING = {"openrouter": [raw(OpenRouter.passing_failure(), call=4)]}
"""What goes wrong at a server for a moment, and is tried again."""
UNSAID = {"groq"}
"""Who does not say what an answer took that it refused itself: that call is booked at its bound."""


@pytest.fixture
def server(scripted_openai: ScriptedOpenAI) -> ScriptedOpenAI:
    scripted_openai.script.clear()
    return scripted_openai


def usages(server: ScriptedOpenAI) -> list[Mapping[str, Any]]:
    return [entry["usage"] for entry in server.script.journal if entry.get("usage")]


def paid_for_once(whole: WholeRun, server: ScriptedOpenAI, provider: str) -> None:
    """Nothing failed, the books have what the answers' usage says, and one call at most was paid in vain."""
    assert whole.failed == []
    unsaid = sum(cents for outcome, _, _, cents in whole.wasted if outcome == "InvalidAnswer")
    assert whole.spent == cents_of(usages(server)) + (unsaid if provider in UNSAID else 0) > 0
    assert whole.held == 0
    assert len(whole.wasted) <= 1
    assert len(usages(server)) - whole.outcomes.count("ok") <= 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_whole_site(database_url: str, store: Store, server: ScriptedOpenAI, provider: str) -> None:
    server.script.update({"dialect": provider, "rules": PASSING.get(provider, [])})
    whole = await run_site(database_url, store, connection(server.base_url))
    paid_for_once(whole, server, provider)
    articles = whole.done["content"]
    assert articles > 0
    assert whole.sql("SELECT count(*) FROM keywords WHERE cluster_id IS NULL") == [(0,)]
    assert whole.sql("SELECT status, count(*)::int FROM contents GROUP BY status") == [("review", articles)]
    assert whole.sql("SELECT DISTINCT status FROM images") == [("generated",)]
    assert whole.sql("SELECT count(*) FROM contents WHERE title = 'Draft' OR html LIKE '%a draft%'") == [(0,)]
    assert len(KEYWORDS) == whole.sql("SELECT count(*)::int FROM keywords")[0][0]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_whole_mission(
    database_url: str, store: Store, server: ScriptedOpenAI, provider: str
) -> None:
    server.script.update({"dialect": provider, "rules": PASSING.get(provider, [])})
    whole = await run_mission(database_url, store, connection(server.base_url))
    paid_for_once(whole, server, provider)
    posts = whole.done["content"]
    assert posts >= 2
    assert whole.sql("SELECT count(*)::int FROM slots") == [(posts,)]
    assert whole.sql("SELECT status, count(*)::int FROM posts GROUP BY status") == [("published", posts)]
    assert whole.sql("SELECT count(*)::int FROM cycles WHERE measured_at IS NOT NULL") == [(1,)]
