"""JSON on the web as source items. Dotted paths say where an entry has each field.

Needs: a public address that answers with JSON; for a private host the flow's ``allow_hosts`` and the
operator's permission. Fails as ``adapters.http.stranger`` says; a document that is not JSON, or whose
``items`` is not a list, is a PermanentError that says where.
"""

from __future__ import annotations

from collections.abc import Sequence

from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.http.stranger_answer import shown
from pressroom.adapters.sources.bounded_reading import items_of
from pressroom.domain.fetching import JsonFetch
from pressroom.domain.packets import FindClaimed, SourceItem, newest_unclaimed, nothing_claimed

_ACCEPT = ("application/json", "application/*+json", "text/json", "text/plain", "text/javascript")


async def fetch(
    source: JsonFetch, http: SafeHttp, find_claimed: FindClaimed = nothing_claimed
) -> Sequence[SourceItem]:
    """The newest entries that are not claimed. Raises PermanentError when the document is not as
    described.
    """
    fetched = await http.get(source.url, accept=_ACCEPT)
    items = await items_of("entries:read_entries", shown(source.url), source, fetched)
    return await newest_unclaimed(items, source.cap, find_claimed)
