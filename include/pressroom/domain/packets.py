"""What a flow works on: the items of its sources, each bounded in every field before anybody reads it."""

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

Known = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Which of these source ids a flow has taken up already. Asked before the cap counts."""


async def nothing_known(ids: Sequence[str]) -> Collection[str]:
    """The answer of a flow that has not run yet."""
    del ids
    return ()


@dataclass(frozen=True)
class SourceItem:
    """One thing that a source holds. Made with ``source_item``; raises ValueError beyond the bounds above.

    ``source_id``: the same at every fetch; ``html``: sanitised, '' when the source has none;
    ``published_at``: aware, None when the source does not say; ``extra``: JSON, what else was asked for.
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
        """Whether there is anything to work with."""
        return bool(self.title or self.text or self.url)

    def to_data(self) -> dict[str, Any]:
        """The item as JSON, as rows, packets and expressions hold it; the time as ISO 8601."""
        data = {one.name: getattr(self, one.name) for one in fields(self)}
        at = self.published_at
        return {
            **data,
            "published_at": at.isoformat() if at else None,
            "tags": list(self.tags),
            "images": list(self.images),
            "extra": dict(self.extra),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> SourceItem:
        """The item that ``to_data`` was of."""
        return cls(
            **{
                **data,
                "published_at": moment(data.get("published_at")),
                "tags": tuple(data.get("tags") or ()),
                "images": tuple(data.get("images") or ()),
            }
        )


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
    """An item of what a source says, cut to the bounds. ``html`` is sanitised and within its bound already.

    Without a ``source_id`` it gets one made of its content.
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
    """A source's own id for a thing, within bounds: what is too long becomes its hash. '' stays ''."""
    line = " ".join(visible(text).split())
    return line if len(line) <= ID_CHARS else digest(line)


def digest(*parts: str) -> str:
    """An id made of content."""
    return "sha256:" + hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()


def newest_first(items: Iterable[SourceItem], cap: int) -> list[SourceItem]:
    """The newest ``cap`` of the items. Those without a date come last; ties stay in the source's order."""

    def age(item: SourceItem) -> tuple[bool, float]:
        at = item.published_at
        return (at is None, -at.timestamp() if at else 0.0)

    return sorted(items, key=age)[:cap]


async def newest_unknown(items: Iterable[SourceItem], cap: int, known: Known) -> list[SourceItem]:
    """The newest ``cap`` items that are not known yet; of several with one id the first.

    What is over the cap is not lost: once these are known, the next call gives the next ones.
    """
    distinct: dict[str, SourceItem] = {}
    for item in items:
        if item.says_something:
            distinct.setdefault(item.source_id, item)
    taken = set(await known(list(distinct))) if distinct else set()
    return newest_first((item for key, item in distinct.items() if key not in taken), cap)


def _distinct(values: Iterable[str], most: int) -> tuple[str, ...]:
    return tuple(list(dict.fromkeys(value for value in values if value))[:most])


def _extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """As many of the values, in their order, as fit the bound together."""
    kept: dict[str, Any] = {}
    for key, value in extra.items():
        wider = {**kept, clean_line(str(key), 100): bounded_json(value, EXTRA_CHARS)}
        if bounded_json(wider, EXTRA_CHARS, depth=8) is not None:
            kept = wider
    return kept
