"""Web pages as source items: one page, or the pages of a sitemap. An item has the page's main text.

Needs: the public address of a page or of a sitemap; for a private host the flow's ``allow_hosts`` and the
operator's permission. Fails as ``adapters.http.stranger`` says; a page without a main text is a
PermanentError. Of a sitemap, pages that fail are passed over, up to a bound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from xml.parsers import expat

import trafilatura
from trafilatura.htmlprocessing import build_html_output

from pressroom.adapters.http.bodies import gunzip
from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.http.stranger_answer import Fetched, shown
from pressroom.domain.errors import PermanentError, PressroomError
from pressroom.domain.fetching import WebFetch
from pressroom.domain.markup.html import line_of, sanitize, text_of
from pressroom.domain.outside import moment, web_url
from pressroom.domain.packets import (
    TITLE_CHARS,
    FindClaimed,
    SourceItem,
    digest,
    newest_first,
    newest_unclaimed,
    nothing_claimed,
    source_item,
    stable_id,
)

_PAGE_BYTES = 2_000_000
_PAGE_ELEMENTS = 20_000
_PAGE = ("text/html", "application/xhtml+xml")
_SITEMAP = ("application/xml", "application/gzip", "application/x-gzip", "application/octet-stream", "text/*")
_MOST_SITEMAPS = 5
_MOST_ADDRESSES = 5_000
_AT_ONCE = 4
_TRIES = 3
"""Pages tried for each wanted item: pages that are gone must not block those behind them."""

_TIMES = (
    "//meta[@property='article:published_time']/@content",
    "//meta[@property='og:published_time']/@content",
    "//meta[@itemprop='datePublished']/@content",
    "//time[@pubdate]/@datetime",
    "//time[@itemprop='datePublished']/@datetime",
)

log = logging.getLogger(__name__)

MOST_BYTES = 5_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_FIELDS = {"loc", "lastmod", "publication_date"}
_FIELD_CHARS = 2_500


async def fetch(
    source: WebFetch, http: SafeHttp, find_claimed: FindClaimed = nothing_claimed
) -> Sequence[SourceItem]:
    """The page, or the newest pages of the sitemap, that are not claimed.

    Raises PermanentError when the page, or every page of the sitemap, has no main text.
    """
    if source.sitemap:
        return await _from_sitemap(source, http, find_claimed)
    page = await http.get(source.url, accept=_PAGE, most=_PAGE_BYTES)
    item = await asyncio.to_thread(read_page, page, source.url)
    if source.changes:
        item = _renamed(item, digest(source.url, item.text))
    return await newest_unclaimed([item], 1, find_claimed)


async def _from_sitemap(source: WebFetch, http: SafeHttp, find_claimed: FindClaimed) -> Sequence[SourceItem]:
    addresses = await _addresses(source, http)
    waiting: dict[str, SitemapEntry] = {}
    for address in addresses:
        waiting.setdefault(_id(address, changes=source.changes), address)
    taken = set(await find_claimed(list(waiting))) if waiting else set()
    queue = [(key, entry) for key, entry in waiting.items() if key not in taken][: source.cap * _TRIES]
    items: list[SourceItem] = []
    failed: list[PressroomError] = []

    async def one_page(key: str, address: SitemapEntry) -> SourceItem | PressroomError:
        try:
            page = await http.get(address.url, accept=_PAGE, most=_PAGE_BYTES)
            return await asyncio.to_thread(read_page, page, key, address.at)
        except PressroomError as error:
            log.warning("%s", error)
            return error

    while queue and len(items) < source.cap:
        size = min(_AT_ONCE, source.cap - len(items))
        batch, queue = queue[:size], queue[size:]
        for outcome in await asyncio.gather(*(one_page(key, address) for key, address in batch)):
            if isinstance(outcome, SourceItem):
                items.append(outcome)
            else:
                failed.append(outcome)
    if failed and not items:
        raise failed[0]
    return newest_first(items, source.cap)


async def _addresses(source: WebFetch, http: SafeHttp) -> list[SitemapEntry]:
    """The pages of the sitemap, or of an index's newest sitemaps: newest first, only of the same site."""
    sitemap = await _sitemap(source.url, http)
    pages = list(sitemap.pages)
    for child in _newest([entry for entry in sitemap.sitemaps if _same_site(entry.url, source.url)])[
        :_MOST_SITEMAPS
    ]:
        pages += (await _sitemap(child.url, http)).pages
    fitting = [page for page in pages if source.contains in page.url and _same_site(page.url, source.url)]
    return _newest(fitting)[:_MOST_ADDRESSES]


async def _sitemap(url: str, http: SafeHttp) -> Any:
    fetched = await http.get(url, accept=_SITEMAP)
    return await asyncio.to_thread(read_sitemap, fetched.body, shown(url))


def read_page(page: Fetched, source_id: str, at: datetime | None = None) -> SourceItem:
    """The article on a page. ``at``: its date, unless the page has one.

    Raises PermanentError when the page has no main text.
    """
    where = shown(page.url)
    text = page.text
    if text.count("<") > 2 * _PAGE_ELEMENTS:
        raise PermanentError(f"{where}: more than {_PAGE_ELEMENTS:,} elements are no article")
    try:
        tree: Any = trafilatura.load_html(text)
        times = [str(value) for path in _TIMES for value in tree.xpath(path)] if tree is not None else []
        document: Any = tree is not None and trafilatura.bare_extraction(
            tree, url=page.url, with_metadata=True, include_comments=False, include_links=True, fast=True,
            include_formatting=True, output_format="html",
        )  # fmt: skip
        markup = build_html_output(document) if document else ""
    except Exception as error:  # noqa: BLE001  any failure of the extraction is this page's fault
        raise PermanentError(f"{where}: this page cannot be read: {type(error).__name__}") from None
    html = sanitize(markup, base=page.url)
    words = text_of(html)
    if not words:
        raise PermanentError(f"{where}: no main text was found on this page")
    canonical = web_url(next(iter(tree.xpath("//link[@rel='canonical']/@href")), ""), page.url)
    return source_item(
        source_id,
        # A page can claim any address as its canonical one.
        url=canonical if canonical and _same_site(canonical, page.url) else page.url,
        title=line_of(document.title or "", TITLE_CHARS),
        text=words,
        html=html,
        published_at=times[0] if times else (document.date or at),
        author=document.author or "",
        tags=[*(document.tags or []), *(document.categories or [])],
        images=[web_url(document.image, page.url)],
        language=document.language or next(iter(tree.xpath("/html/@lang")), ""),
        extra={"site": document.sitename or "", "description": document.description or ""},
    )


def _renamed(item: SourceItem, source_id: str) -> SourceItem:
    return SourceItem(**{**vars(item), "source_id": source_id})


def _id(address: SitemapEntry, *, changes: bool) -> str:
    """The source id of a page: its address, with ``changes`` also the time of its last change."""
    at = f"@{address.at.isoformat()}" if changes and address.at else ""
    return stable_id(f"{address.url}{at}")


def _newest(addresses: Sequence[SitemapEntry]) -> list[SitemapEntry]:
    return sorted(addresses, key=lambda entry: (entry.at is None, -entry.at.timestamp() if entry.at else 0.0))


def _same_site(url: str, other: str) -> bool:
    hosts = [(urlsplit(address).hostname or "").removeprefix("www.") for address in (url, other)]
    return hosts[0] == hosts[1]


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
