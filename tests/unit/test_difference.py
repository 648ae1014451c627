"""The difference of two texts: what it takes is bounded, and no script's words are torn."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

import pytest

from pressroom.domain.markup.difference import MOST_PAIRS, ComparedBlock, difference


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pairs that each search for the longest common part looks at. Fails before there are too many."""
    looks: list[int] = []
    longest = SequenceMatcher.find_longest_match

    def counted(self: Any, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Any:
        looks.append(sum(len(self.b2j.get(part, ())) for part in self.a[alo:ahi]))
        assert sum(looks) <= MOST_PAIRS
        return longest(self, alo, ahi, blo, bhi)

    monkeypatch.setattr(SequenceMatcher, "find_longest_match", counted)
    return looks


def sides(blocks: list[ComparedBlock]) -> tuple[str, str]:
    """The two texts that a difference shows."""
    passages = [each for block in blocks for each in block.passages]
    return (
        "".join(each.text for each in passages if each.change != "added"),
        "".join(each.text for each in passages if each.change != "removed"),
    )


def many(word: str, count: int) -> str:
    return " ".join(f"{word}{number}" for number in range(count))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["a"] * 25_000, ["a"] * 24_999 + ["b"]),
        (["a", "b"] * 6_000, ["b", "c", "a"] * 4_000),
        (["a " * 5_000], ["a " * 4_000 + "b"]),
        (["a b " * 2_000] * 5, ["b a " * 2_000] * 5),
        ([f"the {each} " * 500 for each in "abcdef"], [f"the {each} " * 500 for each in "uvwxyz"]),
        ([many("a, ", 2_000)], [many("b, ", 2_000)]),
    ],
)
def test_a_comparison_looks_at_so_many_pairs_and_shows_both_texts(
    pairs: list[int], before: list[str], after: list[str]
) -> None:
    blocks = difference(before, after)
    assert sides(blocks) == ("".join(before), "".join(after))
    assert any(block.changed for block in blocks)
    assert sum(pairs) <= MOST_PAIRS


def test_blocks_that_are_too_many_to_compare_are_the_same_where_they_are(pairs: list[int]) -> None:
    blocks = difference(["a"] * 25_000, ["a"] * 24_999 + ["b"])
    assert [number for number, block in enumerate(blocks) if block.changed] == [24_999]
    assert not any(block.changed for block in difference(["a"] * 25_000, ["a"] * 25_000))


def test_a_paragraph_that_was_written_again_is_shown_as_replaced(pairs: list[int]) -> None:
    [block] = difference([many("a", 1_000)], [many("b", 1_000)])
    assert [each.change for each in block.passages] == ["removed", "added"]
    assert sum(pairs) < 1_000


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("हिन्दी भाषा", "हिन्दू भाषा", ("हिन्दी", "हिन्दू")),  # Devanagari: signs belong to their word
        ("தமிழ் மொழி", "தமிழ் மொழிகள்", ("மொழி", "மொழிகள்")),
        ("ສະບາຍດີ", "ສະບາຍດູ", ("ດີ", "ດູ")),  # Lao
        ("សួស្តី", "សួស្តា", ("តី", "តា")),  # Khmer
        ("မြန်မာ", "မြန်မီ", ("မာ", "မီ")),  # Myanmar
        ("สวัสดี", "สวัสดู", ("ดี", "ดู")),
        ("東京都", "東京府", ("都", "府")),
        ("naïve cafe\u0301", "naïve cafe", ("cafe\u0301", "cafe")),
    ],
)
def test_a_word_keeps_its_signs(before: str, after: str, changed: tuple[str, str]) -> None:
    [block] = difference([before], [after])
    removed = "".join(each.text for each in block.passages if each.change == "removed")
    added = "".join(each.text for each in block.passages if each.change == "added")
    assert (removed, added) == changed
    assert sides([block]) == (before, after)
