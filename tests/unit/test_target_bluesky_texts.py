"""What the Bluesky adapter makes of texts, keys and settings, before anything is sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from pressroom.adapters.targets.bluesky.account import BlueskySettings
from pressroom.adapters.targets.bluesky.target import BlueskyArguments, BlueskyTarget, facets, record_key
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.publishing import Content
from tests.support.strict_bluesky import LOGIN, PASSWORD
from tests.support.target_errors import check_caught

TEXT = "Grüße 🎉 #écologie: https://example.com/a_(b). (#no) #2026 #baking!"


def settings() -> BlueskySettings:
    return BlueskySettings.from_connection("mine", login=LOGIN, password=PASSWORD)


def test_a_record_key_is_a_timestamp_of_the_past_without_words_in_it() -> None:
    keys = [record_key(f"post:{number}") for number in range(5000)]
    assert len(set(keys)) == 5000
    assert record_key("post:7") == keys[7]
    letters = "234567abcdefghijklmnopqrstuvwxyz"
    for key in keys:
        assert re.fullmatch(r"2[2567bcdfghjkmnpqrstvwxz]{12}", key)
        number = 0
        for letter in key:
            number = number * 32 + letters.index(letter)
        assert datetime.fromtimestamp((number >> 10) / 1e6, UTC) < datetime(2006, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        (TEXT, ["#écologie", "https://example.com/a_(b)", "#baking"]),
        ("(see https://example.com/x)", ["https://example.com/x"]),
        ("https://example.com/x?a=1&b=2#top, and…", ["https://example.com/x?a=1&b=2#top"]),
        ("a#b # ## #1 #1a mail@example.com", ["#1a"]),
        (f"#{'x' * 64} #{'y' * 65}", [f"#{'x' * 64}"]),
        ("＃日本 #️⃣ #日本語。", ["＃日本", "#日本語"]),
        ("https://...", []),
        ("Begin with https://. (https://) https:///x https://…", []),
        ("nothing", []),
    ],
)
def test_links_and_hashtags_are_marked_by_bytes(text: str, marked: list[str]) -> None:
    raw = text.encode()
    found = [raw[one["index"]["byteStart"] : one["index"]["byteEnd"]].decode() for one in facets(text)]
    assert found == marked


def test_arguments_are_bounded_and_their_schema_says_so() -> None:
    properties = BlueskyArguments.model_json_schema()["properties"]
    assert properties["text"]["maxLength"] == 300
    family = "👨‍👩‍👧"
    assert BlueskyArguments(text=family * 100).text == family * 100
    for wrong in (
        {"text": ""},
        {"text": "x" * 301},
        {"text": family * 299},
        {"link": "x"},
        {"link": "https:///x"},
        {"language": "e n"},
        {"language": "de-1"},
        {"language": "German"},
    ):
        with pytest.raises(ValidationError):
            BlueskyArguments(**{"text": "x", **wrong})


def test_content_is_cut_to_the_limits() -> None:
    bluesky = BlueskyTarget(settings())
    long = Content(
        title="Brot",
        text="Mehl 🎉 " * 200,
        excerpt="Kurz " * 200,
        link="https://example.com/1",
        language="de-AT",
    )
    told = bluesky.from_content(long)
    assert told.text.startswith("Brot\n\nKurz")
    assert 290 < len(told.text) <= 300
    assert (told.link, told.link_title, told.language) == ("https://example.com/1", "Brot", "de-AT")
    assert len(told.link_description) <= 300
    families = bluesky.from_content(Content(title="", text="👨‍👩‍👧 " * 300, language="?"))
    assert len(families.text.encode()) <= 3000
    assert (families.language, families.link, families.link_title) == ("en", "", "")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("pt-BR", "pt-BR"),
        ("zh-Hant", "zh-Hant"),
        ("es-419", "es-419"),
        ("de-DE-1996", "de-DE"),
        ("de_AT", "de"),
        ("de-1", "de"),
        ("German", "en"),
        ("français", "en"),
        ("", "en"),
    ],
)
def test_the_language_of_content_becomes_a_tag(given: str, told: str) -> None:
    bluesky = BlueskyTarget(settings())
    assert bluesky.from_content(Content(title="Brot", text="Mehl", language=given)).language == told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"login": ""}, "login"),
        ({"password": ""}, "password"),
        ({"extra": {"app_url": "bsky"}}, "app_url"),
        ({"extra": {"login": LOGIN}}, "unknown key 'login'"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        BlueskySettings.from_connection("mine", **{"login": LOGIN, "password": PASSWORD, **changes})
    check_caught(caught, ConfigurationError, PASSWORD)
