"""Markup costs what its length says: measured by what a parser is given and gives, not by the clock."""

from __future__ import annotations

import re

import nh3
import pytest

from pressroom.domain.markup.balance import MOST_OPEN, UNSEEN, balanced
from pressroom.domain.markup.html import images_of, plain, sanitize
from pressroom.domain.packets import HTML_CHARS

NAMES = [
    "p", "b", "i", "em", "strong", "code", "a", "ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody",
    "tr", "th", "td", "blockquote", "pre", "h2", "h3", "br", "hr", "img", "q", "sub", "figure",
]  # fmt: skip
REL = 'rel="noopener nofollow"'
KEPT = {name: {"href", "src"} if name in ("a", "img") else frozenset[str]() for name in NAMES}
TAG = re.compile(r"<(/?)([a-z]+[0-9]?)[^<>]*>")
LONG_LINK = f'<a href="https://x.test/{"y" * 1900}">'

HOSTILE = {
    "unclosed formatting in blocks": "<b>" * 2_000 + "<p>x" * 2_000,
    "distinct formatting in blocks": "".join(f"<b a={n}>" for n in range(4_990)) + "<p>x" * 4_990,
    "formatting opened in a block": "<p><b><i><em>" * 5_000,
    "a long link over blocks": LONG_LINK + "<p>x" * 40_000,
    "links within links": "<a href=/x><div>" * 10_000,
    "closed out of order": "<b><ul><ul><ul><ul><ul><ul><ul></b>" * 5_000,
    "closed crosswise": "<b><i></b></i>" * 10_000,
    "formatting between rows": f"<table><b><i>{LONG_LINK}" + "<tr>x" * 30_000,
    "formatting over cells": "<table><td><b></td></b><p>" * 6_000,
    "blocks": "<blockquote>" * 16_000,
    "lists": "<ul><li>" * 20_000,
    "tables": "<table><tr><td>" * 12_000,
    "tables without rows": "<table><td>" * 15_000,
    "unknown elements": "<x-y>" * 30_000,
    "frames that nothing closes": "<iframe>" * 20_000,
    "vectors": "<svg><b>" * 20_000,
    "attributes": "<p " + "a=1 " * 45_000,
    "quotes that nothing closes": "<a title='" * 18_000,
    "comments": "<!--" * 45_000,
    "ends": "</p></b></br>" * 14_000,
    "signs": "<" * 190_000,
}


def depth_of(markup: str) -> int:
    depth = deepest = 0
    for ends, tag in TAG.findall(markup):
        if tag not in ("br", "hr", "img"):
            depth += -1 if ends else 1
            deepest = max(deepest, depth)
    assert depth == 0
    return deepest


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_parser_gets_and_gives_no_more_than_was_sent(hostile: str) -> None:
    given = balanced(hostile, KEPT, unseen=UNSEEN)
    parsed = nh3.clean(given, tags=set(KEPT), attributes={"a": {"href"}, "img": {"src"}}, link_rel=None)
    assert depth_of(given) <= MOST_OPEN
    # A cell brings a row and a body with it where they are left out.
    assert len(TAG.findall(given)) <= 2 * hostile.count("<") + 4 * hostile.count("<td")
    assert len(TAG.findall(parsed)) == len(TAG.findall(given))
    assert depth_of(parsed) <= MOST_OPEN


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_what_comes_out_is_bounded_and_final(hostile: str, images: bool) -> None:
    clean = sanitize(hostile, images=images)
    assert len(clean) <= HTML_CHARS
    assert depth_of(clean) <= MOST_OPEN
    assert sanitize(clean, images=images) == clean
    assert len(plain(hostile)) <= len(hostile)
    assert images_of(f"<img src=https://x.test/1.png>{hostile}") == ["https://x.test/1.png"]


def test_size_is_bounded_before_anything_is_parsed() -> None:
    assert len(sanitize("<p>word " * 500_000, most=1_000)) <= 1_000
    assert len(sanitize("&" * 1_000, most=1_000)) > 800


def test_no_word_is_lost_where_tags_are_left_out() -> None:
    words = [f"w{number}" for number in range(300)]
    nested = "".join(f"<blockquote>{word}" for word in words)
    assert re.findall(r"w\d+\b", sanitize(nested)) == words


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<p>a<iframe src='https://x.test'/>b</p>", "<p>ab</p>"),
        ("<p>a<svg/>b</p><video src=x />c", "<p>ab</p>c"),
        ("<p>a<iframe src=x>b</p>", "<p>ab</p>"),
        ("<p>a<textarea>b</p>", "<p>ab</p>"),
        ("<p>a<script>b</p>", "<p>a</p>"),
        ("<p>a <math><mi>x</mi></math> b</p>", "<p>a  b</p>"),
        ("<p>a <math><mi>x</mi><p>b</p><math>y<h2>c", "<p>a </p><p>b</p><h2>c</h2>"),
        ("<p>a <math><mi>x</mi></p><p>b</p>", "<p>a </p><p>b</p>"),
        ("<tr><td>a</td><td>b</td></tr>", "a\nb"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<p>a<div>b</div>c", "<p>a</p>\nb\nc"),
        ("<p><b>a<p>b", "<p><b>a</b></p><p>b</p>"),
        ("<b><i>a</b>b</i>", "<b><i>a</i></b>b"),
        ("<b><p>a</p><p>b</p></b>", "<b><p>a</p><p>b</p></b>"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("<dl><dt>a<dd>b<dt>c</dl>", "<dl><dt>a</dt><dd>b</dd><dt>c</dt></dl>"),
        ("<td>a</td>", "a"),
        (
            "<table><td>a<td>b<tr><td>c</table>d",
            "<table><tbody><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></tbody></table>d",
        ),
        ("<table><tr><td>a<table><tr><td>b</td></tr></table>c</td></tr></table>",
         "<table><tbody><tr><td>a<table><tbody><tr><td>b</td></tr></tbody></table>c</td></tr></tbody></table>"),
        ("<a href=https://x.test>a<a href=https://y.test>b</a>",
         f'<a href="https://x.test" {REL}>a</a><a href="https://y.test" {REL}>b</a>'),
        ("<pre>\n\n\nx</pre>", "<pre>x</pre>"),
        ("a</br>b<br/>c", "a<br>b<br>c"),
        ("1 < 2 <3 & <- </ x>", "1 &lt; 2 &lt;3 &amp; &lt;-"),
        ("<P Title=\"a>b\">c<A HREF='https://x.test/?a=1&amp;b=2' Title='\"<b>\"'>d</A>",
         f'<p>c<a href="https://x.test/?a=1&amp;b=2" title="&quot;&lt;b&gt;&quot;" {REL}>d</a></p>'),
    ],
)  # fmt: skip
def test_elements_end_where_a_browser_ends_them(raw: str, clean: str) -> None:
    assert sanitize(raw) == clean
    assert sanitize(clean) == clean
