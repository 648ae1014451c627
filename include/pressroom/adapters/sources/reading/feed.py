"""Reads feeds: RSS of every version, Atom, JSON Feed. ``feedparser`` only parses."""

from __future__ import annotations

import io
import re
from calendar import timegm
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import feedparser  # type: ignore[import-untyped]

from pressroom.adapters.http.stranger_answer import Fetched, shown
from pressroom.adapters.sources.reading import entries as entries_of_json
from pressroom.adapters.sources.reading.limits import refuse_crowded_tags
from pressroom.domain.errors import PermanentError
from pressroom.domain.fetching import FieldPaths
from pressroom.domain.markup.html import from_text, images_of, line_of, sanitize, text_of
from pressroom.domain.outside import clean_line, web_url
from pressroom.domain.packets import TITLE_CHARS, SourceItem, source_item

_JSON_FEED = FieldPaths(
    text="content_text",
    html="content_html",
    published_at="date_published",
    author="authors.0.name",
    tags="tags",
    image="image",
    language="language",
)
_ROOT = re.compile(r"<\w")
_ENDED = re.compile(r"</\s*(?:\w+:)?(?:rss|feed|rdf)\s*>\s*\Z", re.IGNORECASE)
_LONGEST_HEAD = 16_384
"""The most characters before the first element: feedparser's time grows with the square of the blank
lines.
"""


def read_feed(fetched: Fetched) -> list[SourceItem]:
    """The entries of a feed, in its order. A feed that is cut off gives its whole entries."""
    where = shown(fetched.url)
    text = fetched.text.strip()
    if text.startswith("{"):
        return _json_feed(text, fetched, where)
    root = _ROOT.search(text)
    if root is None or root.start() > _LONGEST_HEAD:
        raise PermanentError(f"{where}: this is not a feed: it has no XML element where one is expected")
    refuse_crowded_tags(text, where)
    feed = _parsed(text, fetched.url, where)
    entries = feed["entries"]
    if not entries:
        wrong = clean_line(str(feed.get("bozo_exception") or ""), 200) if feed.get("bozo") else ""
        if wrong or not feed.get("version"):
            raise PermanentError(f"{where}: this is not a feed{f': {wrong}' if wrong else ''}")
    if feed.get("bozo") and not _ENDED.search(text[-100:]):
        entries = entries[:-1]  # the last entry is cut off, and the whole one would get another id
    about = feed["feed"]
    atom = str(feed.get("version")).startswith("atom")
    return [_item(entry, about, fetched.url, atom=atom) for entry in entries[: entries_of_json.MOST_ENTRIES]]


def _parsed(text: str, url: str, where: str) -> Mapping[str, Any]:
    # A stream, because feedparser may take text or bytes for an address or a file name and open it. The
    # header's encoding wins over the one that the document declares.
    headers = {"content-type": "application/xml; charset=utf-8", "content-location": url}
    try:
        parsed: Mapping[str, Any] = feedparser.parse(
            io.BytesIO(text.encode("utf-8", "replace")),
            response_headers=headers,
            resolve_relative_uris=False,
            sanitize_html=False,
        )
    except MemoryError:
        raise  # the limit's verdict, and not the parser's
    except Exception as error:  # noqa: BLE001  any failure of its parsers is this feed's fault
        raise PermanentError(f"{where}: this feed cannot be read: {type(error).__name__}") from None
    return parsed


def _item(entry: Any, about: Any, base: str, *, atom: bool) -> SourceItem:
    url = web_url(entry.get("link"), base)
    detail = _content(entry)
    markup, inner = str(detail.get("value") or ""), web_url(detail.get("base")) or url or base
    if detail.get("type") == "text/plain":
        markup = from_text(markup)
    html = sanitize(markup, base=inner)
    return source_item(
        str(entry.get("id") or "") or url,
        url=url,
        title=_title(entry, atom=atom),
        text=text_of(html),
        html=html,
        published_at=_date(entry),
        author=line_of(str(entry.get("author") or ""), 200),
        tags=[str(tag.get("label") or tag.get("term") or "") for tag in entry.get("tags") or []],
        images=[*_media(entry, base), *images_of(markup, base=inner)],
        language=about.get("language"),
        extra={"feed": line_of(str(about.get("title") or ""), TITLE_CHARS)},
    )


def _content(entry: Any) -> Mapping[str, Any]:
    """The full text when the feed has it, else the summary."""
    full = [content for content in entry.get("content") or [] if content.get("value")]
    best = next(
        (content for content in full if "html" in str(content.get("type"))), full[0] if full else None
    )
    return best or entry.get("summary_detail") or {}


def _title(entry: Any, *, atom: bool) -> str:
    title = str(entry.get("title") or "")
    # Atom says whether a title is plain text. RSS does not, and tags in a title are hardly ever its subject.
    plain = atom and (entry.get("title_detail") or {}).get("type") == "text/plain"
    return clean_line(title, TITLE_CHARS) if plain else line_of(title, TITLE_CHARS)


def _date(entry: Any) -> datetime | str | None:
    # dict.get: feedparser's own get substitutes one of these for the other, with a warning.
    for name in ("published", "updated", "created"):
        parsed = dict.get(entry, f"{name}_parsed")
        if parsed:
            try:
                return datetime.fromtimestamp(timegm(parsed), UTC)
            except (ValueError, OverflowError, OSError):
                continue
        written = dict.get(entry, name)
        if written:
            return str(written)
    return None


def _media(entry: Any, base: str) -> Iterable[str]:
    for media in entry.get("media_content") or []:
        if media.get("medium") == "image" or str(media.get("type") or "image/").startswith("image/"):
            yield web_url(media.get("url"), base)
    for media in entry.get("media_thumbnail") or []:
        yield web_url(media.get("url"), base)
    for media in entry.get("enclosures") or []:
        if str(media.get("type") or "").startswith("image/"):
            yield web_url(media.get("href"), base)


def _json_feed(text: str, fetched: Fetched, where: str) -> list[SourceItem]:
    document = entries_of_json.parse(text, where)
    entries = document.get("items")
    if "jsonfeed.org/version" not in str(document.get("version")) or not isinstance(entries, list):
        raise PermanentError(f"{where}: this JSON is not a JSON Feed: use a source of type json")
    about = {"language": document.get("language"), "feed": document.get("title")}
    return [
        entries_of_json.item_of({**about, **entry}, _JSON_FEED, {"feed": "feed"}, base=fetched.url)
        for entry in entries[: entries_of_json.MOST_ENTRIES]
        if isinstance(entry, dict)
    ]
