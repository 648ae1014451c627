"""HTML from outside: the one place where it is cleaned, and text and images are taken out of it or put in.

What is cleaned when it is saved goes out as it is: cleaning it again changes nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import nh3
import regex

from pressroom.domain.markup.balance import UNSEEN, balanced
from pressroom.domain.markup.cutting import cut
from pressroom.domain.outside import clean_line, clean_text, visible, web_url
from pressroom.domain.packets import HTML_CHARS, TEXT_CHARS

_TAGS = (
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "strong", "em", "b", "i",
    "blockquote", "code", "pre", "br", "hr", "table", "thead", "tbody", "tr", "td", "sub", "sup",
    "figcaption", "q", "cite",
)  # fmt: skip
_ATTRIBUTES: Mapping[str, Collection[str]] = {
    **dict.fromkeys(_TAGS, frozenset()),
    "a": {"href", "title"},
    "th": {"scope"},
}
_WITH_IMAGES: Mapping[str, Collection[str]] = {**_ATTRIBUTES, "figure": frozenset(), "img": {"src", "alt"}}
_SOURCES: Mapping[str, Collection[str]] = {"img": {"src"}}
_SCHEMES = {"http", "https"}

# Names of places in a page are not kept, so a link to one would lead to another page: that of ``base``.
_PLACE = re.compile(r'(<a(?: title="[^"]*+")?) href="\s*+#[^"]*+"')
_ANY_TAG = re.compile(r"<[^<>]*>")
_BLOCK_END = re.compile(r"</(?:p|h\d|li|dt|dd|blockquote|pre|tr|ul|ol|dl|table|figcaption)>|<br>|<hr>")
_PRE_START = re.compile(r"<pre>\n+")
_INDENT = re.compile(r"\n[ \t]+")
_CELL_END = re.compile(r"</t[hd]>")
_IMAGE = re.compile(r'<img src="([^"]*)"')

PICTURE_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}
"""Media type → suffix of the pictures that every browser shows, and none runs."""

SUFFIXES = {**PICTURE_SUFFIXES, "image/svg+xml": "svg", "text/html": "html"}
"""Media type → suffix of everything that is stored."""

_HEADING = re.compile(r"(?=<h2>)")

_IDEOGRAPHS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}ー々]+")
# Scripts without blanks between words, whose words have about four letters.
_RUNNING = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+")
_UNSPACED = regex.compile(rf"{_IDEOGRAPHS.pattern}|{_RUNNING.pattern}")
_LETTER = regex.compile(r"\p{L}")
_LETTERS_A_WORD = 4
# Marks (vowel signs of Hindi or Tamil) and joiners (Persian) are within words.
_PART = r"[\p{L}\p{N}_][\p{L}\p{N}\p{M}_]*"
_WORD = regex.compile(rf"{_PART}(?:['\u2019.\u200c\u200d-]{_PART})*")
# A Chinese, Japanese or Korean sign says as much as two letters.
_SAYS_MORE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")
_NUMBERING = re.compile(r"^(?:\d{1,2}[.)]\s+|(?:\d{1,2}|[一二三四五六七八九十]{1,3})[、．）]\s*)(?=\D)")


def sanitize(markup: str, *, base: str = "", most: int = HTML_CHARS, images: bool = False) -> str:
    """HTML fit for any page, at most ``most`` characters.

    Known tags; no scripts, styles, handlers or frames; links to the web, relative ones of ``base``.
    ``images``: whether images of the web and their figures stay.
    """
    own = _WITH_IMAGES if images else _ATTRIBUTES
    cleaner, margin = _cleaner(web_url(base), images=images), 100
    cleaned = _clean(markup[:most], own, cleaner)
    while len(cleaned) > most:  # cut, and closed again
        cleaned = _clean(cleaned[: max(most - margin, 0)], own, cleaner)
        margin *= 2
    return cleaned


def plain(markup: str) -> str:
    """One line of plain text: no markup, nothing that cannot be seen, single spaces."""
    return " ".join(visible(html.unescape(balanced(markup, {}, unseen=UNSEEN - {"title"}))).split())


def line_of(markup: str, most: int) -> str:
    """A title or a name that may hold markup, as one line of plain text."""
    return clean_line(plain(markup[: 3 * most]), most)


def text_of(markup: str, between: str = "\n") -> str:
    """The text of sanitised HTML. ``between``: what stands between its blocks."""
    lines = _ANY_TAG.sub("", _CELL_END.sub(" ", _BLOCK_END.sub(between, markup)))
    return clean_text(html.unescape(_INDENT.sub("\n", lines)), TEXT_CHARS)


def from_text(text: str) -> str:
    """Paragraphs of plain text as HTML."""
    parts = (" ".join(part.split()) for part in re.split(r"\n\s{0,99}\n", text))
    return "\n".join(f"<p>{html.escape(part, quote=False)}</p>" for part in parts if part)


def images_of(markup: str, *, base: str = "") -> list[str]:
    """Absolute URLs of the images in raw HTML, in their order."""
    if "<img" not in markup.lower():
        return []
    sources = _IMAGE.findall(balanced(markup[:HTML_CHARS], _SOURCES, unseen=UNSEEN))
    return [url for url in (web_url(html.unescape(source), base) for source in sources) if url]


def _clean(markup: str, own: Mapping[str, Collection[str]], cleaner: nh3.Cleaner) -> str:
    bounded = _PLACE.sub(r"\1", balanced(visible(markup), own, unseen=UNSEEN))
    cleaned = visible(cleaner.clean(bounded))
    # A parser drops the first line break there, one each time that it reads the text.
    return _PRE_START.sub("<pre>", cleaned).strip()


@lru_cache(maxsize=64)
def _cleaner(base: str, *, images: bool) -> nh3.Cleaner:
    own = _WITH_IMAGES if images else _ATTRIBUTES
    return nh3.Cleaner(
        tags=set(own),
        attributes={tag: set(names) for tag, names in own.items() if names},
        url_schemes=_SCHEMES,
        url_relative=("rewrite_with_base", base) if base else "deny",
        link_rel="noopener nofollow",
    )


def suffix_of(media_type: str) -> str:
    """How the name of a stored file ends, ``bin`` for a type that is not known."""
    return SUFFIXES.get(media_type, "bin")


def place(markup: str, figures: Sequence[str]) -> str:
    """Sanitised HTML with a figure after the first paragraph below each heading; what is left at the end."""
    parts, waiting = _HEADING.split(markup), list(figures)
    for index, part in enumerate(parts):
        if waiting and part.startswith("<h2>"):
            head, closing, rest = part.partition("</p>")
            parts[index] = f"{head}{closing}{waiting.pop(0)}{rest}"
    return "".join([*parts, *waiting])


def clip(text: str, most: int) -> str:
    """At most ``most`` characters of plain text, without punctuation that leads on to nothing."""
    return cut(plain(text), most).rstrip(" ,;:-\u2013\u2014")


def says_something(text: str, least: int = 2) -> bool:
    """Whether a short text is more than punctuation: has ``least`` letters in all, or half as many signs of
    scripts in which a sign is a syllable or a word.
    """
    return sum(c.isalpha() for c in text) + len(_SAYS_MORE.findall(text)) >= least


def distinct(texts: list[str], most: int, chars: int) -> list[str]:
    """Cleaned, without numbering, blanks and repetitions (whatever their case), at most ``most``."""
    lines: dict[str, str] = {}
    for text in texts:
        cleaned = _NUMBERING.sub("", clip(text, chars).strip("#*-\u2022\"' "))
        if says_something(cleaned, 1):
            lines.setdefault(cleaned.casefold(), cleaned)
    return list(lines.values())[:most]


def count_words(text: str) -> int:
    """Words of plain text. Chinese and Japanese characters count for one each, as is usual.

    In scripts that write no blanks between words (Thai, Lao, Khmer, Burmese) they are estimated.
    """
    spaced = _UNSPACED.sub(" ", text)
    signs = sum(len(run) for run in _IDEOGRAPHS.findall(text))
    letters = sum(-(-len(_LETTER.findall(run)) // _LETTERS_A_WORD) for run in _RUNNING.findall(text))
    return len(_WORD.findall(spaced)) + signs + letters


def words_of_html(markup: str) -> int:
    """Words a reader of this HTML sees."""
    return count_words(plain(markup))
