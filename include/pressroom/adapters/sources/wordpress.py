"""The public posts of a WordPress site as source items, over its REST API.

Needs: the site's public address; no login. Fails as ``adapters.http.stranger`` says; a site without the API,
or without a category or tag that the source names, is a PermanentError.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.http.stranger_answer import shown
from pressroom.adapters.sources.bounded_reading import items_of
from pressroom.adapters.sources.reading.entries import dig, parse
from pressroom.domain.errors import PermanentError, TransientError
from pressroom.domain.fetching import WordpressFetch
from pressroom.domain.packets import (
    FindClaimed,
    KnownIds,
    SourceItem,
    newest_first,
    newest_unclaimed,
    nothing_claimed,
)

_PER_PAGE = 20
_MOST_PAGES = 50


async def fetch(
    source: WordpressFetch, http: SafeHttp, find_claimed: FindClaimed = nothing_claimed
) -> Sequence[SourceItem]:
    """The newest posts that are not claimed. Raises PermanentError without such an API or such a category."""
    api = _Api(http, source.url)
    query: dict[str, str] = {"search": source.search} if source.search else {}
    for kind, slugs in (("categories", source.categories), ("tags", source.tags)):
        if slugs:
            query[kind] = ",".join(await _terms(api, kind, slugs))
    unclaimed: dict[str, SourceItem] = {}
    refused: set[str] = set()

    async def find(ids: Sequence[str], also: Sequence[str] = ()) -> Collection[str]:
        known = await find_claimed(ids, also)
        refused.update(known.refused if isinstance(known, KnownIds) else ())
        return known

    for page in range(1, _MOST_PAGES + 1):
        posts = await _posts(api, {**query, "page": str(page)})
        items = await items_of("posts:read_posts", api.where, posts, source.url)
        for item in await newest_unclaimed(items, len(items), find, whole=False):
            unclaimed.setdefault(item.source_id, item)
        # What was refused before comes last, so it holds up no other post.
        if len(unclaimed.keys() - refused) >= source.cap or len(posts) < _PER_PAGE:
            break
    newest = newest_first(unclaimed.values(), len(unclaimed))
    return sorted(newest, key=lambda item: item.source_id in refused)[: source.cap]


class _Api:
    """A site's REST API, by pretty addresses or, when those are off, by the query."""

    def __init__(self, http: SafeHttp, site: str) -> None:
        self._http = http
        self._site = site.rstrip("/")
        self._pretty = True
        self.where = shown(site)

    async def get(self, path: str, query: Mapping[str, str], *, also: tuple[int, ...] = ()) -> Any:
        """The JSON of a path; None for a status in ``also``."""
        if self._pretty:
            url = f"{self._site}/wp-json/wp/v2/{path}?{urlencode(query)}"
            fetched = await self._http.get(url, also=(404, *also))
            self._pretty = "json" in fetched.media_type
        if not self._pretty:
            routed = urlencode({"rest_route": f"/wp/v2/{path}", **query})
            fetched = await self._http.get(f"{self._site}/?{routed}", also=(404, *also))
        if fetched.status == 404 or "json" not in fetched.media_type:
            raise PermanentError(f"{self.where}: there is no WordPress REST API at this address")
        if fetched.status in also:
            return None
        return parse(fetched.text, self.where)


async def _terms(api: _Api, kind: str, slugs: Sequence[str]) -> list[str]:
    """The ids of categories or tags."""
    answer = await api.get(kind, {"slug": ",".join(slugs), "per_page": "100", "_fields": "id,slug"})
    ids = {
        str(dig(term, "slug")): str(dig(term, "id")) for term in (answer if isinstance(answer, list) else ())
    }
    unknown = sorted(set(slugs) - set(ids))
    if unknown:
        raise PermanentError(f"{api.where}: it has no {kind} with the slug {', '.join(map(repr, unknown))}")
    return list(ids.values())


async def _posts(api: _Api, query: Mapping[str, str]) -> list[dict[str, Any]]:
    order = {"per_page": str(_PER_PAGE), "orderby": "date", "order": "desc"}
    # A page after the last is refused with 400.
    also = (400,) if query["page"] != "1" else ()
    answer = await api.get(
        "posts", {**query, **order, "_embed": "author,wp:featuredmedia,wp:term"}, also=also
    )
    if answer is None:
        return []
    if not isinstance(answer, list):
        raise TransientError(f"{api.where}: the answer is not a list of posts")
    return [post for post in answer if isinstance(post, dict)]
