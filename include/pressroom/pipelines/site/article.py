"""An article: the answer types by length, and the HTML that is built from the answers. Pure functions."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, create_model
from slugify import slugify

from pressroom.domain.markup.cutting import in_sentences
from pressroom.domain.markup.html import clip, distinct, plain, sanitize, words_of_html
from pressroom.domain.text import normalize
from pressroom.pipelines.answers import LONGEST, Answer, Chars, Items, rejoined, some_text, tokens_for

TITLE_CHARS = 100
META_CHARS = 160
EXCERPT_CHARS = 220
HEADING_CHARS = 80
TAG_CHARS = 30
MOST_TAGS = 8
SLUG_CHARS = 80

_WORD_CHARS = 6.5  # English, with its space
_ROOM = 1.15  # bounds are this many times the requested length
_SIGNS_A_WORD = 2.5  # Chinese and Japanese characters that say as much as an English word
_SECTION_WORDS = 150
_HEAD_CHARS = TITLE_CHARS + META_CHARS + 10 + EXCERPT_CHARS + 5 * (TAG_CHARS + 6) + 120

_BOLD = re.compile(r"\*\*(\S(?:.*?\S)?)\*\*")
_IN_SIGNS = re.compile(
    r"^(?:zh|yue|ja)(?![a-z])|chinese|mandarin|cantonese|japanese|[\u3040-\u30ff\u4e00-\u9fff]", re.IGNORECASE
)


def in_signs(language: str) -> bool:
    """Whether the length of a text in this language is said in characters: in Chinese and Japanese."""
    return _IN_SIGNS.search(language) is not None


def unit_of(language: str) -> str:
    """What the length of an article in this language is said in."""
    return "characters" if in_signs(language) else "words"


@dataclass(frozen=True)
class ArticleShape:
    """How much text is requested: sections, paragraphs in each, characters in each paragraph.

    ``signs``: ``words`` are characters of Chinese or Japanese.
    """

    words: int
    sections: int
    paragraphs: int
    chars: int
    signs: bool = False

    @property
    def introduction(self) -> int:
        """Paragraphs before the first section."""
        return 1 if _size(self.words, signs=self.signs) < 600 else 2

    @property
    def total(self) -> int:
        """Characters of the longest answer with all its sections."""
        body = (self.sections * self.paragraphs + self.introduction) * (self.chars + 8)
        return _HEAD_CHARS + body + self.sections * (HEADING_CHARS + 40)

    @property
    def tokens(self) -> int:
        """Token limit of the whole article in one answer."""
        return tokens_for(self.total, words=self.words)


def shape_of(words: int, outline: int = 0, *, signs: bool = False) -> ArticleShape:
    """The shape of an article of ``words`` words, or ``signs``. ``outline``: the number of its given
    headings, 0 for none.
    """
    size = _size(words, signs=signs)
    sections = min(max(2, ceil(size / _SECTION_WORDS)), 40)
    if outline:
        # Follow the outline unless its sections would be much too short or too long.
        sections = min(max(outline, ceil(size / 400), 2), max(2, ceil(size / 90)))
    number, chars = _paragraphs(size / sections)
    return ArticleShape(
        words, sections, number, ceil(chars * _SIGNS_A_WORD / _WORD_CHARS) if signs else chars, signs
    )


def _size(words: int, *, signs: bool) -> float:
    """As many English words say as much."""
    return words / _SIGNS_A_WORD if signs else words


def _paragraphs(words: float) -> tuple[int, int]:
    """The number of paragraphs for ``words`` words, and the characters of each."""
    room = words * _WORD_CHARS * _ROOM
    number = max(2 if room > 400 else 1, ceil(room / LONGEST))
    return number, min(LONGEST, max(160, ceil(room / number)))


class Head(Answer):
    """What every article has besides its body."""

    title: str
    meta_description: str
    excerpt: str
    tags: list[str]


class Section(Answer):
    """A heading and its paragraphs."""

    heading: str
    paragraphs: list[str]


class ArticleAnswer(Head):
    """A whole article in one answer."""

    introduction: list[str]
    sections: list[Section]


class ArticlePlan(Head):
    """An article to be written section by section."""

    introduction: list[str]
    headings: list[str]


class SectionText(Answer):
    """One section of a planned article."""

    paragraphs: list[str]


@lru_cache(maxsize=64)
def article_type(shape: ArticleShape) -> type[ArticleAnswer]:
    """The answer when the article is written in one call."""
    section = create_model(
        "Section",
        __base__=Section,
        heading=(Annotated[str, Chars(HEADING_CHARS, 3, phrases=True)], ...),
        paragraphs=(_texts(shape.paragraphs, shape.chars), ...),
    )
    return create_model(
        "Article",
        __base__=ArticleAnswer,
        **_HEAD,
        introduction=(_texts(shape.introduction, shape.chars), ...),
        sections=(Annotated[list[section], Items(shape.sections, shape.sections)], ...),
    )


@lru_cache(maxsize=64)
def plan_type(shape: ArticleShape) -> type[ArticlePlan]:
    """The answer of the planning call."""
    heading = Annotated[str, Chars(HEADING_CHARS, 3, phrases=True)]
    headings = Annotated[list[heading], Items(shape.sections, shape.sections)]
    return create_model(
        "ArticlePlan",
        __base__=ArticlePlan,
        **_HEAD,
        introduction=(_texts(shape.introduction, min(shape.chars, 400)), ...),
        headings=(headings, ...),
    )


@lru_cache(maxsize=64)
def section_type(shape: ArticleShape) -> type[SectionText]:
    """The answer of one section's call."""
    texts = _texts(shape.paragraphs, shape.chars)
    paragraphs: Any = Annotated[texts, AfterValidator(some_text)]
    return create_model("SectionText", __base__=SectionText, paragraphs=(paragraphs, ...))


