"""A keyword list, ready to be stored: read where lists are large, in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pressroom.bounded.process import BoundedProcess, CallLimits
from pressroom.definitions.keywords_csv import BadRow, KeywordRow, parse
from pressroom.domain.errors import DefinitionError, TooMuch

CHUNK_ROWS = 1000
"""Rows of one transaction."""
SHOWN_ROWS = 20
MOST_BAD = 1000
"""Refused rows that are named."""
READ = "pressroom.definitions.keyword_lists:list_data"
LIMITS = CallLimits(cpu_seconds=30, seconds=240, memory_bytes=2 << 30, answer_bytes=128 << 20)
"""Of a list as large as a body of the API may be: 600,000 short keywords."""


@dataclass(frozen=True)
class KeywordList:
    """A list's rows. ``chunks``: each a JSON array of at most CHUNK_ROWS rows, which are arrays of text,
    normalized text, volume, difficulty and intent, in the order of the second; ``rows``: how many there are
    in all. ``bad``: the first refused ones of ``bad_rows``. ``duplicates``: rows with a keyword from before.
    ``columns``: those that are read; ``first``: the first good rows as they stand in the list, each with
    line, text, volume, difficulty and intent.
    """

    chunks: Sequence[str]
    rows: int
    bad: Sequence[BadRow]
    bad_rows: int
    duplicates: int
    encoding: str
    ignored_columns: Sequence[str]
    columns: Sequence[str]
    first: Sequence[Mapping[str, Any]]

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> KeywordList:
        """The reverse of ``list_data``. Raises DefinitionError when the list cannot be understood."""
        if "problems" in data:
            raise DefinitionError(data["problems"])
        return cls(**data | {"bad": [BadRow(**each) for each in data["bad"]]})


def read_list(data: bytes, name: str = "file") -> KeywordList:
    """Read a keyword list. Raises DefinitionError when it cannot be understood."""
    parsed = parse(data, name)
    # In order, so that two imports of the same keywords do not wait for each other.
    ordered = sorted(parsed.rows, key=lambda row: row.normalized)
    rows = [(each.text, each.normalized, each.volume, each.difficulty, each.intent) for each in ordered]
    chunks = [
        json.dumps(rows[start : start + CHUNK_ROWS], default=str) for start in range(0, len(rows), CHUNK_ROWS)
    ]
    return KeywordList(
        chunks, len(rows), parsed.bad[:MOST_BAD], len(parsed.bad), parsed.duplicates, parsed.encoding,
        parsed.ignored_columns, parsed.columns, [_shown(each) for each in parsed.rows[:SHOWN_ROWS]],
    )  # fmt: skip


def _shown(row: KeywordRow) -> dict[str, Any]:
    difficulty = None if row.difficulty is None else str(row.difficulty)
    return {
        "line": row.line, "text": row.text, "volume": row.volume, "difficulty": difficulty,
        "intent": row.intent,
    }  # fmt: skip


def list_data(data: bytes, name: str) -> dict[str, Any]:
    """As ``read_list``, for a process with limits: as JSON, ``problems`` when it cannot be understood.

    A chunk is one text there, so that whoever asks reads no rows.
    """
    try:
        return asdict(read_list(data, name))
    except DefinitionError as error:
        return {"problems": list(error.problems)}


class ListReader:
    """Reads lists that others wrote, in a process with limits."""

    def __init__(self) -> None:
        self._process = BoundedProcess(gives_way=True)

    async def read(self, data: bytes, name: str) -> KeywordList:
        """As ``read_list``. Raises DefinitionError when it takes too much as well."""
        try:
            answer = await self._process.call(READ, data, name, limits=LIMITS)
        except TooMuch as error:
            raise DefinitionError([f"{name}: {error}: split the list"]) from None
        return KeywordList.from_data(answer)
