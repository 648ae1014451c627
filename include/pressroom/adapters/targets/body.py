"""An article's body as a target gets it: cleaned, with the pictures that belong to it and no others."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import nh3

from pressroom.domain.markup import sanitize
from pressroom.domain.outside import visible
from pressroom.domain.packets import HTML_CHARS

_TAGS = {
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "strong", "em", "b", "i",
    "a",
    "blockquote", "code", "pre", "br", "hr", "table", "thead", "tbody", "tr", "th", "td", "sub", "sup", "q",
    "cite", "figure", "figcaption", "img",
}  # fmt: skip
_NO_CONTENT = {
    "script", "style", "template", "noscript", "iframe", "object", "svg", "math", "textarea", "select",
    "title",
}  # fmt: skip
_MOST_TAGS = 20_000

_IMAGE = re.compile(r'<img((?: [a-z]+="[^"]*")*)>')
_SOURCE = re.compile(r' src="([^"]*)"')
_ALT = re.compile(r' alt="([^"]*)"')


@dataclass(frozen=True)
class Illustration:
    """A picture that is at the target.

    ``url``: how the article refers to it, '' when it does not; ``src``: where it is now; ``css_class``: for
    the target's own use.
    """

    url: str
    src: str
    alt: str = ""
    css_class: str = ""

    @property
    def figure(self) -> str:
        """As a figure of its own."""
        return f"<figure>{_img(self, self.alt)}</figure>"


def body_of(markup: str, pictures: Sequence[Illustration]) -> str:
    """HTML fit for any page, with the pictures.

    An image that is one of ``pictures`` shows that; every other image is left out, because its address would
    tell a stranger who reads the article. Of the pictures that the markup does not mention, the first is the
    target's to show, as the article's picture; the others stand after the headings, in order.
    """
    cleaned = cleaned_with(markup, pictures)
    waiting = [one.figure for one in pictures[1:] if f' src="{html.escape(one.src)}"' not in cleaned]
    return _placed(cleaned, waiting)


def cleaned_with(markup: str, pictures: Sequence[Illustration]) -> str:
    """HTML fit for any page, with the pictures that it mentions and no other images."""
    markup = markup[:HTML_CHARS]
    if "<img" not in markup.lower() or markup.count("<") > _MOST_TAGS:
        return sanitize(markup)
    return _with_images(markup, {one.url: one for one in pictures if one.url})


def _with_images(markup: str, known: Mapping[str, Illustration]) -> str:
    cleaned = nh3.clean(
        markup,
        tags=_TAGS,
        clean_content_tags=_NO_CONTENT,
        attributes={"a": {"href", "title"}, "th": {"scope"}, "img": {"src", "alt"}},
        url_schemes={"http", "https"},
        url_relative="deny",
        link_rel="noopener nofollow",
    )

    def image(found: re.Match[str]) -> str:
        source, alt = _SOURCE.search(found[1]), _ALT.search(found[1])
        picture = known.get(html.unescape(source[1])) if source else None
        if picture is None:
            return ""
        return _img(picture, html.unescape(alt[1]) if alt else picture.alt)

    return visible(_IMAGE.sub(image, cleaned)).strip()


def _img(picture: Illustration, alt: str) -> str:
    css = f' class="{html.escape(picture.css_class)}"' if picture.css_class else ""
    return f'<img src="{html.escape(picture.src)}" alt="{html.escape(alt)}"{css}>'


def _placed(markup: str, figures: list[str]) -> str:
    """One figure after the first paragraph below each heading; what is left at the end."""
    parts = re.split(r"(?=<h2>)", markup) if figures else [markup]
    for index, part in enumerate(parts):
        if figures and part.startswith("<h2>"):
            head, closing, rest = part.partition("</p>")
            parts[index] = f"{head}{closing}{figures.pop(0)}{rest}"
    return "".join([*parts, *figures])
