"""Files as source items: text, Markdown, HTML and JSON below a folder.

Needs: a folder below one of the operator's file roots. A file that cannot be read is skipped with a warning;
when no file can be read, that is a PermanentError. A folder outside the roots is a wrong set-up.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from pressroom.adapters.http.bodies import decode
from pressroom.adapters.sources import json_api as fetch_json
from pressroom.domain.errors import PermanentError
from pressroom.domain.fetching import FieldPaths, FileEntry, FilesFetch, FileSource
from pressroom.domain.markup.html import from_text, images_of, line_of, sanitize, text_of
from pressroom.domain.packets import (
    TITLE_CHARS,
    FindClaimed,
    SourceItem,
    newest_unclaimed,
    nothing_claimed,
    source_item,
    stable_id,
)

MOST_BYTES = 1_000_000
_MOST_FILES = 10_000
_MARKDOWN = {".md", ".markdown"}
_HTML = {".html", ".htm"}
_KINDS = {".txt", ".json"} | _MARKDOWN | _HTML
_JSON = FieldPaths(id=None, html="html", author="author", tags="tags", image="image", language="language")
_FRONT = re.compile(r"\A---[ \t]*\n(.{0,5000}?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_LINE = re.compile(r"^(title|date|author|language|tags):[ \t]*(.+)$", re.MULTILINE)
_HEADING = re.compile(r"\A#[ \t]+([^\n]+)")
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,1000})", re.IGNORECASE)

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
            items.append(await asyncio.to_thread(_read, listed[name.source_id], files, name.source_id))
        except PermanentError as error:
            log.warning("%s", error)
            failed.append(error)
    if failed and not items:
        raise failed[0]
    return items


def _read(entry: FileEntry, files: FileSource, source_id: str) -> SourceItem:
    if entry.size > MOST_BYTES:
        raise PermanentError(f"the file {entry.name[:200]!r} is larger than {MOST_BYTES:,} bytes")
    body = files.read(entry.name, MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise PermanentError(f"the file {entry.name[:200]!r} is larger than {MOST_BYTES:,} bytes")
    text = decode(body)
    kind = _kind(entry)
    if kind == ".json":
        item = _from_json(text, entry, source_id)
    elif kind in _HTML:
        item = _from_html(text, entry, source_id)
    else:
        item = _from_text(text, entry, source_id, marked=kind in _MARKDOWN)
    if not item.text:
        raise PermanentError(f"the file {entry.name[:200]!r} holds no text")
    return item


def _from_json(text: str, entry: FileEntry, source_id: str) -> SourceItem:
    document = fetch_json.parse(text, f"the file {entry.name[:200]!r}")
    if not isinstance(document, dict):
        raise PermanentError(f"the file {entry.name[:200]!r} should hold one JSON object with title and text")
    item = fetch_json.item_of(document, _JSON)
    facts = {"source_id": source_id, "published_at": item.published_at or entry.modified}
    return SourceItem(**{**vars(item), **facts, "title": item.title or _stem(entry)})


def _from_html(text: str, entry: FileEntry, source_id: str) -> SourceItem:
    title = _TITLE.search(text)
    html = sanitize(text)
    return source_item(
        source_id,
        title=line_of(title.group(1), TITLE_CHARS) if title else _stem(entry),
        text=text_of(html),
        html=html,
        images=images_of(text),
        published_at=entry.modified,
    )


def _from_text(text: str, entry: FileEntry, source_id: str, *, marked: bool) -> SourceItem:
    text = text.replace("\r\n", "\n")
    front: dict[str, str] = {}
    if marked:
        matter = _FRONT.match(text)
        if matter:
            front = {name: value.strip(" \t\"'") for name, value in _FRONT_LINE.findall(matter.group(1))}
            text = text[matter.end() :]
    heading = _HEADING.match(text.lstrip()) if marked else None
    return source_item(
        source_id,
        title=front.get("title") or (heading.group(1) if heading else "") or _stem(entry),
        text=text,
        html=sanitize(from_text(text)),
        published_at=front.get("date") or entry.modified,
        author=front.get("author", ""),
        tags=[tag.strip(" \"'") for tag in front.get("tags", "").strip("[]").split(",")],
        language=front.get("language", ""),
    )


def _fits(entry: FileEntry, source: FilesFetch) -> bool:
    hidden = any(part.startswith(".") for part in entry.name.split("/"))
    return (
        entry.is_below and not hidden and _kind(entry) in _KINDS and fnmatchcase(entry.name, source.pattern)
    )


def _id(entry: FileEntry, *, changes: bool) -> str:
    """The source id of a file: its name, with ``changes`` also the time at which it was modified."""
    at = f"@{entry.modified.isoformat()}" if changes and entry.modified else ""
    return stable_id(f"{entry.name}{at}")


def _kind(entry: FileEntry) -> str:
    return PurePosixPath(entry.name).suffix.lower()


def _stem(entry: FileEntry) -> str:
    return PurePosixPath(entry.name).stem.replace("-", " ").replace("_", " ")
