"""An article's body as a target gets it: cleaned, with the pictures that belong to it and no others."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pressroom.domain.markup.html import sanitize
from pressroom.domain.markup.pictures import place

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
    unused = [unplaced for unplaced in pictures[1:] if f' src="{html.escape(unplaced.src)}"' not in cleaned]
    return place(cleaned, [picture.figure for picture in unused])


def cleaned_with(markup: str, pictures: Sequence[Illustration]) -> str:
    """HTML fit for any page, with the pictures that it mentions and no other images."""
    known = {picture.url: picture for picture in pictures if picture.url}

    def image(tag: re.Match[str]) -> str:
        source, alt = _SOURCE.search(tag[1]), _ALT.search(tag[1])
        picture = known.get(html.unescape(source[1])) if source else None
        if picture is None:
            return ""
        return _img(picture, html.unescape(alt[1]) if alt else picture.alt)

    return _IMAGE.sub(image, sanitize(markup, images=bool(known)))


def _img(picture: Illustration, alt: str) -> str:
    css = f' class="{html.escape(picture.css_class)}"' if picture.css_class else ""
    return f'<img src="{html.escape(picture.src)}" alt="{html.escape(alt)}"{css}>'
