"""Articles and image prompts: the shapes asked for, the HTML built, what a hostile answer cannot do."""

from __future__ import annotations

import pytest

from pressroom.domain.definitions import ArticleSettings, Site
from pressroom.domain.errors import EmptyAnswer, TransientError
from pressroom.domain.markup.cutting import whole_sentences
from pressroom.domain.markup.html import clip, sanitize
from pressroom.pipelines.site import content, ideas, image_prompts
from pressroom.pipelines.site.article import (
    Head,
    article_type,
    assemble,
    headings_of,
    section_tokens,
    shape_of,
)
from pressroom.testing import FakeText, tools

TASK = content.Task(
    7, "How to brew tea", "Slowly", "how_to", ["brew tea"], ["Water", "Leaves", "Time"], "Tea"
)
HEAD = Head(title="T " * 3, meta_description="m", excerpt="e", tags=[])


def site(words: int, per_call: int = 1500) -> Site:
    return Site(
        account="acme",
        slug="blog",
        name="Blog",
        article=ArticleSettings(target_words=words, words_per_call=per_call),
    )


def body(*paragraphs: str) -> str:
    return assemble(HEAD, [], [("H", paragraphs)], fallback_title="f", chars=600, model="m").html


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


def test_a_text_longer_than_its_bound_is_still_read() -> None:
    answer = {"title": "t" * 900, "meta_description": "", "excerpt": "", "tags": ["x"] * 99,
              "introduction": ["p" * 5000], "sections": [], "surprise": 1}  # fmt: skip
    assert len(article_type(shape_of(220)).model_validate(answer).title) == 900


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
    written = assemble(head, [], [("<h1>Big</h1>", ["Text."])], fallback_title="f", chars=600, model="m")
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


def test_a_cut_off_sentence_is_dropped_and_a_meta_description_ends_at_a_word() -> None:
    assert whole_sentences("A good first sentence. And then it wa", 37) == "A good first sentence."
    assert whole_sentences("Not cut because shorter", 99) == "Not cut because shorter"
    long = clip("word " * 60, 160)
    assert len(long) <= 160
    assert long.endswith("word")


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
