"""An article or a post as a page: how it will look, with nothing in it that runs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pressroom.api.kit.access import Scope
from pressroom.api.resources.content.models import article_row, content_id, image_url, post_row
from pressroom.domain.markup.html import sanitize
from pressroom.domain.missions import Mission
from pressroom.store.database import Tx
from pressroom.ui.mission.facts import PostRow
from pressroom.ui.mission.page import post_page
from pressroom.ui.site import PagePicture, PreviewedArticle, article_page

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""For browsers: the page may show pictures of this server, and do nothing else."""


def preview(tx: Tx, scope: Scope, base: str) -> str:
    """The page. ``base``: the path below which the API is."""
    return _article(tx, scope.id, base) if scope.kind == "article" else _post(tx, scope.id, base)


def _article(tx: Tx, number: int, base: str) -> str:
    row = article_row(tx, number)
    row |= {"kind": row["idea_type"], "html": sanitize(row["html"])}
    [site] = tx.rows("preview_site", site=row["site_id"])
    pictures = {}
    for image in tx.rows("content_images", content=number):
        if image["media_url"]:
            url = image_url(base, content_id("article", number), image["position"], image["media_url"])
            pictures[image["position"]] = PagePicture(url, image["alt"], image["width"], image["height"])
    return article_page(site, PreviewedArticle(**_only(PreviewedArticle, row)), pictures, index=None)


def _post(tx: Tx, number: int, base: str) -> str:
    row = post_row(tx, number)
    mission = Mission.model_validate(tx.value("mission_definition", mission=row["mission_id"]))
    stored, picture = row["media_url"], None
    if stored:
        url = image_url(base, content_id("post", number), 0, stored)
        picture = None if url == stored else url
    shown = PostRow(
        **_only(PostRow, row | {"approved_as_is": row["approved_hash"] == row["content_hash"], "error": ""})
    )
    return post_page(mission, shown, at=row["at"], topic=row["topic"], picture=picture)


def _only(kind: Any, row: dict[str, Any]) -> dict[str, Any]:
    return {each.name: row[each.name] for each in fields(kind)}
