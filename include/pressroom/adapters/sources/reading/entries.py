"""Reads JSON documents: dotted paths say where an entry has each field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pressroom.adapters.http.stranger_answer import Fetched, shown
from pressroom.domain.errors import PermanentError
from pressroom.domain.fetching import FieldPaths, JsonFetch
from pressroom.domain.markup.html import from_text, images_of, line_of, sanitize, text_of
from pressroom.domain.outside import web_url
from pressroom.domain.packets import TITLE_CHARS, SourceItem, source_item

MOST_ENTRIES = 5_000


def read_entries(source: JsonFetch, fetched: Fetched) -> list[SourceItem]:
    """The entries of a document. Raises PermanentError when it is not as described."""
    where = shown(source.url)
    document = parse(fetched.text, where)
    entries = dig(document, source.items) if source.items else document
    if not isinstance(entries, list):
        place = f"{source.items!r}" if source.items else "the document"
        actual = "nothing" if entries is None else type(entries).__name__
        raise PermanentError(f"{where}: {place} should be a list of entries and is {actual}: see items")
    return [
        item_of(entry, source.fields, source.extra, base=fetched.url)
        for entry in entries[:MOST_ENTRIES]
        if isinstance(entry, dict)
    ]


def parse(text: str, where: str) -> Any:
    """A JSON document; NaN and infinities are null. Raises PermanentError."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        raise PermanentError(
            f"{where}: this is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except (ValueError, RecursionError) as error:
        raise PermanentError(f"{where}: this JSON cannot be read: {type(error).__name__}") from None


def dig(document: Any, path: str | None) -> Any:
    """The value at a path such as ``data.items.0``. None when the document lacks it."""
    if path is None:
        return None
    for name in path.split("."):
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


def item_of(
    entry: Mapping[str, Any], paths: FieldPaths, extra: Mapping[str, str] | None = None, *, base: str = ""
) -> SourceItem:
    """One entry as an item. ``base``: the base of its relative URLs."""
    url = web_url(_text(dig(entry, paths.url)), base)
    markup = _text(dig(entry, paths.html))
    html = sanitize(markup, base=url or base)
    text = _text(dig(entry, paths.text))
    return source_item(
        _text(dig(entry, paths.id)) or url,
        url=url,
        title=line_of(_text(dig(entry, paths.title)), TITLE_CHARS),
        text=text or text_of(html),
        html=html or sanitize(from_text(text)),
        published_at=dig(entry, paths.published_at),
        author=_text(dig(entry, paths.author)),
        tags=_texts(dig(entry, paths.tags)),
        images=[
            *(web_url(image, base) for image in _texts(dig(entry, paths.image), comma=False)),
            *images_of(markup, base=url or base),
        ],
        language=_text(dig(entry, paths.language)),
        extra={name: dig(entry, path) for name, path in (extra or {}).items()},
    )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _texts(value: Any, *, comma: bool = True) -> list[str]:
    if isinstance(value, list):
        return [_text(item) for item in value[:100]]
    text = _text(value)
    return text.split(",")[:100] if comma else [text]
