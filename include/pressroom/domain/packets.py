"""Source items, which flows work on. Every field is bounded before anything reads it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Protocol

from pressroom.domain.outside import (
    URL_CHARS,
    bounded_json,
    clean_line,
    clean_text,
    language_tag,
    moment,
    visible,
    web_url,
)

ID_CHARS = 500
TITLE_CHARS = 300
TEXT_CHARS = 100_000
HTML_CHARS = 200_000
NAME_CHARS = 200
TAG_CHARS = 60
MOST_TAGS = 30
MOST_IMAGES = 10
EXTRA_CHARS = 4_000

_SHARED = re.compile(r" #sha:[0-9a-f]{16}$")
_BEFORE_SHARED = ID_CHARS - 22


class KnownIds(frozenset[str]):
    """The source ids that a flow has claimed. ``refused``: those of items that failed for good before, and
    may be tried again; ``old``: what a source shows only in part and dates before this time was there when
    the flow began.
    """

    refused: frozenset[str] = frozenset()
    old: datetime | None = None

    @classmethod
    def of(cls, claimed: Iterable[str], refused: Iterable[str] = (), old: datetime | None = None) -> KnownIds:
        """What is known of a feed."""
        known = cls(claimed)
        known.refused, known.old = frozenset(refused), old
        return known


class FindClaimed(Protocol):
    """Returns which of these source ids the flow has claimed, best as ``KnownIds``. Called before the cap is
    applied. ``also``: other names under which the entries may have been claimed.
    """

    def __call__(self, ids: Sequence[str], also: Sequence[str] = ()) -> Awaitable[Collection[str]]: ...


async def nothing_claimed(ids: Sequence[str], also: Sequence[str] = ()) -> Collection[str]:
    """``FindClaimed`` of a flow that has not run yet."""
    del ids, also
    return ()


@dataclass(frozen=True)
class SourceItem:
    """One entry of a source. Made with ``source_item``; raises ValueError beyond the bounds above.

    ``source_id``: the same at every fetch. ``html``: sanitised, '' when the source has none.
    ``published_at``: aware, None when the source has no date. ``extra``: more fields, as JSON.
    """

    source_id: str
    url: str = ""
    title: str = ""
    text: str = ""
    html: str = ""
    published_at: datetime | None = None
    author: str = ""
    tags: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    language: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {
            "source_id": (self.source_id, ID_CHARS),
            "url": (self.url, URL_CHARS),
            "title": (self.title, TITLE_CHARS),
            "text": (self.text, TEXT_CHARS),
            "html": (self.html, HTML_CHARS),
            "author": (self.author, NAME_CHARS),
            "tags": (self.tags, MOST_TAGS),
            "images": (self.images, MOST_IMAGES),
        }
        over = [name for name, (value, most) in lengths.items() if len(value) > most]
        if over or not self.source_id:
            raise ValueError(f"a source item with {', '.join(over) or 'source_id'} out of bounds")
        if self.published_at is not None and self.published_at.tzinfo is None:
            raise ValueError("a source item's published_at has no time zone")

    @property
    def says_something(self) -> bool:
        """Whether it has a title, a text or a URL."""
        return bool(self.title or self.text or self.url)

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> SourceItem:
        """The item of what ``to_data`` gives."""
        at = data["published_at"]
        return cls(
            **{
                **data,
                "published_at": datetime.fromisoformat(at) if at else None,
                "tags": tuple(data["tags"]),
                "images": tuple(data["images"]),
            }
        )

    def to_data(self) -> dict[str, Any]:
        """The item as JSON for rows, packets and conditions, with its time as ISO 8601."""
        data = {member.name: getattr(self, member.name) for member in fields(self)}
        at = self.published_at
        return {
            **data,
            "published_at": at.isoformat() if at else None,
            "tags": list(self.tags),
            "images": list(self.images),
            "extra": dict(self.extra),
        }


def source_item(
    source_id: str,
    *,
    url: str = "",
    title: str = "",
    text: str = "",
    html: str = "",
    published_at: object = None,
    author: str = "",
    tags: Iterable[str] = (),
    images: Iterable[str] = (),
    language: object = "",
    extra: Mapping[str, Any] | None = None,
) -> SourceItem:
    """An item, cut to the bounds. ``html`` is sanitised and within its bound already.

    Without a ``source_id``, the id is a hash of the content.
    """
    url, title, text = web_url(url), clean_line(title, TITLE_CHARS), clean_text(text, TEXT_CHARS)
    return SourceItem(
        source_id=stable_id(source_id) or digest(url, title, text),
        url=url,
        title=title,
        text=text,
        html=html,
        published_at=moment(published_at),
        author=clean_line(author, NAME_CHARS),
        tags=_distinct((clean_line(tag, TAG_CHARS) for tag in tags), MOST_TAGS),
        images=_distinct((web_url(image) for image in images), MOST_IMAGES),
        language=language_tag(language),
        extra=_extra(extra or {}),
    )


def stable_id(text: str) -> str:
    """A source's id of an entry within bounds: a long id becomes its hash. '' stays ''."""
    line = " ".join(visible(text).split())
    return line if len(line) <= ID_CHARS else digest(line)


