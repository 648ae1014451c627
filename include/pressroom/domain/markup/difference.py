"""The difference of two texts, word by word, to be read by people.

Blocks (paragraphs, headings) are compared first, and words only within blocks that were changed. Comparing
looks at ``MOST_PAIRS`` pairs of equal blocks and words at most: what would take more is shown as replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import Match, SequenceMatcher
from typing import Literal

import regex

MOST_PAIRS = 5_000_000
"""About one second."""
Change = Literal["same", "added", "removed"]
# A script without spaces has a word for each of its characters, with its vowel signs.
_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*"
    r"|\s+|[\p{L}\p{N}\p{M}_]+|[^\s]"
)


@dataclass(frozen=True)
class Passage:
    """Some words in a row."""

    change: Change
    text: str


@dataclass(frozen=True)
class ComparedBlock:
    """A block of the two texts, in passages. ``changed``: whether any was added or removed."""

    passages: tuple[Passage, ...]

    @property
    def changed(self) -> bool:
        return any(passage.change != "same" for passage in self.passages)


def difference(before: Sequence[str], after: Sequence[str]) -> list[ComparedBlock]:
    """Compare two texts of blocks."""
    return list(_blocks([block for block in before if block], [block for block in after if block]))


class _Work:
    """The pairs that one comparison may still look at."""

    def __init__(self) -> None:
        self.left = MOST_PAIRS


class _BoundedMatcher(SequenceMatcher[str]):
    """Finds nothing in common where looking takes more work than is left. What is blank is no match by
    itself: it would cut texts with nothing else in common into their words.
    """

    def __init__(self, before: Sequence[str], after: Sequence[str], work: _Work) -> None:
        self._before, self._work = before, work
        self._times = Counter(part for part in after if not part.isspace())
        super().__init__(str.isspace, before, after, autojunk=False)

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> Match:
        pairs = sum(1 + self._times[part] for part in self._before[alo:ahi])
        if pairs > self._work.left:
            return Match(alo, blo, 0)
        self._work.left -= pairs
        return super().find_longest_match(alo, ahi, blo, bhi)


def _blocks(before: Sequence[str], after: Sequence[str]) -> Iterator[ComparedBlock]:
    work = _Work()
    for kind, a, b, c, d in _BoundedMatcher(before, after, work).get_opcodes():
        if kind == "equal":
            yield from (ComparedBlock((Passage("same", block),)) for block in after[c:d])
            continue
        old, new = list(before[a:b]), list(after[c:d])
        for was, now in zip(old, new, strict=False):
            yield ComparedBlock(tuple(_words(was, now, work)))
        yield from (ComparedBlock((Passage("removed", block),)) for block in old[len(new) :])
        yield from (ComparedBlock((Passage("added", block),)) for block in new[len(old) :])


def _words(before: str, after: str, work: _Work) -> Iterator[Passage]:
    if before == after:  # where the blocks were too many to be compared
        yield Passage("same", after)
        return
    old, new = _WORD.findall(before), _WORD.findall(after)
    for kind, a, b, c, d in _BoundedMatcher(old, new, work).get_opcodes():
        if kind == "equal":
            yield Passage("same", "".join(new[c:d]))
            continue
        if b > a:
            yield Passage("removed", "".join(old[a:b]))
        if d > c:
            yield Passage("added", "".join(new[c:d]))
