"""Files as source items: text, Markdown, HTML and JSON below a folder.

Needs: a folder below one of the operator's file roots. A file that cannot be read is skipped with a warning;
when no file can be read, that is a PermanentError. A folder outside the roots is a wrong set-up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from pressroom.adapters.sources.bounded_reading import items_of
from pressroom.adapters.sources.reading.file import KINDS, kind_of
from pressroom.domain.errors import PermanentError
from pressroom.domain.fetching import FileEntry, FilesFetch, FileSource
from pressroom.domain.packets import (
    FindClaimed,
    SourceItem,
    newest_unclaimed,
    nothing_claimed,
    source_item,
    stable_id,
)

MOST_BYTES = 1_000_000
_MOST_FILES = 10_000

log = logging.getLogger(__name__)


async def fetch(
    source: FilesFetch, files: FileSource, find_claimed: FindClaimed = nothing_claimed
) -> Sequence[SourceItem]:
    """The newest files that are not claimed. A file that cannot be read is skipped with a warning.

    Raises PermanentError when no file can be read.
    """
    entries = await asyncio.to_thread(files.entries)
    listed = {
        _id(entry, changes=source.changes): entry for entry in entries[:_MOST_FILES] if _fits(entry, source)
    }
    names = [
        source_item(key, title=entry.name, published_at=entry.modified)
        for key, entry in sorted(listed.items())
    ]
    items: list[SourceItem] = []
    failed: list[PermanentError] = []
    for name in await newest_unclaimed(names, len(names), find_claimed):
        if len(items) == source.cap:
            break
        try:
            items.append(await _read(listed[name.source_id], files, name.source_id))
        except PermanentError as error:
            log.warning("%s", error)
            failed.append(error)
    if failed and not items:
        raise failed[0]
    return items


async def _read(entry: FileEntry, files: FileSource, source_id: str) -> SourceItem:
    if entry.size > MOST_BYTES:
        raise PermanentError(f"the file {entry.name[:200]!r} is larger than {MOST_BYTES:,} bytes")
    body = await asyncio.to_thread(files.read, entry.name, MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise PermanentError(f"the file {entry.name[:200]!r} is larger than {MOST_BYTES:,} bytes")
    [item] = await items_of("file:read_file", f"the file {entry.name[:200]!r}", entry, body, source_id)
    return item


def _fits(entry: FileEntry, source: FilesFetch) -> bool:
    hidden = any(part.startswith(".") for part in entry.name.split("/"))
    return (
        entry.is_below and not hidden and kind_of(entry) in KINDS and fnmatchcase(entry.name, source.pattern)
    )


def _id(entry: FileEntry, *, changes: bool) -> str:
    """The source id of a file: its name, with ``changes`` also the time at which it was modified."""
    at = f"@{entry.modified.isoformat()}" if changes and entry.modified else ""
    return stable_id(f"{entry.name}{at}")
