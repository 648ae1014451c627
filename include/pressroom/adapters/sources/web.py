"""Web pages as source items: one page, or the pages of a sitemap. An item has the page's main text.

Needs: the public address of a page or of a sitemap; for a private host the flow's ``allow_hosts`` and the
operator's permission. Fails as ``adapters.http.stranger`` says; a page without a main text is a
PermanentError. Of a sitemap, pages that fail are passed over, up to a bound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.http.stranger_answer import Fetched, shown
from pressroom.adapters.sources.bounded_reading import items_of, sitemap_of
from pressroom.adapters.sources.reading.sitemap import Sitemap, SitemapEntry
from pressroom.domain.errors import PressroomError
from pressroom.domain.fetching import WebFetch
from pressroom.domain.outside import same_site
from pressroom.domain.packets import (
    FindClaimed,
    KnownIds,
    SourceItem,
    digest,
    newest_first,
    newest_unclaimed,
    nothing_claimed,
    stable_id,
)

_PAGE_BYTES = 2_000_000
_PAGE = ("text/html", "application/xhtml+xml")
_SITEMAP = ("application/xml", "application/gzip", "application/x-gzip", "application/octet-stream", "text/*")
_MOST_SITEMAPS = 5
_MOST_ADDRESSES = 5_000
_AT_ONCE = 4
_TRIES = 3
"""Pages tried for each wanted item: pages that are gone must not block those behind them."""

log = logging.getLogger(__name__)


async def fetch(
    source: WebFetch, http: SafeHttp, find_claimed: FindClaimed = nothing_claimed
) -> Sequence[SourceItem]:
    """The page, or the newest pages of the sitemap, that are not claimed.

    Raises PermanentError when the page, or every page of the sitemap, has no main text.
    """
    if source.sitemap:
        return await _from_sitemap(source, http, find_claimed)
    page = await http.get(source.url, accept=_PAGE, most=_PAGE_BYTES)
    item = await _item_of(page, source.url)
    if source.changes:
        item = _renamed(item, digest(source.url, item.text))
    return await newest_unclaimed([item], 1, find_claimed)


async def _from_sitemap(source: WebFetch, http: SafeHttp, find_claimed: FindClaimed) -> Sequence[SourceItem]:
    addresses = await _addresses(source, http)
    waiting: dict[str, SitemapEntry] = {}
    for address in addresses:
        waiting.setdefault(_id(address, changes=source.changes), address)
    known = await find_claimed(list(waiting)) if waiting else ()
    taken, refused = set(known), known.refused if isinstance(known, KnownIds) else frozenset[str]()
    queue = [(key, entry) for key, entry in waiting.items() if key not in taken]
    # What was refused before comes last, so it holds up no other page.
    queue = sorted(queue, key=lambda page: page[0] in refused)[: source.cap * _TRIES]
    items: list[SourceItem] = []
    failed: list[PressroomError] = []

    async def one_page(key: str, address: SitemapEntry) -> SourceItem | PressroomError:
        try:
            page = await http.get(address.url, accept=_PAGE, most=_PAGE_BYTES)
            return await _item_of(page, key, address.at)
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
    for child in _newest([entry for entry in sitemap.sitemaps if same_site(entry.url, source.url)])[
        :_MOST_SITEMAPS
    ]:
        pages += (await _sitemap(child.url, http)).pages
    fitting = [page for page in pages if source.contains in page.url and same_site(page.url, source.url)]
    return _newest(fitting)[:_MOST_ADDRESSES]


async def _sitemap(url: str, http: SafeHttp) -> Sitemap:
    fetched = await http.get(url, accept=_SITEMAP)
    return await sitemap_of(fetched.body, shown(url))


async def _item_of(page: Fetched, source_id: str, at: datetime | None = None) -> SourceItem:
    [item] = await items_of("page:read_page", shown(page.url), page, source_id, at)
    return item


def _renamed(item: SourceItem, source_id: str) -> SourceItem:
    return SourceItem(**{**vars(item), "source_id": source_id})


def _id(address: SitemapEntry, *, changes: bool) -> str:
    """The source id of a page: its address, with ``changes`` also the time of its last change."""
    at = f"@{address.at.isoformat()}" if changes and address.at else ""
    return stable_id(f"{address.url}{at}")


def _newest(addresses: Sequence[SitemapEntry]) -> list[SitemapEntry]:
    return sorted(addresses, key=lambda entry: (entry.at is None, -entry.at.timestamp() if entry.at else 0.0))
