"""From a source's settings to its items, whatever kind of source it is."""

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
from pressroom.domain.packets import Known, SourceItem, nothing_known


async def fetch(
    source: FetchSettings,
    http: SafeHttp,
    files: Callable[[FilesFetch], FileSource],
    known: Known = nothing_known,
) -> Sequence[SourceItem]:
    """The newest items, at most ``source.cap``, that are not known.

    Raises PermanentError (not what it should be, refused) or TransientError (not reachable now).
    """
    if isinstance(source, RssFetch):
        return await fetch_rss.fetch(source, http, known)
    if isinstance(source, WebFetch):
        return await fetch_web.fetch(source, http, known)
    if isinstance(source, JsonFetch):
        return await fetch_json.fetch(source, http, known)
    if isinstance(source, FilesFetch):
        return await fetch_files.fetch(source, files(source), known)
    return await fetch_wordpress.fetch(source, http, known)
