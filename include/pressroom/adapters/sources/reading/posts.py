"""Reads the posts of a WordPress site's REST API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any

from pressroom.adapters.sources.reading.entries import dig
from pressroom.domain.markup.html import images_of, line_of, sanitize, text_of
from pressroom.domain.outside import web_url
from pressroom.domain.packets import TITLE_CHARS, SourceItem, source_item


def read_posts(posts: Sequence[Mapping[str, Any]], site: str) -> list[SourceItem]:
    """The posts as items. ``site``: the base of their addresses."""
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
