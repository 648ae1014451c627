"""Feeds as source items: RSS of every version, Atom, JSON Feed.

Needs: the feed's public address; for a private host the flow's ``allow_hosts`` and the operator's permission.
Fails as ``adapters.http.stranger`` says; a document that is not a feed is a PermanentError. A feed that is
cut off gives its whole entries.
"""

from __future__ import annotations

from collections.abc import Sequence

from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.http.stranger_answer import shown
from pressroom.adapters.sources.bounded_reading import items_of
from pressroom.domain.fetching import RssFetch
from pressroom.domain.packets import FindClaimed, SourceItem, newest_unclaimed, nothing_claimed

_ACCEPT = (
    "application/rss+xml",
    "application/atom+xml",
    "application/rdf+xml",
    "application/xml",
    "application/feed+json",
    "application/json",
    "application/octet-stream",
    "application/x-rss+xml",
    "text/*",
)


async def fetch(
    source: RssFetch, http: SafeHttp, find_claimed: FindClaimed = nothing_claimed
) -> Sequence[SourceItem]:
    """The newest entries that are not claimed. Raises PermanentError when the document is not a feed."""
    fetched = await http.get(source.url, accept=_ACCEPT)
    items = await items_of("feed:read_feed", shown(fetched.url), fetched)
    return await newest_unclaimed(items, source.cap, find_claimed)
