"""One line of plain text from whatever a model or a person wrote, and what is counted in it."""

from __future__ import annotations

import re

from pressroom.domain.markup.cutting import cut
from pressroom.domain.markup.html import plain

_WORD = re.compile(r"\w+(?:['\u2019.-]\w+)*")
_NUMBERING = re.compile(r"^\d{1,2}[.)]\s+(?=\D)")


def clip(text: str, most: int) -> str:
    """At most ``most`` characters of plain text, without punctuation that leads on to nothing."""
    return cut(plain(text), most).rstrip(" ,;:-\u2013\u2014")


def says_something(text: str, least: int = 2) -> bool:
    """Whether a short text is more than punctuation: has ``least`` letters in all."""
    return sum(c.isalpha() for c in text) >= least


def distinct(texts: list[str], most: int, chars: int) -> list[str]:
    """Cleaned, without numbering, blanks and repetitions (whatever their case), at most ``most``."""
    lines: dict[str, str] = {}
    for text in texts:
        cleaned = _NUMBERING.sub("", clip(text, chars).strip("#*-\u2022\"' "))
        if says_something(cleaned, 1):
            lines.setdefault(cleaned.casefold(), cleaned)
    return list(lines.values())[:most]


def count_words(text: str) -> int:
    """Words of plain text."""
    return len(_WORD.findall(text))


def words_of_html(markup: str) -> int:
    """Words a reader of this HTML sees."""
    return count_words(plain(markup))
