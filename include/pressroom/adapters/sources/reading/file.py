"""Reads files: text, Markdown, HTML and JSON."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pressroom.adapters.http.bodies import decode
from pressroom.adapters.sources.reading import entries
from pressroom.domain.errors import PermanentError
from pressroom.domain.fetching import FieldPaths, FileEntry
from pressroom.domain.markup.html import from_text, images_of, line_of, sanitize, text_of
from pressroom.domain.packets import TITLE_CHARS, SourceItem, source_item

_MARKDOWN = {".md", ".markdown"}
_HTML = {".html", ".htm"}
KINDS = {".txt", ".json"} | _MARKDOWN | _HTML
_JSON = FieldPaths(id=None, html="html", author="author", tags="tags", image="image", language="language")
_FRONT = re.compile(r"\A---[ \t]*\n(.{0,5000}?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_LINE = re.compile(r"^(title|date|author|language|tags):[ \t]*(.+)$", re.MULTILINE)
_HEADING = re.compile(r"\A#[ \t]+([^\n]+)")
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,1000})", re.IGNORECASE)


def read_file(entry: FileEntry, body: bytes, source_id: str) -> list[SourceItem]:
    """A file as one item. Raises PermanentError when it holds no text."""
    text = decode(body)
    kind = kind_of(entry)
    if kind == ".json":
        item = _from_json(text, entry, source_id)
    elif kind in _HTML:
        item = _from_html(text, entry, source_id)
    else:
        item = _from_text(text, entry, source_id, marked=kind in _MARKDOWN)
    if not item.text:
        raise PermanentError(f"the file {entry.name[:200]!r} holds no text")
    return [item]


def _from_json(text: str, entry: FileEntry, source_id: str) -> SourceItem:
    document = entries.parse(text, f"the file {entry.name[:200]!r}")
    if not isinstance(document, dict):
        raise PermanentError(f"the file {entry.name[:200]!r} should hold one JSON object with title and text")
    item = entries.item_of(document, _JSON)
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


def kind_of(entry: FileEntry) -> str:
    """How its name ends, in lower case."""
    return PurePosixPath(entry.name).suffix.lower()


def _stem(entry: FileEntry) -> str:
    return PurePosixPath(entry.name).stem.replace("-", " ").replace("_", " ")
