"""Reads sitemaps, and indexes of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.parsers import expat

from pressroom.adapters.http.bodies import gunzip
from pressroom.domain.errors import PermanentError
from pressroom.domain.outside import moment, web_url

MOST_BYTES = 5_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_FIELDS = {"loc", "lastmod", "publication_date"}
_FIELD_CHARS = 2_500


@dataclass(frozen=True)
class SitemapEntry:
    """An entry. ``at``: when the page last changed; None when the sitemap does not say."""

    url: str
    at: datetime | None


@dataclass(frozen=True)
class Sitemap:
    """The entries of a sitemap: pages or, in an index, more sitemaps."""

    pages: list[SitemapEntry]
    sitemaps: list[SitemapEntry]

    def to_data(self) -> list[list[tuple[str, str | None]]]:
        """As JSON."""
        return [
            [(entry.url, entry.at.isoformat() if entry.at else None) for entry in some]
            for some in (self.pages, self.sitemaps)
        ]

    @classmethod
    def of_data(cls, data: Any) -> Sitemap:
        """Of what ``to_data`` gives."""
        pages, sitemaps = (
            [SitemapEntry(url, datetime.fromisoformat(at) if at else None) for url, at in some]
            for some in data
        )
        return cls(pages, sitemaps)


class _Reader:
    def __init__(self) -> None:
        self.found: dict[str, list[SitemapEntry]] = {"url": [], "sitemap": []}
        self._path: list[str] = []
        self._fields: dict[str, str] = {}
        self._root = ""

    @property
    def is_sitemap(self) -> bool:
        return self._root in ("urlset", "sitemapindex")

    def start(self, name: str, _: object) -> None:
        local = name.rpartition(":")[2].lower()
        self._root = self._root or local
        self._path.append(local)
        if local in self.found:
            self._fields = {}

    def text(self, text: str) -> None:
        field = self._path[-1] if self._path else ""
        # Only a <loc> directly in the entry is the page's; others are of images.
        direct = len(self._path) > 1 and self._path[-2] in self.found
        if field in _FIELDS and (direct or field == "publication_date"):
            self._fields[field] = (self._fields.get(field, "") + text)[:_FIELD_CHARS]

    def end(self, _: str) -> None:
        local = self._path.pop()
        if local in self.found:
            url = web_url(self._fields.get("loc"))
            at = moment(self._fields.get("lastmod", "").strip() or self._fields.get("publication_date"))
            if url:
                self.found[local].append(SitemapEntry(url, at))


def read_sitemap(body: bytes, where: str) -> Sitemap:
    """The entries of a sitemap, gzipped or not. Raises PermanentError for anything else, and for entities."""
    if body.startswith(_GZIP_MAGIC):
        body = gunzip(body, MOST_BYTES)
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text

    def refuse(*_: object) -> None:
        raise PermanentError(f"{where}: the sitemap declares entities, which is refused")

    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(body, True)  # noqa: FBT003  its only form
    except (expat.ExpatError, ValueError, LookupError) as error:
        # The entries before the fault are used.
        if not any(reader.found.values()):
            raise PermanentError(f"{where}: this is not a sitemap: {str(error)[:200]}") from None
    if not reader.is_sitemap:
        raise PermanentError(f"{where}: this is not a sitemap: it holds neither urlset nor sitemapindex")
    return Sitemap(reader.found["url"], reader.found["sitemap"])
