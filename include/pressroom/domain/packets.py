"""Source items, which flows work on. Every field is bounded before anything reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

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

FindClaimed = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Returns which of these source ids the flow has claimed. Called before the cap is applied."""


async def nothing_claimed(ids: Sequence[str]) -> Collection[str]:
    """``FindClaimed`` of a flow that has not run yet."""
    del ids
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
    items: Iterable[SourceItem], cap: int, find_claimed: FindClaimed
) -> list[SourceItem]:
    """The newest ``cap`` items that are not claimed. Of several items with the same id, the first.

    Items over the cap are not lost: once these are claimed, the next call returns the next ones.
    """
    distinct: dict[str, SourceItem] = {}
    for item in items:
        if item.says_something:
            distinct.setdefault(item.source_id, item)
    taken = set(await find_claimed(list(distinct))) if distinct else set()
    return newest_first((item for key, item in distinct.items() if key not in taken), cap)


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
