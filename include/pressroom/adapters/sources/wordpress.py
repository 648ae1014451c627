"""The public posts of a WordPress site as source items, over its REST API.

Needs: the site's public address; no login. Fails as ``adapters.http.stranger`` says; a site without the API,
or without a category or tag that the source names, is a PermanentError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any
from urllib.parse import urlencode

from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.http.stranger_answer import shown
from pressroom.adapters.sources import json_api as fetch_json
from pressroom.adapters.sources.json_api import dig
from pressroom.domain.errors import PermanentError, TransientError
from pressroom.domain.fetching import WordpressFetch
from pressroom.domain.markup.html import images_of, line_of, sanitize, text_of
from pressroom.domain.outside import web_url
from pressroom.domain.packets import (
    TITLE_CHARS,
    FindClaimed,
    SourceItem,
    newest_first,
    newest_unclaimed,
    nothing_claimed,
    source_item,
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
    for page in range(1, _MOST_PAGES + 1):
        posts = await _posts(api, {**query, "page": str(page)})
        items = await asyncio.to_thread(_items, posts, source.url)
        for item in await newest_unclaimed(items, len(items), find_claimed):
            unclaimed.setdefault(item.source_id, item)
        if len(unclaimed) >= source.cap or len(posts) < _PER_PAGE:
            break
    return newest_first(unclaimed.values(), source.cap)


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
        return fetch_json.parse(fetched.text, self.where)


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


def _items(posts: Sequence[Mapping[str, Any]], site: str) -> list[SourceItem]:
    return [_item(post, site) for post in posts]


def _item(post: Mapping[str, Any], site: str) -> SourceItem:
    url = web_url(dig(post, "link"), site)
    markup = str(dig(post, "content.rendered") or dig(post, "excerpt.rendered") or "")
    html = sanitize(markup, base=url or site)
    terms = dig(post, "_embedded.wp:term")
    groups = [group for group in terms if isinstance(group, list)] if isinstance(terms, list) else []
    return source_item(
        # The same id as in the site's feed, so that both ways of fetching give the same item.
        unescape(str(dig(post, "guid.rendered") or "")) or url or f"{site}#{dig(post, 'id')}",
        url=url,
        title=line_of(str(dig(post, "title.rendered") or ""), TITLE_CHARS),
        text=text_of(html),
        html=html,
        published_at=dig(post, "date_gmt") or dig(post, "date"),
        author=line_of(str(dig(post, "_embedded.author.0.name") or ""), 200),
        tags=[line_of(str(dig(term, "name") or ""), 60) for group in groups for term in group],
        images=[
            web_url(dig(post, "_embedded.wp:featuredmedia.0.source_url"), site),
            *images_of(markup, base=url or site),
        ],
        extra={"post_id": dig(post, "id"), "slug": dig(post, "slug")},
    )
