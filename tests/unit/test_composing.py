"""From words to a post: cleaning, composing, cutting, and what keeps it from being published."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pressroom.domain.definitions import BrandContext
from pressroom.domain.platforms import length_of, rules
from pressroom.domain.social import Platform
from pressroom.pipelines.mission.writing.compliance import carries, forbidden, lacking, problems, silent
from pressroom.pipelines.mission.writing.composing import (
    Composed,
    Words,
    clean,
    compose,
    content_hash,
    fit,
    handles_in,
    links_in,
    permitted,
)

WORDS = Words("Better mornings", ["Weigh the beans.", "Mind the water.", "Wait."], "Try it.", ["#Tips"], [])
SENTENCES = " ".join(f"Sentence number {number} says a little more." for number in range(1, 40))


def brand(**fields: Any) -> BrandContext:
    return BrandContext(account="demo", slug="b", name="Brand", **fields)


def composed(
    words: Words = WORDS, platform: Platform = Platform.TWITTER, kind: str = "post", **changes: Any
) -> Composed:
    facts = {"pillar_tag": "#Brewing", "many_hashtags": True, **changes}
    return compose(words, platform, kind, **facts)


def cleaned(*texts: str, **changes: Any) -> Words:
    facts = {"headline": "A headline", "cta": "", "hashtags": [], "mentions": [], **changes}
    return clean(texts=list(texts), **facts)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<b>Bold</b>  words\nhere", "Bold words here"),
        ("Grind finer. #coffee #tips", "Grind finer."),
        ("Why #coffee needs time", "Why coffee needs time"),
        ("Our #1 rule is 3.5 grams", "Our #1 rule is 3.5 grams"),
        ("Ask @stranger about it", "Ask stranger about it"),
        ("Write to me@example.com", "Write to me@example.com"),
        ("1/2 cup of water is enough", "1/2 cup of water is enough"),
        ("1. The art of brewing", "The art of brewing"),
        ("1. Grind. 2. Pour.", "1. Grind. 2. Pour."),
        ("Mind it. Wait. mind it. Mind it!", "Mind it. Wait. Mind it!"),
        ("Look at https://made.up/page. Then at www.made.up!", "Look at . Then at !"),
        ("Look at https://ours.example/a?b=1, please", "Look at https://ours.example/a?b=1, please"),
    ],
)
def test_a_text_is_cleaned_of_what_is_put_elsewhere(text: str, kept: str) -> None:
    assert cleaned(text, links=links_in(["See https://ours.example/a?b=1."])).texts == [kept]


@pytest.mark.parametrize(
    "texts",
    [
        ["1/3 One thing.", "2/3 Another thing.", "3/3 The last thing."],
        ["1/ One thing.", "2/ Another thing.", "3/ The last thing."],
        ["(1/3) One thing.", "(2/3) Another thing.", "(3/3) The last thing."],
        ["1. One thing.", "2. Another thing.", "3. The last thing."],
    ],
)
def test_a_thread_is_numbered_once(texts: list[str]) -> None:
    parts = composed(cleaned(*texts), kind="thread").parts
    assert [part.splitlines()[0] for part in parts] == [
        "1/3 One thing.", "2/3 Another thing.", "3/3 The last thing.",
    ]  # fmt: skip


def test_hashtags_become_single_words_each_once() -> None:
    tags = [
        "slow coffee",
        "1. Slow Coffee",
        "#SlowCoffee",
        "#slow-coffee",
        "!!!",
        "123",
        "x" * 60,
        "https://x.example",
        "a1100000",
        "Ökobohne",
    ]
    assert cleaned("text", hashtags=tags).hashtags == ["#SlowCoffee", "#Ökobohne"]


def test_only_known_names_are_mentioned() -> None:
    handles = handles_in(["Ask @Roastery and @roastery or mail a@b.example", "@second_one."])
    assert handles == ["@roastery", "@second_one"]
    words = cleaned(
        "With @ROASTERY and @nobody", mentions=["roastery", "@nobody", "@"], handles=["@Roastery"]
    )
    assert words.texts == ["With @Roastery and nobody"]
    assert words.mentions == ["@Roastery"]


def test_nonsense_leaves_no_text() -> None:
    assert cleaned("...", "#tag #only", "1/2", "!?").texts == []


def test_a_post_has_text_call_hashtags_in_this_order_and_the_pillars_first() -> None:
    [part] = composed().parts
    assert part == "Weigh the beans. Mind the water. Wait. Try it.\n\n#Brewing #Tips"


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("many", [True, False])
def test_hashtags_are_as_many_as_the_platform_likes(platform: Platform, *, many: bool) -> None:
    own = rules(platform)
    words = dataclasses.replace(WORDS, hashtags=[f"#Tag{letter}" for letter in "abcdefghij"])
    tags = composed(words, platform, own.formats[0], many_hashtags=many).hashtags
    assert len(tags) == (own.many if many else own.few)
    assert tags[0] == "#Brewing"


def test_a_thread_has_its_call_and_hashtags_in_the_last_part_and_disclosures_in_the_first() -> None:
    parts = composed(kind="thread", disclosures=["#ad"]).parts
    assert parts == [
        "1/3 Weigh the beans.\n\n#ad",
        "2/3 Mind the water.",
        "3/3 Wait. Try it.\n\n#Brewing #Tips",
    ]


def test_a_thread_of_one_text_is_split_where_it_can_be() -> None:
    parts = composed(dataclasses.replace(WORDS, texts=["One thing. Another thing."]), kind="thread").parts
    assert [part.splitlines()[0] for part in parts] == ["1/2 One thing.", "2/2 Another thing. Try it."]
    single = composed(dataclasses.replace(WORDS, texts=["No end in sight"]), kind="thread")
    assert problems(single, media=0, brand=None, excluded_topics=[]) == ["a thread has at least two parts"]


def test_a_thread_has_no_more_parts_than_the_platform_takes() -> None:
    words = dataclasses.replace(WORDS, texts=[f"Thing {number}." for number in range(40)])
    parts = composed(words, kind="thread").parts
    assert len(parts) == rules(Platform.TWITTER).thread_parts
    assert parts[-1].startswith("25/25 ")


def test_an_article_says_a_paragraph_once() -> None:
    words = dataclasses.replace(WORDS, texts=["The same.", "Another.", "The same."])
    [text] = composed(words, Platform.LINKEDIN, "article").parts
    assert text.count("The same.") == 1


def test_an_article_opens_with_its_headline_once() -> None:
    [text] = composed(platform=Platform.LINKEDIN, kind="article").parts
    assert text.split("\n\n") == [
        "Better mornings", "Weigh the beans.", "Mind the water.", "Wait.", "Try it.", "#Brewing #Tips",
    ]  # fmt: skip
    words = dataclasses.replace(WORDS, texts=["Better mornings begin here.", "So they do."])
    [text] = composed(words, Platform.LINKEDIN, "article").parts
    assert text.startswith("Better mornings begin here.\n\nSo they do.")


def test_a_pin_has_the_headline_as_its_title() -> None:
    words = dataclasses.replace(WORDS, headline="word " * 40)
    pin = composed(words, Platform.PINTEREST, "pin")
    assert 90 < len(pin.options["title"]) <= 100
    assert composed().options == {}


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("text", [SENTENCES * 60, "word " * 20_000, "字" * 70_000, "x" * 70_000, "🐱" * 400])
def test_whatever_is_too_long_is_cut_to_fit(platform: Platform, text: str) -> None:
    kind = rules(platform).formats[0]
    post = composed(
        dataclasses.replace(WORDS, texts=[text], mentions=["@roastery"]), platform, kind, disclosures=["Ad"]
    )
    assert length_of(platform, post.parts[0]) <= rules(platform).text
    assert problems(post, media=1, brand=brand(disclosures=["Ad"]), excluded_topics=[]) == []
    assert length_of(platform, post.parts[0]) > rules(platform).text * 0.6 or len(text) < rules(platform).text
    assert post.hashtags[:1] == ["#Brewing"]


def test_the_call_goes_before_any_sentence_does() -> None:
    text = "Forty characters are in this sentence ok. " * 6
    words = dataclasses.replace(WORDS, texts=[text.strip()], cta="Join a thousand others today.")
    [part] = composed(words).parts
    assert part == f"{text.strip()}\n\n#Brewing #Tips"


def test_sentences_are_kept_whole() -> None:
    cut = fit(SENTENCES, Platform.TWITTER, "\n\n#Brewing")
    assert cut.endswith("a little more.")
    assert 200 < len(cut) <= 280 - len("\n\n#Brewing")
    assert fit("One. " + "word " * 80, Platform.TWITTER).endswith(" word…")  # too little would be left


def test_sentences_that_are_forbidden_are_left_out() -> None:
    text = "One is fine. Two is not! Three is 3.5 times as fine"
    assert permitted(text, lambda sentence: "Two" in sentence) == "One is fine. Three is 3.5 times as fine"
    assert permitted(text, lambda sentence: True) == ""


def test_hashtags_give_way_when_a_disclosure_leaves_no_room() -> None:
    disclosure = "Sponsored: " + "we were paid for this. " * 8
    words = dataclasses.replace(WORDS, texts=["A text of its own. " * 12], hashtags=["#" + "T" * 39])
    post = composed(words, disclosures=[disclosure.strip()])
    assert disclosure.strip() in post.parts[0]
    assert length_of(Platform.TWITTER, post.parts[0]) <= 280
    assert post.hashtags == [] or post.hashtags == ["#Brewing"]
    assert "A text of its own." in post.parts[0]


def test_a_disclosure_that_is_a_hashtag_takes_the_place_of_another() -> None:
    post = composed(platform=Platform.THREADS, disclosures=["#ad"])
    assert "#ad" in post.parts[0]
    assert "#Brewing" not in post.parts[0]
    assert problems(post, media=0, brand=brand(disclosures=["#ad"]), excluded_topics=[]) == []


@pytest.mark.parametrize(
    ("text", "needed", "there"),
    [
        ("Our new roast #ad", "#ad", True),
        ("Our new roast #AD", "#ad", True),
        ("What an #adventure", "#ad", False),
        ("Paid partnership with us", "paid partnership", True),
        ("Unpaid partnership", "paid partnership", False),
        ("Anzeige: neu", "Anzeige:", True),
    ],
)
def test_a_disclosure_is_found_as_a_whole(text: str, needed: str, there: bool) -> None:
    assert carries(text, needed) is there
    assert lacking(text, brand(disclosures=[needed])) == ([] if there else [needed])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("All about Gun Control", "it touches the excluded topic 'gun control'"),
        ("Vote #GunControl", "it touches the excluded topic 'gun control'"),
        ("A CHEAP trick", "it uses the banned word 'cheap'"),
        ("Better than Acme's", "it names the competitor 'Acme'"),
    ],
)
def test_what_must_not_be_said_is_named(text: str, wrong: str) -> None:
    own = brand(banned_words=["cheap"], competitors=["Acme"])
    assert forbidden(text, ["gun control"], own) == [wrong]
    post = composed(dataclasses.replace(WORDS, texts=[text]))
    assert problems(post, media=0, brand=own, excluded_topics=["gun control"]) == [wrong]


def test_what_the_picture_and_the_title_say_counts_too() -> None:
    pin = composed(dataclasses.replace(WORDS, headline="Cheap thrills"), Platform.PINTEREST, "pin")
    own = brand(banned_words=["cheap"])
    assert problems(pin, media=1, brand=own, excluded_topics=[]) == ["it uses the banned word 'cheap'"]
    assert problems(composed(), media=1, alt="a cheap cup", brand=own, excluded_topics=[]) == [
        "it uses the banned word 'cheap'"
    ]


def test_a_post_that_says_nothing_is_none() -> None:
    empty = composed(dataclasses.replace(WORDS, texts=[], cta=""))
    assert silent(empty) == ["it says nothing but hashtags"]
    thread = composed(dataclasses.replace(WORDS, texts=["One thing.", "...", "#tag"], cta=""), kind="thread")
    assert silent(thread) == ["part 2 says nothing", "part 3 says nothing"]
    assert silent(composed()) == silent(composed(kind="thread")) == []


@pytest.mark.parametrize(
    "change",
    [
        {"platform": "linkedin"}, {"kind": "article"}, {"parts": ["one", "three"]}, {"parts": ["one two"]},
        {"options": {"title": "x"}}, {"media_url": "memory://b.png"}, {"media_alt": "a cup"},
    ],
)  # fmt: skip
def test_the_hash_is_of_everything_that_would_be_published(change: dict[str, Any]) -> None:
    facts: dict[str, Any] = {
        "platform": "twitter", "kind": "post", "parts": ["one", "two"], "options": {}, "media_url": None,
    }  # fmt: skip
    assert content_hash(**facts) == content_hash(**facts)
    assert content_hash(**facts) != content_hash(**{**facts, **change})
