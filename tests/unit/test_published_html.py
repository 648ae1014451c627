"""What goes out is clean, and shows its own pictures only."""

from __future__ import annotations

import pytest

from pressroom.adapters.targets.article import Illustration, body_of, cleaned_with
from pressroom.domain.markup.balance import MOST_OPEN

FIRST = Illustration("https://own.test/1.png", "1.png", "One")
SECOND = Illustration("https://own.test/2.png?a=1&b=2", "2.png", 'Two "2"', css_class="wide")
THIRD = Illustration("", "3.png", "Three")


def test_an_image_of_ours_shows_where_it_is_now() -> None:
    markup = '<p>a <img src="https://own.test/2.png?a=1&amp;b=2" width="9" onerror="x()"> b</p>'
    assert (
        cleaned_with(markup, [FIRST, SECOND])
        == '<p>a <img src="2.png" alt="Two &quot;2&quot;" class="wide"> b</p>'
    )


def test_its_own_words_on_an_image_stay() -> None:
    markup = '<p><img alt="A &gt; B" src="https://own.test/1.png"></p>'
    assert cleaned_with(markup, [FIRST]) == '<p><img src="1.png" alt="A &gt; B"></p>'


@pytest.mark.parametrize(
    "image",
    [
        '<img src="https://stranger.test/pixel.gif">',
        '<img src="/1.png">',
        '<img src="data:image/png;base64,AAAA">',
        "<img>",
        '<img src="javascript:alert(1)">',
        '<img src="https://own.test/1.png#">',
    ],
)
def test_other_images_are_left_out(image: str) -> None:
    assert cleaned_with(f"<p>a{image}b</p>", [FIRST]) == "<p>ab</p>"


def test_scripts_handlers_and_frames_are_gone_beside_an_image() -> None:
    markup = (
        '<p onclick="x()">a<script>steal()</script><a href="javascript:x()">b</a>'
        '<iframe src="https://x.test"></iframe><img src="https://own.test/1.png"></p><style>p{}</style>'
    )
    assert cleaned_with(markup, [FIRST]) == (
        '<p>a<a rel="noopener nofollow">b</a><img src="1.png" alt="One"></p>'
    )


def test_an_image_within_an_attribute_stays_text() -> None:
    markup = '<p><a href="https://x.test" title="<img src=https://own.test/1.png>">b</a><img></p>'
    cleaned = cleaned_with(markup, [FIRST])
    assert "1.png" in cleaned
    assert "<img" not in cleaned


def test_markup_beyond_reason_is_reduced_and_keeps_its_images() -> None:
    cleaned = cleaned_with('<img src="https://own.test/1.png">' + "<i>x" * 20_001, [FIRST])
    assert cleaned.startswith('<img src="1.png" alt="One">')
    assert (cleaned.count("x"), cleaned.count("<i>")) == (20_001, MOST_OPEN)


def test_pictures_that_are_not_mentioned_stand_after_the_headings_but_for_the_first() -> None:
    markup = "<p>0</p><h2>A</h2><p>1</p><p>2</p><h2>B</h2><ul><li>3</li></ul>"
    two = '<figure><img src="2.png" alt="Two &quot;2&quot;" class="wide"></figure>'
    three = '<figure><img src="3.png" alt="Three"></figure>'
    assert body_of(markup, [FIRST, SECOND, THIRD]) == (
        f"<p>0</p><h2>A</h2><p>1</p>{two}<p>2</p><h2>B</h2><ul><li>3</li></ul>{three}"
    )


def test_a_picture_that_is_mentioned_is_shown_once() -> None:
    markup = '<h2>A</h2><p><img src="https://own.test/2.png?a=1&amp;b=2"></p>'
    assert body_of(markup, [FIRST, SECOND]).count("2.png") == 1


def test_without_headings_they_stand_at_the_end() -> None:
    assert body_of("<p>a</p>", [FIRST, THIRD]).endswith('<img src="3.png" alt="Three"></figure>')
