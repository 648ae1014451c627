"""The networks' rules: the table itself, how lengths are counted, and what is refused."""

from __future__ import annotations

from datetime import time
from time import perf_counter

import pytest

from pressroom.domain.platforms import Draft, fits, hashtags_in, length_of, meaning, rules, violations
from pressroom.domain.social import Platform

FAMILY = "👨\u200d👩\u200d👧\u200d👦"


def refused(draft: Draft) -> list[str]:
    return [violation.rule for violation in violations(draft)]


def post(platform: Platform = Platform.TWITTER, **changes: object) -> Draft:
    own = rules(platform)
    facts = {"format": own.formats[0], "parts": ["Fine."], "media": int(own.media_required), **changes}
    return Draft(platform, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("platform", Platform)
def test_every_platform_has_rules_that_agree_with_each_other(platform: Platform) -> None:
    own = rules(platform)
    assert own.source.startswith("https://")
    assert own.short < own.long <= own.text
    assert 1 <= own.few <= own.many
    assert own.hashtags_most is None or own.many <= own.hashtags_most
    assert ("thread" in own.formats) == (own.thread_parts > 1)
    assert all(meaning(kind) for kind in own.formats)
    assert len(own.times) >= 6
    assert len({time.fromisoformat(one) for one in own.times}) == len(own.times)
    assert violations(post(platform)) == []


@pytest.mark.parametrize(
    ("platform", "text", "title"),
    [
        (Platform.TWITTER, 280, None),
        (Platform.LINKEDIN, 3000, None),
        (Platform.FACEBOOK, 63206, None),
        (Platform.INSTAGRAM, 2200, None),
        (Platform.THREADS, 500, None),
        (Platform.BLUESKY, 300, None),
        (Platform.PINTEREST, 800, 100),
    ],
)
def test_a_text_of_the_limit_is_taken_and_one_more_is_refused(
    platform: Platform, text: int, title: int | None
) -> None:
    assert rules(platform).title == title
    assert refused(post(platform, parts=["x" * text])) == []
    assert refused(post(platform, parts=["x" * (text + 1)])) == ["text"]
    if title:
        assert refused(post(platform, title="t" * title)) == []
        assert refused(post(platform, title="t" * (title + 1))) == ["title"]


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("Normal Text", 11),
        ("Text with #hashtag, @mention and $CASH", 38),
        ("caf\u00e9", 4),
        ("cafe\u0301", 4),  # counted after NFC
        ("中国", 4),
        ("日本語とかな", 12),
        ("🐱", 2),
        ("👍🏽", 2),
        ("🇩🇪", 2),
        (FAMILY, 2),
        ("http://t.co", 23),
        ("https://example.com/a/very/long/path/that/goes/on/and/on?and=on#forever", 23),
        ("Read https://example.com/a/very/long/path/that/goes/on and on", 35),
        ("a.b", 3),
        ("\u2019quoted\u2019", 8),
        ("Ελληνικά", 8),
        ("line\nbreak", 10),
    ],
)
def test_x_counts_as_the_public_rules_do(text: str, length: int) -> None:
    assert length_of(Platform.TWITTER, text) == length


@pytest.mark.parametrize(
    ("platform", "text", "length"),
    [
        (Platform.BLUESKY, FAMILY * 3, 3),
        (Platform.BLUESKY, "e\u0301 🇩🇪", 3),
        (Platform.THREADS, "abc", 3),
        (Platform.THREADS, "中国", 2),
        (Platform.THREADS, "🐱", 4),
        (Platform.THREADS, FAMILY, 25),
        (Platform.THREADS, "🇩🇪 e\u0301", 10),
        (Platform.LINKEDIN, "e\u0301🐱", 2),
    ],
)
def test_the_others_count_in_their_own_way(platform: Platform, text: str, length: int) -> None:
    assert length_of(platform, text) == length


def test_a_text_that_could_never_fit_costs_no_time() -> None:
    before = perf_counter()
    assert length_of(Platform.TWITTER, "a." * 20_000) == 40_000
    assert length_of(Platform.TWITTER, "字" * 20_000 + ".") == 40_001
    assert perf_counter() - before < 5


def test_x_takes_emojis_of_many_characters_up_to_its_limit() -> None:
    assert len(FAMILY * 140) > 900
    assert fits(Platform.TWITTER, FAMILY * 140)
    assert not fits(Platform.TWITTER, f"{FAMILY * 140}x")


def test_bluesky_bounds_the_bytes_as_well() -> None:
    text = FAMILY * 130  # 130 graphemes of 25 bytes each
    assert length_of(Platform.BLUESKY, text) < 300
    assert not fits(Platform.BLUESKY, text)
    assert refused(post(Platform.BLUESKY, parts=[text])) == ["text"]


@pytest.mark.parametrize(
    ("draft", "rule", "detail"),
    [
        (post(parts=["x" * 290]), "text", "10 longer than the 280 of X"),
        (post(parts=[]), "empty", "no text"),
        (post(parts=["  "]), "empty", "the text is empty"),
        (post(format="thread", parts=["one", " "]), "empty", "part 2 is empty"),
        (post(format="thread", parts=["one", "x" * 281]), "text", "part 2 is 1 longer"),
        (post(format="thread", parts=["one"]), "thread", "at least two parts"),
        (post(format="thread", parts=["x"] * 26), "thread", "26 parts, and X takes 25"),
        (post(parts=["one", "two"]), "thread", "2 parts, and X takes 1 for a post"),
        (post(format="article"), "format", "X has no article"),
        (post(media=5), "media_most", "5 pictures, and X takes 4"),
        (post(Platform.INSTAGRAM, media=0), "media_required", "Instagram takes no post without a picture"),
        (post(Platform.PINTEREST, media=0), "media_required", "Pinterest takes no post without a picture"),
        (
            post(Platform.INSTAGRAM, parts=["#a #b #c #d #e #f"]),
            "hashtags",
            "6 hashtags, and Instagram takes 5",
        ),
        (post(Platform.THREADS, parts=["Hi #a #b"]), "hashtags", "2 hashtags, and Threads takes 1"),
        (post(Platform.PINTEREST, alt="x" * 501), "alt", "1 longer than the 500"),
    ],
)
def test_what_a_network_refuses_is_named(draft: Draft, rule: str, detail: str) -> None:
    [violation] = violations(draft)
    assert violation.rule == rule
    assert detail in violation.detail


def test_everything_wrong_is_told_at_once() -> None:
    draft = post(Platform.PINTEREST, format="post", parts=["x" * 900], title="t" * 101, media=0)
    assert sorted(refused(draft)) == ["format", "media_required", "text", "title"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Brew #SlowCoffee now #tips", ["#SlowCoffee", "#tips"]),
        ("our #1 rule", []),
        ("see https://example.com/#part and a&#b", []),
        ("#Ärger #コーヒー", ["#Ärger", "#コーヒー"]),
    ],
)
def test_hashtags_are_found_where_they_are_some(text: str, found: list[str]) -> None:
    assert hashtags_in(text) == found
