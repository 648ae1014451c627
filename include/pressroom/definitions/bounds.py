"""How much a definition may hold, looked at before anything reads its values.

A text of a megabyte is cheap to refuse and expensive to parse: as a cron expression, as a template, as a
pattern's subject. So lengths come first, whatever the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pressroom.domain.text import storable

LONGEST_TEXT = 20_000
LONGEST_KEY = 200
MOST_ENTRIES = 50_000
"""Entries of one list or mapping."""
MOST_BITS = 64
"""Of a whole number."""
MOST_CHARS = 1_500_000
"""Characters of all texts and keys together. A mission with 50 sources of full length has a million."""

Place = tuple[int | str, ...]


def too_large(data: Any) -> Iterator[tuple[Place, str]]:
    """(place, reason) of each value that is too large, and of the whole when its texts are too many."""
    chars = 0
    stack: list[tuple[Place, Any]] = [((), data)]
    seen: set[int] = set()
    while stack:
        place, value = stack.pop()
        if isinstance(value, Mapping | list):
            if id(value) in seen:  # a YAML alias: its target may stand in a file a million times
                continue
            seen.add(id(value))
        reason = _why(value)
        if reason:
            yield place, reason
        elif isinstance(value, str):
            chars += len(value)
        elif isinstance(value, Mapping):
            chars += sum(len(str(key)) for key in value)
            stack += [((*place, key), entry) for key, entry in value.items()]
        elif isinstance(value, list):
            stack += [((*place, number), entry) for number, entry in enumerate(value)]
    if chars > MOST_CHARS:
        yield (), f"has {chars} characters of text: {MOST_CHARS} at most"


def _why(value: Any) -> str:
    """Why a value is too large, whatever it holds; '' when it is not."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"has {len(value)} characters: {LONGEST_TEXT} at most"
    if isinstance(value, str) and storable(value) != value:
        return "has a character that no text can hold"
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return "is too large a number"
    if isinstance(value, Mapping | list) and len(value) > MOST_ENTRIES:
        return f"has {len(value)} entries: {MOST_ENTRIES} at most"
    if isinstance(value, Mapping) and any(len(str(key)) > LONGEST_KEY for key in value):
        return f"has a key of more than {LONGEST_KEY} characters"
    return ""
