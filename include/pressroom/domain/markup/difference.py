"""The difference of two texts, word by word, to be read by people.

Blocks (paragraphs, headings) are compared first, and words only within blocks that were changed, so that the
time stays bounded: a block of more than ``MOST_WORDS`` words is shown as replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

MOST_WORDS = 1500
Change = Literal["same", "added", "removed"]
# A script without spaces has a word for each of its characters.
_WORD = re.compile(
    r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|\s+|\w+|[^\w\s]"
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


def _blocks(before: Sequence[str], after: Sequence[str]) -> Iterator[ComparedBlock]:
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from (ComparedBlock((Passage("same", block),)) for block in after[c:d])
            continue
        old, new = list(before[a:b]), list(after[c:d])
        for was, now in zip(old, new, strict=False):
            yield ComparedBlock(tuple(_words(was, now)))
        yield from (ComparedBlock((Passage("removed", block),)) for block in old[len(new) :])
        yield from (ComparedBlock((Passage("added", block),)) for block in new[len(old) :])


def _words(before: str, after: str) -> Iterator[Passage]:
    old, new = _WORD.findall(before), _WORD.findall(after)
    if len(old) > MOST_WORDS or len(new) > MOST_WORDS:
        yield from (Passage("removed", before), Passage("added", after))
        return
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Passage("same", "".join(new[c:d]))
            continue
        if b > a:
            yield Passage("removed", "".join(old[a:b]))
        if d > c:
            yield Passage("added", "".join(new[c:d]))
