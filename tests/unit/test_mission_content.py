"""Writing a post without a store: what is asked and composed, when it is asked again, what is doubted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import ConfigurationError, InvalidAnswer
from pressroom.domain.missions import Mission
from pressroom.domain.platforms import Draft, hashtags_in, length_of, rules, violations
from pressroom.domain.social import Platform
from pressroom.pipelines.mission.writing.answers import SlotToWrite, answer_type, shape_of, tone_type
from pressroom.pipelines.mission.writing.compliance import excluded
from pressroom.pipelines.mission.writing.post import WrittenPost, write
from pressroom.testing import FakeImages, FakeText, MemoryMedia, tools

GOOD: dict[str, Any] = {
    "headline": "APIs without puzzles",
    "texts": ["APIs should not feel like puzzles.", "The old way had 47 endpoints.", "The new way has 12."],
    "cta": "Read how.",
    "hashtags": ["API", "DevEx", "design"],
    "mentions": [],
    "picture": "A desk with a tidy drawing of endpoints",
    "alternative": "Puzzles are for Sundays, not for APIs.",
    "confidence": 92,
}


LONG = "".join(
    f"Sentence {word} goes on and on for a while. " for word in ["one", "two", "three", "four", "five", "six"]
)


def answer(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


def brand(**fields: Any) -> BrandContext:
    return BrandContext(account="acme", slug="b", name="Acme", **fields)


def slot(
    platform: Platform = Platform.TWITTER,
    kind: str | None = None,
    own: BrandContext | None = None,
    **changes: Any,
) -> SlotToWrite:
    choices = {
        "format": kind or rules(platform).formats[0], "pillar": "Thought Leadership", "length": "short",
        "hashtags": "many", "visual": "without", **changes.pop("choices", {}),
    }  # fmt: skip
    facts = {
        "topic": "API Design Patterns",
        "angle": "what we unlearned",
        "turn": 1,
        "tone": "dry",
        **changes,
    }
    return SlotToWrite(5, platform, choices, pillar_tag="#ThoughtLeadership", brand=own, **facts)


def mission(**fields: Any) -> Mission:
    facts = {"objectives": ["be known"], "platforms": ["twitter", "linkedin", "instagram"], **fields}
    return Mission(account="acme", slug="launch", name="Launch", **facts)


def written(
    script: dict[str, Any] | FakeText,
    given: SlotToWrite | None = None,
    *,
    images: FakeImages | None = None,
    media: MemoryMedia | None = None,
    **fields: Any,
) -> WrittenPost:
    text = script if isinstance(script, FakeText) else FakeText(script)
    collected = tools(site=mission(**fields), text=text, images=images, media=media)
    return asyncio.run(write(given or slot(), collected))


def names(text: FakeText) -> list[str]:
    return [prompt.name for prompt in text.prompts]


def fit(post: WrittenPost, picture: bool = False) -> bool:
    made = post.composed
    title = made.options.get("title", "")
    return not violations(Draft(made.platform, made.format, made.parts, title, int(picture)))


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("length", ["short", "long"])
@pytest.mark.parametrize("hashtags", ["few", "many"])
def test_every_kind_of_post_takes_one_call_and_fits(platform: Platform, length: str, hashtags: str) -> None:
    for kind in rules(platform).formats:
        text = FakeText({"post": answer()})
        post = written(text, slot(platform, kind, choices={"length": length, "hashtags": hashtags}))
        assert names(text) == ["post"]
        assert fit(post, picture=True)
        assert (post.composed.platform, post.composed.format) == (platform, kind)
        assert (post.picture is not None) == rules(platform).media_required


def test_a_thread_is_in_numbered_parts_with_the_pillars_hashtag_first() -> None:
    post = written({"post": answer()}, slot(kind="thread"))
    assert list(post.composed.parts) == [
        "1/3 APIs should not feel like puzzles.",
        "2/3 The old way had 47 endpoints.",
        "3/3 The new way has 12. Read how.\n\n#ThoughtLeadership #API #DevEx",
    ]
    assert list(post.composed.hashtags) == ["#ThoughtLeadership", "#API", "#DevEx"]
    assert post.confidence == 0.92
    assert post.model == "fake-text"


@pytest.mark.parametrize(("given", "kept"), [(-5, 0.0), (0, 0.0), (92, 0.92), (100, 1.0), (10**6, 1.0)])
def test_the_confidence_is_between_0_and_1(given: int, kept: float) -> None:
    assert written({"post": answer(confidence=given)}).confidence == kept


def test_the_prompt_holds_what_the_post_goes_by() -> None:
    own = brand(
        voice="plain", dos=["show code"], donts=["shout"], examples=["Less is less."],
        banned_words=["synergy"], visual_style="ink on paper",
    )  # fmt: skip
    text = FakeText({"post": answer()})
    written(
        text,
        slot(own=own, choices={"visual": "with"}, turn=3),
        constraints={"excluded_topics": ["politics"]},
        sources=[{"title": "Handbook", "text": "Twelve endpoints. " * 500}],
    )
    [prompt] = text.prompts
    whole = prompt.system + prompt.user
    for told in (
        "API Design Patterns", "what we unlearned", "Thought Leadership", "dry", "plain", "show code",
        "shout", "Less is less.", "synergy", "politics", "Handbook: Twelve endpoints.", "ink on paper",
        "post number 3 on this topic", "for X", "one short text",
    ):  # fmt: skip
        assert told in whole, told
    assert len(whole) < 6000


def test_what_is_not_asked_for_is_not_in_the_schema_and_all_of_it_is_bounded() -> None:
    plain = answer_type(shape_of(slot())).model_json_schema()["properties"]
    assert set(plain) == {"headline", "texts", "cta", "hashtags", "confidence"}
    shape = shape_of(slot(Platform.INSTAGRAM), mentions=True, alternative=True)
    asked = answer_type(shape).model_json_schema()["properties"]
    assert set(asked) == {*plain, "mentions", "picture", "alternative"}
    for name in ("headline", "cta", "picture", "alternative"):
        assert asked[name]["maxLength"] <= rules(Platform.INSTAGRAM).long
    for name in ("texts", "hashtags", "mentions"):
        assert asked[name]["maxItems"] <= 5
        assert asked[name]["items"]["maxLength"] <= rules(Platform.INSTAGRAM).long
    assert (asked["confidence"]["minimum"], asked["confidence"]["maximum"]) == (0, 100)


@pytest.mark.parametrize("platform", Platform)
def test_the_length_asked_for_is_the_slots(platform: Platform) -> None:
    for kind in rules(platform).formats:
        short, long = (
            shape_of(slot(platform, kind, choices={"length": length})) for length in ("short", "long")
        )
        assert short.chars < long.chars <= rules(platform).text
        assert short.texts == long.texts == (1 if kind in ("post", "pin") else 3)
        assert long.tokens > long.texts * long.chars / 2


def test_what_is_merely_too_long_is_cut_without_asking_again() -> None:
    text = FakeText({"post": answer(texts=[LONG * 6])})
    post = written(text)
    assert names(text) == ["post"]
    assert length_of(Platform.TWITTER, post.composed.parts[0]) <= 280
    assert "for a while.\n\n#ThoughtLeadership" in post.composed.parts[0]


WRONG: list[tuple[dict[str, Any], str]] = [
    (answer(texts=["They talk politics all day."]), "it touches the excluded topic 'politics'"),
    (answer(texts=["Pure synergy."]), "it uses the banned word 'synergy'"),
    (answer(hashtags=["Synergy"]), "it uses the banned word 'synergy'"),
    (answer(texts=["Better than Globex ever was."]), "it names the competitor 'Globex'"),
    (answer(texts=["...", "!!"], cta=""), "it says nothing but hashtags"),
    (answer(texts=["...", "!!"]), "it says nothing"),
]
OWN = brand(banned_words=["synergy"], competitors=["Globex"])


@pytest.mark.parametrize(("wrong", "told"), WRONG)
def test_a_post_that_breaks_a_rule_is_written_again_once(wrong: dict[str, Any], told: str) -> None:
    text = FakeText({"post": wrong, "post_repair": answer()})
    post = written(text, slot(own=OWN), constraints={"excluded_topics": ["politics"]})
    assert names(text) == ["post", "post_repair"]
    assert told in text.prompts[1].user
    assert post.doubts == ""
    assert "puzzles" in post.composed.parts[0]


@pytest.mark.parametrize(("wrong", "told"), WRONG)
def test_a_post_that_breaks_a_rule_twice_is_refused_by_name(wrong: dict[str, Any], told: str) -> None:
    text = FakeText({"post": wrong, "post_repair": wrong})
    with pytest.raises(InvalidAnswer, match=rf"^the post for twitter cannot be published: .*{told}"):
        written(text, slot(own=OWN), constraints={"excluded_topics": ["politics"]})
    assert names(text) == ["post", "post_repair"]


def test_what_two_answers_could_not_leave_out_is_cut_where_enough_is_left() -> None:
    bad = answer(
        texts=["They talk politics all day. We would rather talk about endpoints, and why twelve will do."],
        cta="Pure synergy.",
        hashtags=["Politics", "API"],
    )
    text = FakeText({"post": bad, "post_repair": bad})
    post = written(text, slot(own=OWN), constraints={"excluded_topics": ["politics"]})
    assert names(text) == ["post", "post_repair"]
    assert list(post.composed.parts) == [
        "We would rather talk about endpoints, and why twelve will do.\n\n#ThoughtLeadership #API"
    ]


def test_an_address_that_nobody_named_is_left_out() -> None:
    said = answer(texts=["Read https://made.up/page or https://acme.example/guide."], cta="https://made.up")
    post = written({"post": said}, sources=[{"title": "Guide", "url": "https://acme.example/guide"}])
    assert post.composed.parts[0].startswith("Read or https://acme.example/guide.\n\n#")
    assert all("made.up" not in part for parts in post.adaptations.values() for part in parts)


def test_a_thread_that_is_none_is_written_again() -> None:
    text = FakeText({"post": answer(texts=["Just this", ".."]), "post_repair": answer()})
    post = written(text, slot(kind="thread"))
    assert "a thread has at least two parts" in text.prompts[1].user
    assert len(post.composed.parts) == 3


def test_nonsense_in_the_small_fields_costs_no_second_call() -> None:
    text = FakeText(
        {"post": answer(headline="??", cta="...", hashtags=["!!", "9"], mentions=["@boss"], picture="-")}
    )
    images = FakeImages()
    post = written(text, slot(choices={"visual": "with"}), images=images)
    assert names(text) == ["post"]
    assert post.words.headline == "API Design Patterns"
    assert list(post.composed.hashtags) == ["#ThoughtLeadership"]
    assert list(post.composed.mentions) == []
    assert images.requests[0].prompt == "API Design Patterns"


@pytest.mark.parametrize("kind", ["post", "thread"])
def test_required_disclosures_are_in_every_post(kind: str) -> None:
    own = brand(disclosures=["#ad", "Paid partnership"])
    for text in (GOOD["texts"], ["A paid partnership with an #adventure. More of it."], ["word " * 200] * 3):
        post = written({"post": answer(texts=text)}, slot(kind=kind, own=own))
        whole = "\n".join(post.composed.parts)
        assert "#ad" in hashtags_in(whole)
        assert "paid partnership" in whole.casefold()


@pytest.mark.parametrize("platform", Platform)
def test_a_disclosure_leaves_every_platforms_post_fit(platform: Platform) -> None:
    own = brand(disclosures=["#ad", "#werbung"] if platform is not Platform.THREADS else ["#ad"])
    for kind in rules(platform).formats:
        assert fit(written({"post": answer()}, slot(platform, kind, own)), picture=True)


RUBRIC = ["Is it plain?", "Is it kind?"]


def judged(*said: Sequence[bool]) -> tuple[WrittenPost, FakeText]:
    text = FakeText({
        "post": answer(), "post_repair": answer(texts=["A kinder text about APIs."]),
        "tone_check": [{"answers": list(each)} for each in said],
    })  # fmt: skip
    return written(text, slot(own=brand(tone_rubric=RUBRIC))), text


def test_a_post_that_the_rubric_says_yes_to_passes() -> None:
    post, text = judged([True, True])
    assert names(text) == ["post", "tone_check"]
    assert text.prompts[1].temperature == 0
    assert "Is it kind?" in text.prompts[1].user
    assert post.doubts == ""


def test_a_no_of_the_rubric_is_repaired_once() -> None:
    post, text = judged([True, False], [True, True])
    assert names(text) == ["post", "tone_check", "post_repair", "tone_check"]
    assert "the tone check says no to: Is it kind?" in text.prompts[2].user
    assert post.doubts == ""
    assert "kinder" in post.composed.parts[0]


def test_a_second_no_goes_to_a_person_with_the_reason() -> None:
    post, _ = judged([True, False], [False, False])
    assert post.doubts == "the tone check says no to: Is it plain?; Is it kind?"


def test_what_the_rubric_was_not_answered_counts_as_no() -> None:
    post, _ = judged([], [True])
    assert post.doubts == "the tone check says no to: Is it kind?"


def test_a_repair_for_the_tone_that_breaks_a_rule_is_not_taken() -> None:
    text = FakeText({
        "post": answer(), "post_repair": answer(texts=["Pure synergy."]), "tone_check": {"answers": [False]},
    })  # fmt: skip
    post = written(text, slot(own=brand(tone_rubric=["Is it kind?"], banned_words=["synergy"])))
    assert "puzzles" in post.composed.parts[0]
    assert post.doubts == "the tone check says no to: Is it kind?"


def test_the_rubrics_answer_is_bounded() -> None:
    asked = tone_type(4).model_json_schema()["properties"]["answers"]
    assert (asked["minItems"], asked["maxItems"]) == (4, 4)


def test_excluded_topics_are_in_no_part_of_a_post() -> None:
    hostile = answer(
        headline="Election special", picture="A ballot at the election", alternative="Vote in the election!"
    )
    images = FakeImages()
    post = written(
        {"post": hostile}, slot(Platform.PINTEREST), images=images, ab_variants=True,
        constraints={"excluded_topics": ["election", "ballot"]},
    )  # fmt: skip
    assert post.picture
    told = [
        *post.composed.parts, *post.composed.options.values(), post.picture.alt, post.words.headline,
        images.requests[0].prompt, images.requests[0].title,
        *(part for parts in post.adaptations.values() for part in parts),
    ]  # fmt: skip
    assert [excluded(text, ["election", "ballot"]) for text in told] == [None] * len(told)
    assert post.alternative is None


def test_only_names_that_the_mission_names_are_mentioned() -> None:
    said = answer(texts=["Ask @celebrity or @AcmeDev."], mentions=["acmedev", "celebrity"])
    text = FakeText({"post": said})
    post = written(text, sources=[{"title": "Who", "text": "We post as @AcmeDev."}])
    assert post.composed.parts[0].startswith("Ask celebrity or @AcmeDev.")
    assert list(post.composed.mentions) == ["@AcmeDev"]
    assert "@AcmeDev" in text.prompts[0].user
    appended = written({"post": answer(mentions=["@acmedev"])}, description="Our account: @AcmeDev")
    assert "\n\n@AcmeDev\n\n#" in appended.composed.parts[0]


def test_a_picture_is_drawn_in_the_brands_style_and_stored() -> None:
    images, media = FakeImages(), MemoryMedia()
    own = brand(visual_style="ink on paper", colors=["#112233"])
    post = written({"post": answer()}, slot(own=own, choices={"visual": "with"}), images=images, media=media)
    [request] = images.requests
    assert request.prompt == "A desk with a tidy drawing of endpoints. ink on paper"
    assert (request.width, request.height, request.colors) == (1200, 675, ("#112233",))
    assert post.picture
    assert list(media.stored) == [post.picture.url]
    assert (post.picture.media_type, post.picture.alt) == (
        "image/png",
        "A desk with a tidy drawing of endpoints",
    )


def test_a_post_that_cannot_be_published_has_no_picture_drawn() -> None:
    images = FakeImages()
    with pytest.raises(InvalidAnswer):
        written(
            {"post": answer(texts=["..."], cta=""), "post_repair": answer(texts=["!"], cta="")},
            slot(Platform.INSTAGRAM),
            images=images,
        )
    assert images.requests == []


def test_a_provider_that_draws_nothing_is_the_items_error() -> None:
    with pytest.raises(ConfigurationError):
        written(
            {"post": answer()},
            slot(Platform.INSTAGRAM),
            images=FakeImages(error=ConfigurationError("bad key")),
        )


def test_the_other_platforms_get_the_message_in_their_own_form() -> None:
    text = FakeText({"post": answer(texts=[LONG * 2])})
    post = written(text, slot(Platform.LINKEDIN), platforms=["linkedin", "twitter", "instagram", "pinterest"])
    assert names(text) == ["post"]
    assert set(post.adaptations) == {"twitter", "instagram", "pinterest"}
    for name, parts in post.adaptations.items():
        platform = Platform(name)
        assert violations(Draft(platform, rules(platform).formats[0], parts, "", 1)) == []
    assert len(post.adaptations["twitter"][0]) < len(post.adaptations["instagram"][0])


def test_an_adaptation_that_says_what_must_not_be_said_is_left_out() -> None:
    # On X there is no room for the call to action; where there is, it may not be said.
    said = answer(texts=[LONG.strip()], cta="Pure synergy for you, right here and now.")
    post = written({"post": said}, slot(own=OWN))
    assert "synergy" not in post.composed.parts[0]
    assert post.adaptations == {}


def test_a_second_version_comes_with_the_same_answer() -> None:
    text = FakeText({"post": answer()})
    post = written(text, slot(kind="thread"), ab_variants=True)
    assert names(text) == ["post"]
    assert post.alternative
    words, composed = post.alternative
    assert composed.format == "post"
    assert composed.parts[0].startswith(
        "Puzzles are for Sundays, not for APIs. Read how.\n\n#ThoughtLeadership"
    )
    assert list(words.texts) == ["Puzzles are for Sundays, not for APIs."]


@pytest.mark.parametrize("second", ["", "...", "Pure synergy.", GOOD["texts"][0]])
def test_a_second_version_that_is_none_is_left_out(second: str) -> None:
    said = answer(texts=GOOD["texts"][:1], alternative=second)
    assert written({"post": said}, slot(own=OWN), ab_variants=True).alternative is None


def test_without_variants_none_is_kept() -> None:
    assert written({"post": answer()}).alternative is None
