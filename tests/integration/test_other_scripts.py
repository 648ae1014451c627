"""Whole sites in languages that write no blanks between words, or vowels as signs: the real SDK, engine and
ledger.
"""

from __future__ import annotations

import json

import pytest

from pressroom.store.database import Store
from tests.support.model_desk import completion, raw
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.whole_runs import connection, run_site

pytestmark = pytest.mark.integration

ARTICLES: dict[str, tuple[str, str, tuple[str, str], int]] = {
    "ja": ("生け垣の剪定", "生け垣は六月に刈り込むのがよい。", ("生け垣 時期", "生け垣 道具"), 15),
    "zh": ("树篱修剪指南", "花园里的树篱应在六月修剪。", ("树篱", "树木"), 12),
    "th": ("การตัดแต่งรั้ว", "ควรตัดแต่งรั้วต้นไม้ในเดือนมิถุนายน", ("ข้าว", "ขาว"), 7),
    "hi": ("बाड़ की छँटाई", "बाड़ को जून में काटना चाहिए।", ("किला", "कला"), 6),
    "ko": ("나무 다듬기", "나무를 유월에 다듬는다.", ("차", "차밭"), 3),
}
"""Language → the title and the only paragraph that the model answers with, two keywords, the words of it."""


@pytest.mark.parametrize("language", ARTICLES)
async def test_titles_words_and_keywords_are_those_of_the_language(
    database_url: str, store: Store, scripted_openai: ScriptedOpenAI, language: str
) -> None:
    title, text, keywords, words = ARTICLES[language]
    answer = {"title": title, "meta_description": text, "excerpt": text, "tags": [keywords[0]],
              "introduction": [text], "sections": []}  # fmt: skip
    script = scripted_openai.script
    script.clear()
    article = raw(completion(json.dumps(answer)), match="Write a complete article")
    script.update({"rules": [article]})
    settings = connection(scripted_openai.base_url)
    listed = tuple(f"{keyword} {number}" for keyword in keywords for number in (1, 2, 3))
    whole = await run_site(database_url, store, settings, keywords=listed, language=language)
    assert whole.failed == []
    assert whole.sql("SELECT count(*)::int FROM keywords WHERE cluster_id IS NOT NULL") == [(6,)]
    written = whole.sql("SELECT DISTINCT title, word_count, meta_description, tags FROM contents")
    assert written == [(title, words, text, [keywords[0]])]
    asked = [each["prompt"] for each in script.journal if "Write a complete article" in each["prompt"]]
    unit = "characters" if language in ("ja", "zh") else "words"
    assert all(f"about 220 {unit}:" in prompt for prompt in asked)
    assert asked