def digest(*parts: str) -> str:
    """An id that is a hash of the content."""
    return "sha256:" + hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()


def newest_first(items: Iterable[SourceItem], cap: int) -> list[SourceItem]:
    """The newest ``cap`` of the items. Items without a date come last; ties keep the source's order."""

    def age(item: SourceItem) -> tuple[bool, float]:
        at = item.published_at
        return (at is None, -at.timestamp() if at else 0.0)

    return sorted(items, key=age)[:cap]


async def newest_unclaimed(
    items: Iterable[SourceItem], cap: int, find_claimed: FindClaimed, *, whole: bool = True
) -> list[SourceItem]:
    """The newest ``cap`` of the items that are not claimed. ``whole``: these are all that the source shows.

    Items over the cap are not lost: once these are claimed, the next call returns the next ones. Items that
    were refused before come last, so they hold up no other. Entries that differ and have one id between them
    (``N/A``, the front page) are told apart by their address and title, too.
    """
    telling = [item for item in items if item.says_something]
    shared = _shared([*telling])
    distinct: dict[str, SourceItem] = {}
    for item in telling:
        own = shared_id(item) if item.source_id in shared else item.source_id
        distinct.setdefault(own, replace(item, source_id=own))
    # An entry whose id is nobody else's today may have shared it, or another may have had it alone.
    also = {**{shared_id(item): None for item in telling}, **shared}
    known = await find_claimed(list(distinct), list(also)) if distinct else ()
    taken, refused, old = set(known), frozenset[str](), None
    if isinstance(known, KnownIds):
        refused, old = known.refused, None if whole else known.old
    free = [
        item
        for key, item in distinct.items()
        if key not in taken
        and shared_id(item) not in taken
        and not (old is not None and item.published_at is not None and item.published_at < old)
    ]
    newest = newest_first(free, len(free))
    return sorted(newest, key=lambda item: item.source_id in refused)[:cap]


def shared_id(item: SourceItem) -> str:
    """The id of an entry that shares its source's id with others. Of one that has it already: the same."""
    if _SHARED.search(item.source_id):
        return item.source_id
    told = hashlib.sha256(f"{item.url}\x1f{item.title}".encode("utf-8", "replace")).hexdigest()[:16]
    return f"{item.source_id[:_BEFORE_SHARED]} #sha:{told}"


def _shared(items: Sequence[SourceItem]) -> dict[str, None]:
    """The ids that entries of different address or title have between them."""
    facts: dict[str, set[tuple[str, str]]] = {}
    for item in items:
        facts.setdefault(item.source_id, set()).add((item.url, item.title))
    return {id: None for id, distinct in facts.items() if len(distinct) > 1}


def _distinct(values: Iterable[str], most: int) -> tuple[str, ...]:
    return tuple(list(dict.fromkeys(value for value in values if value))[:most])


def _extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The values in their order, as far as they fit the bound together."""
    kept: dict[str, Any] = {}
    for key, value in extra.items():
        wider = {**kept, clean_line(str(key), 100): bounded_json(value, EXTRA_CHARS)}
        if bounded_json(wider, EXTRA_CHARS, depth=8) is not None:
            kept = wider
    return kept
