"""Text cut to a bound, in any language: at a sentence, else at a word, else between two signs.

A sign is what a reader takes for one character (a grapheme): a letter with its accents, a family of emoji.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable

import regex

Length = Callable[[str], int]
"""How long a text counts as."""

SENTENCE_END = re.compile(
    r"[.!?\u2026\u061f\u06d4]+[\"'\u201d\u2019)]*(?=\s)"
    r"|[\u3002\uff01\uff1f\u0964\u0965]+[\"'\u201d\u2019)\u300d\u300f]*"
)
# What \X matches. In a row of flags \X goes back to the first for each of them, so they are matched in pairs.
SIGN = regex.compile(r"\p{GCB=RI}{1,2}[\p{GCB=EX}\p{GCB=SM}\u200d]*|\X")
"""What a reader takes for one character."""
WEB_LINK = re.compile(r"https?://[^\s<>\"/][^\s<>\"]*", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_PHRASE_END = re.compile(r"\s*[:;,(|\u2013\u2014]|\s-(?=\s)|[\u3001\uff0c\uff1a]")
_LEADS_ON = " \t\n,;:-\u2013\u2014"
_ELLIPSIS = "\u2026"
PROSE, NEAR = 160, 12
"""A bound of so many characters is one of prose. It ends so near to its bound where no word fits any more."""
SHORTEST = 12
"""Characters that what is left of a text has at least: "Dr." and "1." end as sentences do."""
# Whatever a network counts, this many times its limit in characters is too long; only links count for less.
FAR = 20


def cut(text: str, most: int, length: Length = len, *, mark: str = "", links: bool = False) -> str:
    """The text, at most ``most`` long. ``mark``: stands where it was cut; ``links``: see ``beginning``."""
    if len(text) <= FAR * most and length(text) <= most:
        return text
    return beginning(text[: FAR * most], lambda part: length(part) <= most, mark=mark, links=links)


def beginning(
    text: str,
    fits: Callable[[str], bool],
    *,
    mark: str = _ELLIPSIS,
    sentences: bool = False,
    links: bool = False,
) -> str:
    """The longest beginning that fits, with ``mark`` at its end; '' when nothing does.

    It ends at a word unless that leaves less than half, as in a script without blanks. ``sentences``: at the
    end of a sentence where that leaves a third, and then without the mark; ``links``: no link is cut in two.
    """

    def ended(end: int) -> str:
        return f"{text[:end].rstrip(f'{_LEADS_ON}.{_ELLIPSIS}' if mark else _LEADS_ON)}{mark}"

    signs = [match.end() for match in SIGN.finditer(text)]
    fitting = bisect_left(signs, 1, key=lambda end: int(not fits(ended(end))))
    end = signs[fitting - 1] if fitting else 0
    words = max((match.start() for match in _SPACE.finditer(text) if match.start() <= end), default=0)
    end = words if words * 2 >= end else end
    if links:
        end = next((link.start() for link in WEB_LINK.finditer(text) if link.start() < end < link.end()), end)
    if sentences:
        ends = [match.end() for match in SENTENCE_END.finditer(text)]
        whole = bisect_left(ends, 1, key=lambda end: int(not fits(text[:end])))
        if whole and ends[whole - 1] * 3 >= end:
            return text[: ends[whole - 1]]
    return ended(end) if text[:end].strip() else ""


def shorten(text: str, most: int) -> str:
    """The text on one line, at most so many characters, with an ellipsis where it was cut."""
    return cut(_SPACE.sub(" ", text).strip(), most, mark=_ELLIPSIS)


def reaches(text: str, most: int) -> bool:
    """Whether a text was cut off at its bound of ``most`` characters.

    One that is longer was not, when it ends as a sentence does: its server enforces no bound.
    """
    near = NEAR if most >= PROSE else 0
    whole = SENTENCE_END.search(f"{text.rstrip()[-3:]} ")
    return len(text) == most or (not whole and len(text) >= most - near)


def uncut(text: str, most: int, *, phrases: bool = False) -> str:
    """The text without what a bound of ``most`` characters cut off; '' when nothing whole is left.

    A server that enforces the bound ends a text in the middle of a word, or with a full stop in the last
    place that there is. Of a text that was cut off, its whole sentences are left. ``phrases``: of a title,
    the part before its last colon, dash or comma will do.
    """
    if not reaches(text, most):
        return text.strip()
    least = min(most // 3, SHORTEST)
    ends = [match.end() for match in SENTENCE_END.finditer(text) if match.end() < len(text)]
    if not ends and SENTENCE_END.search(f"{text[-3:]} "):
        return text.strip()
    if phrases and not (ends and ends[-1] >= least):
        ends = [match.start() for match in _PHRASE_END.finditer(text)]
    if ends and ends[-1] >= least:
        return text[: ends[-1]].strip()
    # No server ends a text beyond the bound that it enforces: a title that is somewhat long is whole.
    return text.strip() if phrases and most < len(text) <= 2 * most else ""


def in_sentences(text: str, most: int) -> str:
    """The text, at most ``most`` characters: its whole sentences, or else words with an ellipsis."""
    text = text.strip()
    if len(text) <= most:
        return text
    return beginning(text[: FAR * most], lambda part: len(part) <= most, sentences=True)
