"""Keyword lists → rows of a site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pressroom.definitions import keywords_csv
from pressroom.definitions.keywords_csv import BadRow
from pressroom.store.database import Tx

BATCH_ROWS = 500


@dataclass(frozen=True)
class ImportReport:
    """What became of a file's rows. ``duplicates``: in the file and against what the site had."""

    added: int
    duplicates: int
    bad: Sequence[BadRow]
    encoding: str
    ignored_columns: Sequence[str]


def import_keywords(tx: Tx, site_id: int, data: bytes, name: str = "file") -> ImportReport:
    """Add a list's keywords to the site, in the account's transaction: all of its good rows or none.

    Raises DefinitionError when the file cannot be understood.
    """
    parsed = keywords_csv.parse(data, name)
    added = 0
    for start in range(0, len(parsed.rows), BATCH_ROWS):
        added += tx.many(
            "import_keyword",
            [
                {
                    "site": site_id,
                    "text": row.text,
                    "normalized": row.normalized,
                    "volume": row.volume,
                    "difficulty": row.difficulty,
                    "intent": row.intent,
                }
                for row in parsed.rows[start : start + BATCH_ROWS]
            ],
        )
    old = len(parsed.rows) - added
    return ImportReport(added, parsed.duplicates + old, parsed.bad, parsed.encoding, parsed.ignored_columns)
