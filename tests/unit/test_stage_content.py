"""Articles and image prompts: the shapes asked for, the HTML built, what a hostile answer cannot do."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from pressroom.domain.definitions import ArticleSettings, Site
from pressroom.domain.errors import EmptyAnswer, TransientError
from pressroom.domain.markup.cutting import in_sentences
from pressroom.domain.markup.html import sanitize
from pressroom.pipelines.site import content, ideas, image_prompts
from pressroom.pipelines.site.article import (
    Head,
    article_type,
    assemble,
    headings_of,
    section_tokens,
    section_type,
    shape_of,
)
from pressroom.testing import FakeText, tools

TASK = content.Task(
    7, "How to brew tea", "Slowly", "how_to", ["brew tea"], ["Water", "Leaves", "Time"], "Tea"
)
HEAD = Head(title="T " * 3, meta_description="m", excerpt="e", tags=[])


def site(words: int, per_call: int = 1500, language: str = "en") -> Site:
    return Site(
        account="acme",
        slug="blog",
        name="Blog",
        language=language,
        article=ArticleSettings(target_words=words, words_per_call=per_call),
    )


def body(*paragraphs: str) -> str:
    return assemble(HEAD, [], [("H", paragraphs)], fallback_title="f", model="m").html


@pytest.mark.parametrize("words", [100, 220, 600, 1200, 2500, 10_000])
@pytest.mark.parametrize("outline", [0, 3, 6, 12])
def test_the_bounds_hold_the_length_asked_for_and_stay_below_the_token_limit(
    words: int, outline: int
) -> None:
    shape = shape_of(words, outline)
    assert shape.sections * shape.paragraphs * shape.chars >= words * 6.5
    assert shape.chars <= 600
    assert shape.tokens >= 2 * words
    assert shape.tokens >= shape.total / 2.5
    assert section_tokens(shape) >= 2 * words / shape.sections
    schema = article_type(shape).model_json_schema()
    assert schema["properties"]["sections"]["maxItems"] == shape.sections
    assert schema["$defs"]["Section"]["properties"]["paragraphs"]["items"]["maxLength"] == shape.chars
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("signs", [100, 500, 1200, 3000, 10_000])
@pytest.mark.parametrize("outline", [0, 3, 6, 12])
def test_the_bounds_of_an_article_in_signs_hold_its_length_and_little_more(signs: int, outline: int) -> None:
    shape = shape_of(signs, outline, signs=True)
    room = shape.sections * shape.paragraphs * shape.chars
    # The least paragraph is as long as in English.
    assert signs <= room <= max(1.5 * signs, 2 * shape.sections * 62)
    assert shape.tokens >= 2 * signs
    assert shape.sections <= shape_of(signs, outline).sections


@pytest.mark.parametrize(
    ("language", "unit"),
    [
        ("ja", "characters"), ("zh-Hant", "characters"), ("zh_CN", "characters"), ("Japanese", "characters"),
        ("Simplified Chinese", "characters"), ("中文", "characters"), ("日本語", "characters"),
        ("en", "words"), ("jam", "words"), ("ko", "words"), ("th", "words"), ("Javanese", "words"),
    ],
)  # fmt: skip
async def test_a_length_is_asked_for_as_it_is_counted(language: str, unit: str) -> None:
    text = FakeText()
    await content.process(TASK, tools(site=site(220, language=language), text=text))
    await content.process(TASK, tools(site=site(900, 300, language=language), text=text))
    assert {prompt.name for prompt in text.prompts} == {"content", "content_plan", "content_section"}
    for prompt in text.prompts:
        assert re.search(rf"about \d+ {unit}\b", prompt.user)


TITLES = {
    **{title: title for title in ("生け垣", "树篱修剪指南", "ชาเขียวแบบญี่ปุ่น", "차 우리는 법")},
    **dict.fromkeys(("Introduction", "बागवानी", ""), TASK.title),
}


@pytest.mark.parametrize("answered", TITLES)
async def test_a_title_of_one_word_gives_way_to_the_ideas_in_any_script(answered: str) -> None:
    answer = {"title": answered, "meta_description": "d", "excerpt": "e", "tags": [],
              "introduction": ["生け垣は六月に刈り込む。"], "sections": []}  # fmt: skip
    written = await content.process(TASK, tools(site=site(220), text=FakeText({"content": answer})))
    assert (written.title, written.word_count) == (TITLES[answered], 11)


def test_no_answer_is_refused_for_a_text_that_is_too_long() -> None:
    answer = {"title": "t" * 900, "meta_description": "", "excerpt": "", "tags": ["x"] * 99,
              "introduction": ["p" * 5000], "sections": [], "surprise": 1}  # fmt: skip
    read = article_type(shape_of(220)).model_validate(answer)
    assert (read.title, read.introduction, read.tags) == ("", [""], ["x"] * 99)


async def test_a_short_article_takes_one_call() -> None:
    text = FakeText()
    written = await content.process(TASK, tools(site=site(220), text=text))
    assert [prompt.name for prompt in text.prompts] == ["content"]
    assert written.word_count > 0
    assert written.model == "fake-text"
    assert headings_of(written.html)


async def test_a_long_article_is_planned_and_then_written_by_the_section_in_order() -> None:
    def section(prompt: object) -> dict[str, list[str]]:
        last = str(getattr(prompt, "user", "")).rsplit("<data>", 1)[1].split("<", 1)[0]
        return {"paragraphs": [f"Text of {last}."]}

    plan = {"title": "Brewing tea well", "meta_description": "d", "excerpt": "e", "tags": ["Tea", "tea", " "],
            "introduction": ["Hello."], "headings": ["One", "Two", "Two", "Three"]}  # fmt: skip
    text = FakeText({"content_plan": plan, "content_section": section})
    written = await content.process(TASK, tools(site=site(400, 100), text=text))
    assert text.prompts[0].name == "content_plan"
    assert headings_of(written.html) == ["One", "Two", "Three", "Water"][: len(headings_of(written.html))]
    for heading in headings_of(written.html):
        assert f"<p>Text of {heading}.</p>" in written.html
    assert written.tags == ["Tea"]
    assert written.slug == "brewing-tea-well"
    assert written.html.startswith("<p>Hello.</p>")


async def test_the_error_of_one_section_comes_out_as_it_is() -> None:
    text = FakeText({"content_section": TransientError("busy", retry_after=7)})
    with pytest.raises(TransientError) as caught:
        await content.process(TASK, tools(site=site(400, 100), text=text))
    assert caught.value.retry_after == 7


async def test_an_answer_without_any_text_is_an_empty_answer() -> None:
    blank = {"title": "T t", "meta_description": "", "excerpt": "", "tags": [], "introduction": ["  "],
             "sections": [{"heading": "H", "paragraphs": ["<script>x()</script>", "---"]}]}  # fmt: skip
    with pytest.raises(EmptyAnswer):
        await content.process(TASK, tools(site=site(220), text=FakeText({"content": blank})))


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>ok",
        "<img src=x onerror=alert(1)>ok",
        "<a href='javascript:alert(1)'>ok</a>",
        "<a href='data:text/html,alert(1)'>ok</a>",
        "<p onclick='alert(1)'>ok</p>",
        "<iframe src='https://x.example'></iframe>ok",
        "<style>*{}</style>ok",
        "<svg/onload=alert(1)>ok",
        "<a href='java&#115;cript:alert(1)'>ok</a>",
        "<scr<script>ipt>alert(1)</scr</script>ipt>ok",
    ],
)
def test_what_a_model_puts_in_cannot_run(hostile: str) -> None:
    html = body(hostile)
    for word in (
        "<script",
        "onerror",
        "onclick",
        "onload",
        "javascript:",
        "data:",
        "<iframe",
        "<style",
        "<img",
        "<svg",
    ):
        assert word not in html.lower()
    assert "ok" in html


def test_markup_in_a_heading_or_title_is_text() -> None:
    head = HEAD.model_copy(update={"title": "<b>Tea</b> & <script>x</script>milk", "tags": ["<i>a tag</i>"]})
    written = assemble(head, [], [("<h1>Big</h1>", ["Text."])], fallback_title="f", model="m")
    assert written.title == "Tea & milk"
    assert written.tags == ["a tag"]
    assert "<h2>Big</h2>" in written.html


def test_dashes_become_a_list_and_an_open_tag_ends_with_its_paragraph() -> None:
    assert body("Intro <strong>bold", "- one", "- **two**", "End 1 < 2") == (
        "<h2>H</h2>\n<p>Intro <strong>bold</strong></p>\n<ul>\n<li>one</li>\n<li><strong>two</strong></li>\n"
        "</ul>\n<p>End 1 &lt; 2</p>"
    )


def test_links_to_the_web_stay_and_are_not_followed() -> None:
    assert sanitize('<a href="https://a.example">x</a>') == (
        '<a href="https://a.example" rel="noopener nofollow">x</a>'
    )


def test_a_description_that_is_too_long_ends_with_a_sentence_or_says_that_it_goes_on() -> None:
    assert in_sentences("A first sentence. " * 12, 160) == ("A first sentence. " * 8).strip()
    long = in_sentences("word " * 60, 160)
    assert len(long) <= 160
    assert long.endswith("word…")
    assert in_sentences("As it is", 160) == "As it is"


SENTENCE = "Rinse the filter with hot water before you brew."


def at(chars: int, text: str) -> str:
    """The text as a grammar cuts it off at its bound."""
    return (text + " and the rest of it goes on without an end" * 40)[:chars]


async def test_nothing_that_was_cut_off_gets_into_an_article() -> None:
    shape = shape_of(220)
    answer = {
        "title": at(100, "Water for tea: how hot it has to be"),
        "meta_description": at(170, SENTENCE),
        "excerpt": at(220, SENTENCE),
        "tags": ["tea", at(30, "brewing tea at home")],
        "introduction": [at(shape.chars, SENTENCE)],
        "sections": [
            {"heading": at(80, "Kettles and pots"), "paragraphs": [at(shape.chars, SENTENCE)]},
            {"heading": at(80, "Why patience pays, always"), "paragraphs": [at(shape.chars, "One")]},
            {"heading": "Time", "paragraphs": [SENTENCE, at(shape.chars, "Another one")]},
        ],
    }
    written = await content.process(TASK, tools(site=site(220), text=FakeText({"content": answer})))
    assert written.title == "Water for tea"
    assert written.meta_description == SENTENCE
    assert written.excerpt == SENTENCE
    assert written.tags == ["tea"]
    assert written.html == f"<p>{SENTENCE}</p>\n<p>{SENTENCE}</p>\n<h2>Time</h2>\n<p>{SENTENCE}</p>"


async def test_the_introduction_of_a_plan_is_cut_at_its_own_bound() -> None:
    plan = {"title": "Brewing tea well", "meta_description": "d", "excerpt": "e", "tags": [],
            "introduction": [at(400, SENTENCE)], "headings": ["One", at(80, "No break")]}  # fmt: skip
    text = FakeText({"content_plan": plan, "content_section": {"paragraphs": [SENTENCE]}})
    written = await content.process(TASK, tools(site=site(2000, 100), text=text))
    assert written.html.startswith(f"<p>{SENTENCE}</p>\n<h2>One</h2>")
    assert headings_of(written.html)[1] == "Water"


def test_a_paragraph_that_goes_on_in_the_next_one_is_one_paragraph() -> None:
    shape = shape_of(400)
    begun = (SENTENCE + " Burr grinders use fine metal blades that wear" + " slowly" * 99)[: shape.chars]
    read = section_type(shape).model_validate({"paragraphs": [begun, "ly and evenly. They last.", "End."]})
    assert read.paragraphs == [f"{begun}ly and evenly. They last.", "End."]
    # What begins a new sentence is no continuation, and what follows a whole one is none either.
    read = section_type(shape).model_validate({"paragraphs": [begun, "Blades.", "and more"]})
    assert read.paragraphs == [SENTENCE, "Blades.", "and more"]
    # A sentence is parted between two words, too; points of a list are not one sentence.
    read = section_type(shape).model_validate(
        {"paragraphs": ["It depends on the", "level of extraction.", "End."]}
    )
    assert read.paragraphs == ["It depends on the level of extraction.", "End."]
    points = ["grind finely", "heat the water", "Pour:", "slowly"]
    assert section_type(shape).model_validate({"paragraphs": points}).paragraphs == points
    # A continuation can be cut off, too.
    again = ("ly. They last" + " long" * 99)[: shape.chars]
    read = section_type(shape).model_validate({"paragraphs": [begun, again]})
    assert read.paragraphs == [f"{begun}ly."]


def test_the_title_and_the_headings_are_no_paragraphs() -> None:
    head = HEAD.model_copy(update={"title": "Tea for two"})
    written = assemble(
        head, ["Tea for Two", "Hello."], [("Water", ["water", "**Water:**", "Water boils."])],
        fallback_title="f", model="m",
    )  # fmt: skip
    assert written.html == "<p>Hello.</p>\n<h2>Water</h2>\n<p>Water boils.</p>"


def test_a_section_without_a_whole_sentence_is_asked_for_again() -> None:
    shape = shape_of(400)
    with pytest.raises(ValidationError, match="cut off in its first sentence"):
        section_type(shape).model_validate({"paragraphs": [at(shape.chars, "No end")] * 2})
    read = section_type(shape).model_validate({"paragraphs": [at(shape.chars, "No end"), SENTENCE]})
    assert read.paragraphs == ["", SENTENCE]


@pytest.mark.parametrize("answered", [0, 1, 2, 4, 9])
def test_exactly_as_many_image_prompts_as_the_site_asks_for(answered: int) -> None:
    images = [image_prompts.ProposedImage(prompt=f"picture number {n}", alt="") for n in range(answered)]
    plans = image_prompts.complete("Title", ["One", "Two"], images, 4)
    assert len(plans) == 4
    assert all(plan.alt and plan.prompt for plan in plans)
    if answered == 0:
        assert [plan.alt for plan in plans] == ["Title", "One", "Two", "One"]
    assert image_prompts.complete("Title", [], [], 2)[1].alt == "Title"


async def test_image_prompts_ask_for_the_sites_number() -> None:
    text = FakeText()
    draft = image_prompts.DraftToIllustrate(1, "Tea", "About tea", "<h2>One</h2><p>x</p>")
    assert len(await image_prompts.process(draft, tools(text=text))) == 4
    assert "Describe 4" in text.prompts[0].user


async def test_ideas_refer_to_keywords_by_number_and_one_always_comes_out() -> None:
    cluster = ideas.Cluster(1, "Tea", "", ["brew tea", "tea pot"], [])
    answer = {"ideas": [
        {"title": "Brewing tea", "angle": "a", "type": "guide", "keywords": [2, 9, 2], "outline": ["A"]},
        {"title": "brewing TEA!", "angle": "b", "type": "faq", "keywords": [], "outline": []},
        {"title": "**", "angle": "b", "type": "faq", "keywords": [], "outline": []},
    ]}  # fmt: skip
    made = await ideas.process(cluster, tools(text=FakeText({"ideas": answer})))
    assert [(idea.title, idea.target_keywords) for idea in made] == [
        ("Brewing tea", ["tea pot"]),
        ("Tea", ["brew tea", "tea pot"]),
    ]
    none = await ideas.process(cluster, tools(text=FakeText({"ideas": {"ideas": []}})))
    assert [idea.title for idea in none] == ["Tea"]
