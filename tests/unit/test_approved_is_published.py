"""What a reviewer saw is what every target gets: cleaning happens before the approval, and only then."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from pressroom.adapters.targets.article import (
    Illustration,
    LinkedArticleArguments,
    body_of,
    linked_article_of,
)
from pressroom.adapters.targets.webhook import payload
from pressroom.adapters.targets.wordpress.wire import mark, marked
from pressroom.domain.markup.html import plain, sanitize, text_of, words_of_html
from pressroom.domain.publishing import Content, Picture, Piece
from pressroom.ui.site import PagePicture, PreviewedArticle, article_page

NAMES = (
    "p b i a em strong code ul ol li dl dt dd div section table tr td th tbody caption blockquote pre h1 h2 "
    "br hr img span font u svg math script style title iframe sub q figure figcaption textarea template nav"
)
TAGS = [f"<{end}{name}>" for name in NAMES.split() for end in ("", "/")]
ODD = [
    '<a href="/shears/">', "<a href=mailto:a@b.test>",
    "<a href='https://a.test/?x=1&amp;y=\"2\"' title='<b>'>",
    '<img src="https://x.test/1.png" alt="a > b">', "<iframe src=x />", "<p onclick='x()' class=y>",
    "<B A=1>", "<!-- c -->", "<!--", "<!x>", "<?y", "</ z>", "<", ">", "&", "&lt;", "&amp;lt;", "&#8238;",
    "&#13;", "&#0;", "&nbsp;", "\u200b", "\u200d", "\u202e", "\ufe0f", "\r", "\n", "\n\n", "\t", "\x00",
    "\x85", "'", '"', "=", "/", "word", "two words", "字", "e\u0301",
]  # fmt: skip
MARKUP = st.lists(st.sampled_from([*TAGS, *ODD]) | st.text(max_size=5), max_size=25).map("".join)
BASES = st.sampled_from(["", "https://site.test/blog/"])


@settings(max_examples=500, deadline=None)
@given(MARKUP, BASES, st.booleans())
def test_cleaning_again_changes_nothing(markup: str, base: str, images: bool) -> None:
    clean = sanitize(markup, base=base, images=images)
    assert sanitize(clean, images=images) == clean
    assert sanitize(clean, base=base, images=images) == clean


@settings(max_examples=300, deadline=None)
@given(MARKUP, BASES)
def test_every_target_gets_all_that_the_preview_shows(markup: str, base: str) -> None:
    approved = sanitize(markup, base=base)
    page = article_page({"name": "Blog", "url": ""}, article(approved), {}, index=None)
    assert approved in page
    if not approved:
        return
    content = Content("Title", text=plain(approved), html=approved, link="https://site.test")
    arguments = LinkedArticleArguments(**linked_article_of(content))
    assert arguments.html == approved
    pictures = [
        Illustration("https://own.test/0.png", "0.png"),
        Illustration("https://own.test/1.png", "1.png"),
    ]
    for body in (body_of(arguments.html, []), body_of(arguments.html, pictures[:1])):
        assert body == approved
    for body in (body_of(arguments.html, pictures), marked(body_of(arguments.html, pictures), "key")):
        assert body.replace(mark("key"), "").replace(pictures[1].figure, "") == approved
    piece = Piece("key", arguments, [Picture(b"", "image/png", "", "https://own.test/0.png")])
    sent = json.loads(payload(piece, "connection 'x'"))
    assert sent["html"] == approved
    assert sent["text"] == text_of(approved)
    assert words_of_html(sent["html"]) == words_of_html(approved)


def test_pictures_stand_where_the_preview_has_them() -> None:
    approved = "<p>0</p><h2>A</h2><p>1</p><p>2</p><h2>B</h2><ul><li>3</li></ul><h2>C</h2><p>4</p>"
    shown = {number: PagePicture(f"{number}.png", "", 1, 1) for number in range(4)}
    page = article_page({"name": "Blog", "url": ""}, article(approved), shown, index=None)
    sent = body_of(approved, [Illustration("", f"{number}.png") for number in range(4)])
    order = re.compile(r"<h2>[A-C]|<p>\d|<li>\d|[1-3]\.png")
    assert order.findall(sent) == order.findall(page[page.index("<p>0") :])


def article(html: str) -> PreviewedArticle:
    return PreviewedArticle(
        id=1, title="Title", slug="title", meta_description="", html=html, excerpt="", tags=[], word_count=1,
        status="review", model="m", created_at=datetime(2026, 1, 1, tzinfo=UTC), kind="how_to",
        target_keywords=[], cluster="Tea",
    )  # fmt: skip
