"""HTML from outside loses all that acts, keeps what it says, and cannot keep the parser busy."""

from __future__ import annotations

import time

import pytest

from pressroom.domain.markup.html import from_text, images_of, line_of, sanitize, text_of
from pressroom.domain.packets import HTML_CHARS

BASE = "https://site.test/blog/post"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<p onclick='x()' style='x' class='y' id='z'>a</p>", "<p>a</p>"),
        ("a<script>alert(1)</script>b", "ab"),
        ("a<SCRIPT SRC=//evil.test/x.js></SCRIPT>b", "ab"),
        ("a<style>*{}</style>b", "ab"),
        ("a<iframe src='https://evil.test'>inside</iframe>b", "ab"),
        ("a<object data=x></object><embed src=x>b", "ab"),
        ("<img src=x onerror=alert(1)>a", "a"),
        ("<svg onload=alert(1)><script>1</script>x</svg>a", "a"),
        ("<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></table>a", ""),
        ("<form action=//evil.test><input name=p><button>go</button></form>", "go"),
        ("<a href='javascript:alert(1)'>a</a>", '<a rel="noopener nofollow">a</a>'),
        ("<a href='data:text/html,x'>a</a>", '<a rel="noopener nofollow">a</a>'),
        ("<a href='mailto:a@b.test'>a</a>", '<a rel="noopener nofollow">a</a>'),
        (
            "<a href='../x' target=_blank>a</a>",
            '<a href="https://site.test/x" rel="noopener nofollow">a</a>',
        ),
        ("<a href='#part'>a</a>", '<a rel="noopener nofollow">a</a>'),
        ("<a title='b' href=' #'>a</a>", '<a title="b" rel="noopener nofollow">a</a>'),
        (
            "<a href='https://x.test/#part'>a</a>",
            '<a href="https://x.test/#part" rel="noopener nofollow">a</a>',
        ),
        ("<meta http-equiv=refresh content='0;url=//evil.test'><base href=//evil.test>a", "a"),
        ("<!-- comment --><p>a", "<p>a</p>"),
        ("a &#8238;&#x200b;b", "a b"),
        ("<p>1 < 2 & 3</p>", "<p>1 &lt; 2 &amp; 3</p>"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ],
)
def test_sanitizing(raw: str, clean: str) -> None:
    assert sanitize(raw, base=BASE) == clean
    assert sanitize(clean, base=BASE) == clean


@pytest.mark.parametrize(
    "hostile",
    [
        "<ul><li>" * 30_000,
        "<div>" * 60_000,
        "<b><i>" * 30_000,
        "<a href=/x>y" * 30_000,
        "<table><tr><td>" * 30_000,
        "<b>" * 150 + "<p></b>" * 30_000,
        "<" * 400_000,
        "&" * 400_000,
        "<![CDATA[" * 40_000,
        "<p " + "a=1 " * 100_000,
        "<svg><b>" * 40_000,
        "<!--" * 100_000,
    ],
)
def test_hostile_html_takes_no_time_and_no_room(hostile: str) -> None:
    began = time.monotonic()
    clean = sanitize(hostile, base=BASE)
    text_of(clean)
    line_of(hostile, 300)
    images_of(hostile, base=BASE)
    assert len(clean) <= HTML_CHARS
    assert time.monotonic() - began < 8


def test_what_is_cut_stays_whole_html() -> None:
    clean = sanitize("<ul>" + "<li><b>Bread &amp; butter</b></li>" * 50, most=500)
    assert 300 < len(clean) <= 500
    assert clean.endswith("</ul>")
    assert sanitize(clean, most=500) == clean


def test_text() -> None:
    markup = sanitize(
        "<h2>Head</h2><p>One &amp; <b>two</b><br>three</p><ul><li>a<li>b</ul><table><tr><td>x<td>y</table>"
    )
    assert text_of(markup) == "Head\nOne & two\nthree\na\nb\n\nx y"


def test_a_line() -> None:
    assert line_of(" Tom &amp; <b>Jerry</b>\n<script>x</script>", 50) == "Tom & Jerry"
    assert line_of("a &lt;b&gt; c", 50) == "a <b> c"


def test_images() -> None:
    markup = "<img src='/a b.png'><IMG SRC=https://cdn.test/x.jpg?a=1&amp;b=2><img src=data:x><img alt=x>"
    assert images_of(markup, base=BASE) == ["https://site.test/a%20b.png", "https://cdn.test/x.jpg?a=1&b=2"]


def test_paragraphs_of_plain_text() -> None:
    assert from_text("a <b>\nc\n\n\nd & e") == "<p>a &lt;b&gt; c</p>\n<p>d &amp; e</p>"
