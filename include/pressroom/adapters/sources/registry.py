"""Fetches the items of a source. A new kind is a module beside this one, and a line in ``fetch``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.sources import files as fetch_files
from pressroom.adapters.sources import json_api as fetch_json
from pressroom.adapters.sources import rss as fetch_rss
from pressroom.adapters.sources import web as fetch_web
from pressroom.adapters.sources import wordpress as fetch_wordpress
from pressroom.domain.fetching import (
    FetchSettings,
    FilesFetch,
    FileSource,
    JsonFetch,
    RssFetch,
    WebFetch,
)
from pressroom.domain.packets import FindClaimed, SourceItem, nothing_claimed


async def fetch(
    source: FetchSettings,
    http: SafeHttp,
    files: Callable[[FilesFetch], FileSource],
    find_claimed: FindClaimed = nothing_claimed,
) -> Sequence[SourceItem]:
    """The newest items, at most ``source.cap``, that are not claimed.

    Raises PermanentError (refused, or not of the stated kind) or TransientError (not reachable now).
    """
    if isinstance(source, RssFetch):
        return await fetch_rss.fetch(source, http, find_claimed)
    if isinstance(source, WebFetch):
        return await fetch_web.fetch(source, http, find_claimed)
    if isinstance(source, JsonFetch):
        return await fetch_json.fetch(source, http, find_claimed)
    if isinstance(source, FilesFetch):
        return await fetch_files.fetch(source, files(source), find_claimed)
    return await fetch_wordpress.fetch(source, http, find_claimed)
