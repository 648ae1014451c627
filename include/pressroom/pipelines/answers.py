"""The answer types' building blocks, and what cleans the text that comes in them.

Bounds stand in the JSON schema, where they steer the model (a small one rambles up to whatever is allowed).
They are not enforced when an answer is read: a paragraph that is a little long is cut or kept, never refused.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

import nh3
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

LONGEST = 600
"""Characters of the longest string asked for: about 100 words, a long paragraph."""

TOKEN_CHARS = 2
"""Characters a token, taken low on purpose: English has 4, other languages and JSON's own marks fewer."""

_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"\w+(?:['\u2019.-]\w+)*")
_NUMBERING = re.compile(r"^\d{1,2}[.)]\s+(?=\D)")
_SENTENCE_END = re.compile(r"[.!?\u3002\u2026][\"'\u201d\u2019)]*(?=\s|$)")


class Answer(BaseModel):
    """Base of the answer types. Unknown keys are not asked for, and dropped when they come."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})


@dataclass(frozen=True)
class Chars:
    """How long a string shall be, in characters."""

    most: int
    least: int = 1

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "minLength": self.least, "maxLength": self.most}


@dataclass(frozen=True)
class Items:
    """How many entries a list shall have."""

    most: int
    least: int = 1

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "minItems": self.least, "maxItems": self.most}


@dataclass(frozen=True)
class Between:
    """The range of a whole number."""

    least: int
    most: int

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "minimum": self.least, "maximum": self.most}


def tokens_for(chars: int, *, words: int = 0) -> int:
    """A token limit that an answer of this many characters, and this many words, stays below."""
    return 200 + max(int(chars / TOKEN_CHARS), 2 * words)


def plain(text: str) -> str:
    """One line of plain text: no markup, no control characters, single spaces."""
    bare = html.unescape(nh3.clean(text, tags=set()))
    return _SPACE.sub(" ", "".join(c if c.isprintable() else " " for c in bare)).strip()


def clip(text: str, most: int) -> str:
    """At most ``most`` characters, cut between words, without punctuation that leads on to nothing."""
    text = plain(text)
    if len(text) > most:
        text = text[: most + 1].rsplit(" ", 1)[0] if " " in text[: most + 1] else text[:most]
    return text[:most].rstrip(" ,;:-\u2013\u2014")


def whole_sentences(text: str, most: int) -> str:
    """The text without the sentence that a length bound cut off; all of it when it was not cut."""
    text = text.strip()
    if len(text) < most or _SENTENCE_END.search(text[-3:]):
        return text
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends and ends[-1] > most // 3 else text


def says_something(text: str, least: int = 2) -> bool:
    """Whether a short text is more than punctuation: has ``least`` letters in all."""
    return sum(c.isalpha() for c in text) >= least


def distinct(texts: list[str], most: int, chars: int) -> list[str]:
    """Cleaned, without numbering, blanks and repetitions (whatever their case), at most ``most``."""
    found: dict[str, str] = {}
    for text in texts:
        cleaned = _NUMBERING.sub("", clip(text, chars).strip("#*-\u2022\"' "))
        if says_something(cleaned, 1):
            found.setdefault(cleaned.casefold(), cleaned)
    return list(found.values())[:most]


def count_words(text: str) -> int:
    """Words of plain text."""
    return len(_WORD.findall(text))


def words_of_html(markup: str) -> int:
    """Words a reader of this HTML sees."""
    return count_words(html.unescape(re.sub(r"<[^>]*>", " ", markup)))


_TAGS = {
    "p", "h2", "h3", "h4", "ul", "ol", "li", "strong", "em", "b", "i", "a", "blockquote", "code", "pre", "br",
    "hr", "table", "thead", "tbody", "tr", "th", "td", "sub", "sup",
}  # fmt: skip


def sanitize(markup: str) -> str:
    """HTML fit for any page: known tags; no scripts, styles, handlers or images; web links only."""
    cleaner: Any = nh3.clean(
        markup,
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "th": {"scope"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
    )
    return str(cleaner)
