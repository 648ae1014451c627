"""Keyword lists → rows of a site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pressroom.definitions import keywords_csv
from pressroom.definitions.keywords_csv import BadRow, KeywordRow, ParsedKeywords
from pressroom.store.database import Store, Tx
from pressroom.store.quotas import must_have_room

CHUNK_ROWS = 1000
"""Rows of one transaction, and of one round trip."""


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

    Raises DefinitionError when the file cannot be understood, QuotaExceeded when the account would have too
    many keywords.
    """
    parsed = keywords_csv.parse(data, name)
    added = sum(_add(tx, site_id, chunk) for chunk in _chunks(parsed.rows))
    must_have_room(tx, "keywords")
    return _report(parsed, added)


def import_in_chunks(
    store: Store,
    account: int,
    site_id: int,
    data: bytes,
    name: str = "file",
    *,
    begin: Callable[[Tx], None] = lambda tx: None,
) -> ImportReport:
    """Add a list's keywords to the site, each chunk in a transaction: no connection is held over the whole.

    What was added stays when the import is cut off. The same list, sent again, goes on where it was: what
    the site has by then counts as duplicates. ``begin``: more work in the first transaction, before its rows.
    Raises as ``import_keywords``, QuotaExceeded with what was added before in place.
    """
    parsed = keywords_csv.parse(data, name)
    with store.transaction(account) as tx:
        begin(tx)
        room = must_have_room(tx, "keywords")
    added = 0
    for chunk in _chunks(parsed.rows):
        with store.transaction(account) as tx:
            added += _add(tx, site_id, chunk)
            if added > room:  # others may have taken rooms away, too: counted again, for the error
                must_have_room(tx, "keywords")
    return _report(parsed, added)


def _chunks(rows: Sequence[KeywordRow]) -> list[Sequence[KeywordRow]]:
    return [rows[start : start + CHUNK_ROWS] for start in range(0, len(rows), CHUNK_ROWS)]


def _add(tx: Tx, site_id: int, rows: Sequence[KeywordRow]) -> int:
    # In order, so that two imports of the same keywords do not wait for each other.
    ordered = sorted(rows, key=lambda row: row.normalized)
    return tx.many(
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
            for row in ordered
        ],
    )


def _report(parsed: ParsedKeywords, added: int) -> ImportReport:
    old = len(parsed.rows) - added
    return ImportReport(added, parsed.duplicates + old, parsed.bad, parsed.encoding, parsed.ignored_columns)
