"""The arguments of targets that take whole articles, and how an article becomes them without any decision."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict, Field
from slugify import slugify

from pressroom.domain.errors import PermanentError
from pressroom.domain.markup.html import from_text, place, sanitize, text_of
from pressroom.domain.outside import URL_CHARS, clean_line, web_url
from pressroom.domain.packets import HTML_CHARS, MOST_TAGS, TAG_CHARS, TITLE_CHARS
from pressroom.domain.publishing import Content, TargetArguments, TargetLimits

EXCERPT_CHARS = 500
META_CHARS = 320
SLUG_CHARS = 200
ADDRESS_CHARS = 80
MOST_CATEGORIES = 10

_IMAGE = re.compile(r'<img((?: [a-z]+="[^"]*")*)>')
_SOURCE = re.compile(r' src="([^"]*)"')
_ALT = re.compile(r' alt="([^"]*)"')


class ArticleArguments(TargetArguments):
    """One article."""

    model_config = ConfigDict(str_strip_whitespace=False)
    limits: ClassVar = TargetLimits(
        title_chars=TITLE_CHARS, text_chars=HTML_CHARS, text_field="html", schedules=True
    )

    settable: ClassVar[frozenset[str]] = frozenset({"categories"})

    title: str = Field(min_length=1, max_length=TITLE_CHARS, description="headline, plain text")
    html: str = Field(min_length=1, max_length=HTML_CHARS, description="the body as HTML, without the title")
    excerpt: str = Field(default="", max_length=EXCERPT_CHARS, description="summary, plain text")
    meta_description: str = Field(
        default="",
        max_length=META_CHARS,
        description="what search engines show, plain text of about 155 characters; left out: the excerpt",
    )
    slug: str = Field(
        default="", max_length=SLUG_CHARS, description="last part of the address; left out: from the title"
    )
    tags: list[str] = Field(default_factory=list, max_length=MOST_TAGS, description="names of tags")
    categories: list[str] = Field(
        default_factory=list, max_length=MOST_CATEGORIES, description="names of categories"
    )


class LinkedArticleArguments(ArticleArguments):
    """One article, and the page that it is about or comes from."""

    link: str = Field(
        default="", max_length=URL_CHARS, description="web address of the page it is about; '' for none"
    )


def article_of(content: Content) -> dict[str, Any]:
    """The fields of ``ArticleArguments``, cut to their limits. Raises PermanentError when it is empty."""
    body = content.html or from_text(content.text)
    text = content.text or text_of(body)
    title = clean_line(content.title, TITLE_CHARS) or clean_line(text, 80)
    if not title or not body.strip():
        raise PermanentError("there is nothing to publish: the content has neither title nor text")
    return {
        "title": title,
        "html": body[:HTML_CHARS],
        "excerpt": clean_line(content.excerpt, EXCERPT_CHARS),
        "meta_description": clean_line(content.meta_description, META_CHARS),
        "slug": content.slug[:SLUG_CHARS],
        "tags": _names(content.tags)[:MOST_TAGS],
        "categories": _names(content.categories)[:MOST_CATEGORIES],
    }


def slug_of(arguments: ArticleArguments, key: str) -> str:
    """The last part of the address, at most ``ADDRESS_CHARS``, of ASCII letters, digits and hyphens; never
    empty.

    ``key``: the piece's, for titles that hold nothing that can stand in an address.
    """
    for text in (arguments.slug, arguments.title):
        made = str(slugify(text, max_length=ADDRESS_CHARS, word_boundary=True))
        if made:
            return made
    return f"article-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def linked_article_of(content: Content) -> dict[str, Any]:
    """The fields of ``LinkedArticleArguments``; errors as in ``article_of``."""
    return {**article_of(content), "link": web_url(content.link)}


def _names(names: Sequence[str]) -> list[str]:
    return [line for line in (clean_line(str(name), TAG_CHARS) for name in names) if line]


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