def plan_tokens(shape: ArticleShape) -> int:
    """Token limit of the planning call."""
    return tokens_for(_HEAD_CHARS + shape.introduction * 400 + shape.sections * (HEADING_CHARS + 6))


def section_tokens(shape: ArticleShape) -> int:
    """Token limit of one section's call."""
    return tokens_for(shape.paragraphs * (shape.chars + 8), words=ceil(shape.words / shape.sections))


def _texts(number: int, chars: int) -> Any:
    # A small model stops as early as it may, so the minimum is high, but short enough for a bullet point.
    least = number if number <= 2 else number - 1
    texts = list[Annotated[str, Chars(chars, min(80, chars // 3))]]
    return Annotated[texts, Items(number, least), BeforeValidator(partial(_parts, most=chars))]


def _parts(texts: Any, most: int) -> Any:
    return rejoined(texts, most) if isinstance(texts, list) else texts


_HEAD: dict[str, Any] = {
    "title": (Annotated[str, Chars(TITLE_CHARS, 5, phrases=True)], ...),
    "meta_description": (Annotated[str, Chars(META_CHARS + 10, 20)], ...),
    "excerpt": (Annotated[str, Chars(EXCERPT_CHARS, 20)], ...),
    "tags": (Annotated[list[Annotated[str, Chars(TAG_CHARS, 2)]], Items(5, 2)], ...),
}


@dataclass(frozen=True)
class WrittenArticle:
    """A finished article. ``slug`` is made of the title; saving makes it unique on the site."""

    title: str
    slug: str
    meta_description: str
    html: str
    excerpt: str
    tags: list[str]
    word_count: int
    model: str


def assemble(
    head: Head,
    introduction: Sequence[str],
    sections: Sequence[tuple[str, Sequence[str]]],
    *,
    fallback_title: str,
    model: str,
) -> WrittenArticle:
    """The article made of its answers. Missing parts of the head are taken from the body.

    A section without a heading goes on with the one before it.
    """
    labels = {normalize(text) for text in (head.title, fallback_title, *(name for name, _ in sections))}
    parts = [_flow(introduction, labels)]
    for heading, paragraphs in sections:
        body, shown = _flow(paragraphs, labels), clip(heading, HEADING_CHARS)
        if body and shown:
            parts.append(f"<h2>{html.escape(shown, quote=False)}</h2>")
        parts.append(body)
    markup = sanitize("\n".join(part for part in parts if part))
    text = plain(markup)
    title = clip(head.title, TITLE_CHARS).strip("#*\"' ") or fallback_title
    excerpt = in_sentences(plain(head.excerpt) or text, EXCERPT_CHARS)
    return WrittenArticle(
        title=title,
        slug=slugify(title, max_length=SLUG_CHARS, word_boundary=True),
        meta_description=in_sentences(plain(head.meta_description) or excerpt, META_CHARS),
        html=markup,
        excerpt=excerpt,
        tags=distinct(head.tags, MOST_TAGS, TAG_CHARS),
        word_count=words_of_html(markup),
        model=model,
    )


def headings_of(markup: str) -> list[str]:
    """The section headings of an article's HTML, as plain text."""
    return [plain(heading) for heading in re.findall(r"<h2[^>]*>(.*?)</h2>", markup, re.DOTALL)]


def _flow(paragraphs: Sequence[str], labels: Collection[str]) -> str:
    """Paragraphs as HTML. Adjacent ones that begin with a dash become one list.

    Repetitions are dropped, also of the title and the headings (``labels``, normalized).
    """
    lines: list[str] = []
    inside = False
    blocks = (block for paragraph in paragraphs for block in _blocks(paragraph))
    for block in dict.fromkeys(blocks):
        if normalize(plain(block)) in labels:
            continue
        bullet = block.startswith(("- ", "* ", "\u2022 "))
        if bullet != inside:
            lines.append("<ul>" if bullet else "</ul>")
            inside = bullet
        text = _BOLD.sub(r"<strong>\1</strong>", block[2:].strip() if bullet else block)
        lines.append(f"<li>{text}</li>" if bullet else f"<p>{text}</p>")
    if inside:
        lines.append("</ul>")
    return "\n".join(lines)


def _blocks(paragraph: str) -> list[str]:
    # Each block is sanitised by itself, so that an open tag cannot swallow the next block.
    blocks = (line.strip().lstrip("#").strip() for line in paragraph.splitlines())
    return [cleaned for block in blocks if block and plain(cleaned := sanitize(block)).strip("-*\u2022 ")]
