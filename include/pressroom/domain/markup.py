"""HTML from outside: the one place where it is cleaned, and where text and images are taken out of it."""

from __future__ import annotations

import html
import re
from functools import lru_cache

import nh3

from pressroom.domain.outside import clean_line, clean_text, visible, web_url
from pressroom.domain.packets import HTML_CHARS, TEXT_CHARS

_TAGS = {
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "strong", "em", "b", "i",
    "a", "blockquote", "code", "pre", "br", "hr", "table", "thead", "tbody", "tr", "th", "td", "sub", "sup",
    "figcaption", "q", "cite",
}  # fmt: skip
# Gone with all that is in them.
_NO_CONTENT = {
    "script", "style", "template", "noscript", "iframe", "object", "svg", "math", "textarea", "select",
    "title", "noembed", "noframes", "xmp", "plaintext", "audio", "video", "canvas",
}  # fmt: skip
_SCHEMES = {"http", "https"}

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_LEAVES = {
    "br", "hr", "img", "p", "li", "td", "tr", "th", "dt", "dd", "input", "meta", "link", "col", "wbr", "area",
    "source", "embed", "option", "tbody", "thead", "base", "param", "track",
}  # fmt: skip
_DEEPEST = 200
"""Tags within each other. The parser's time grows with the square of it."""

_ANY_TAG = re.compile(r"<[^<>]*>")
_BLOCK_END = re.compile(r"</(?:p|h\d|li|dt|dd|blockquote|pre|tr|ul|ol|dl|table|figcaption)>|<br>|<hr>")
_INDENT = re.compile(r"\n[ \t]+")
_CELL_END = re.compile(r"</t[hd]>")
_IMAGE = re.compile(r'<img src="([^"]*)"')


def sanitize(markup: str, *, base: str = "", most: int = HTML_CHARS) -> str:
    """HTML fit for any page, at most ``most`` characters.

    Known tags; no scripts, styles, handlers, frames or images; links to the web, relative ones of ``base``.
    """
    cleaned = visible(_cleaner(web_url(base)).clean(_parsable(markup, most)))
    margin = 100
    while len(cleaned) > most:  # cut, and closed anew
        cleaned = _cleaner("").clean(cleaned[: max(most - margin, 0)])
        margin *= 2
    return cleaned.strip()


def text_of(markup: str) -> str:
    """The text of sanitised HTML, one line a paragraph."""
    lines = _ANY_TAG.sub("", _CELL_END.sub(" ", _BLOCK_END.sub("\n", markup)))
    return clean_text(html.unescape(_INDENT.sub("\n", lines)), TEXT_CHARS)


def line_of(markup: str, most: int) -> str:
    """A title or a name that may hold markup, as one line of plain text."""
    return clean_line(html.unescape(_ANY_TAG.sub("", _bare().clean(_parsable(markup, 3 * most)))), most)


def images_of(markup: str, *, base: str = "") -> list[str]:
    """Absolute URLs of the images in raw HTML, in their order."""
    if "<img" not in markup.lower():
        return []
    found = _IMAGE.findall(_pictures().clean(_parsable(markup, HTML_CHARS)))
    return [url for url in (web_url(html.unescape(source), base) for source in found) if url]


def from_text(text: str) -> str:
    """Paragraphs of plain text as HTML."""
    parts = (" ".join(part.split()) for part in re.split(r"\n\s{0,99}\n", text))
    return "\n".join(f"<p>{html.escape(part, quote=False)}</p>" for part in parts if part)


def _parsable(markup: str, most: int) -> str:
    """What the parser gets: bounded, and without its tags when they are nested beyond any reason."""
    markup = markup[:most]
    depth = 0
    for closes, tag in _TAG.findall(markup):
        if tag.lower() not in _LEAVES:
            depth = max(depth - 1, 0) if closes else depth + 1
        if depth > _DEEPEST:
            return html.escape(html.unescape(_ANY_TAG.sub(" ", markup)), quote=False)
    return markup


@lru_cache(maxsize=64)
def _cleaner(base: str) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=_TAGS,
        clean_content_tags=_NO_CONTENT,
        attributes={"a": {"href", "title"}, "th": {"scope"}},
        url_schemes=_SCHEMES,
        url_relative=("rewrite_with_base", base) if base else "deny",
        link_rel="noopener nofollow",
    )


@lru_cache(maxsize=1)
def _bare() -> nh3.Cleaner:
    return nh3.Cleaner(tags=set(), clean_content_tags=_NO_CONTENT - {"title"})


@lru_cache(maxsize=1)
def _pictures() -> nh3.Cleaner:
    return nh3.Cleaner(
        tags={"img"}, clean_content_tags=_NO_CONTENT, attributes={"img": {"src"}}, url_schemes=_SCHEMES
    )
