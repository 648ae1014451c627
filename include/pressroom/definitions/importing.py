"""Keyword lists → rows of a site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.definitions.keyword_lists import KeywordList
from pressroom.definitions.keywords_csv import BadRow
from pressroom.engine.audit import Note
from pressroom.store.database import Store, Tx
from pressroom.store.quotas import must_have_room


@dataclass(frozen=True)
class ImportReport:
    """What became of a list's rows. ``duplicates``: in the list and against what the site had; ``bad``: the
    first of ``bad_rows``.
    """

    added: int
    duplicates: int
    bad: Sequence[BadRow]
    bad_rows: int
    encoding: str
    ignored_columns: Sequence[str]


def import_keywords(
    store: Store, account: int, site_id: int, listed: KeywordList, note: Note, **details: Any
) -> ImportReport:
    """Add a list's keywords to the site, each chunk in a transaction: no connection is held over the whole.

    What was added stays when the import is cut off. The same list, imported again, goes on where it was: what
    the site has by then counts as duplicates. It is on record when it begins, with ``details``, and when it
    has ended. Raises QuotaExceeded when the account would have too many keywords, with what was added before
    in place.
    """
    site = f"site:{site_id}"
    with store.transaction(account) as tx:
        note(tx, "keyword.import", site, before=_keywords(tx, site_id), after=None, **details)
        room = must_have_room(tx, "keywords")
    added = 0
    for chunk in listed.chunks:
        with store.transaction(account) as tx:
            added += _add(tx, site_id, chunk)
            if added > room:  # others may have taken rooms away, too: counted again, for the error
                must_have_room(tx, "keywords")
    with store.transaction(account) as tx:
        note(tx, "keyword.imported", site, before=None, after=_keywords(tx, site_id), added=added)
    return ImportReport(
        added, listed.duplicates + listed.rows - added, listed.bad, listed.bad_rows, listed.encoding,
        listed.ignored_columns,
    )  # fmt: skip


def _keywords(tx: Tx, site_id: int) -> dict[str, int]:
    return {"keywords": tx.value("site_keywords", site=site_id)}


def _add(tx: Tx, site_id: int, chunk: str) -> int:
    return tx.run("import_keywords", site=site_id, rows=chunk)
