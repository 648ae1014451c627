"""A static site as a target: how a piece becomes a folder of the site."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pressroom.adapters.targets.article import (
    META_CHARS,
    Illustration,
    LinkedArticleArguments,
    body_of,
    linked_article_of,
    slug_of,
)
from pressroom.adapters.targets.static_site.folder import SiteFolder, now_utc
from pressroom.adapters.targets.static_site.pages import (
    Shown,
    SitePage,
    StaticSiteSettings,
    address,
    to_html,
    to_markdown,
)
from pressroom.domain.errors import PermanentError
from pressroom.domain.markup.html import PICTURE_SUFFIXES
from pressroom.domain.outside import clean_line, web_url
from pressroom.domain.packets import TAG_CHARS, TITLE_CHARS
from pressroom.domain.publishing import NO_SETTINGS, Content, Delivery, Picture, Piece, Placed

__all__ = ["StaticSite", "StaticSiteSettings"]

ALT_CHARS = 500


class StaticSite:
    """One folder as a target. The piece's key is its external id; ``now``: the clock, for tests."""

    handler = "static_site"
    description = "Publishes an article, with its pictures, as a page of a plain HTML site with an RSS feed."
    arguments = LinkedArticleArguments
    # A write is over when it returns.
    settle_seconds = 0.0

    def __init__(self, settings: StaticSiteSettings, *, now: Callable[[], datetime] = now_utc) -> None:
        self.connection = settings.connection
        self._site = settings
        self._files = SiteFolder(settings)
        self._now = now

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def from_content(self, content: Content) -> LinkedArticleArguments:
        return LinkedArticleArguments(**linked_article_of(content))

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """Check that the folder can be written to and belongs to no other site."""
        await asyncio.to_thread(self._check)

    async def publish(self, piece: Piece[LinkedArticleArguments]) -> Placed:
        """An update keeps the piece's address and, unless ``at`` is in the future, its date."""
        return await asyncio.to_thread(self._publish, piece)

    async def find(self, piece: Piece[LinkedArticleArguments]) -> Placed | None:
        return await asyncio.to_thread(self._find, piece.key)

    async def unpublish(self, external_id: str) -> bool:
        """Always possible."""
        await asyncio.to_thread(self._unpublish, external_id)
        return True

    def _check(self) -> None:
        with self._files.locked():
            self._refresh()

    def _publish(self, piece: Piece[LinkedArticleArguments]) -> Placed:
        arguments = piece.arguments
        shown = [_shown(picture, self._files.where) for picture in piece.pictures]
        body = body_of(
            arguments.html,
            [
                Illustration(picture.url, shown_picture.file, shown_picture.alt)
                for picture, shown_picture in zip(piece.pictures, shown, strict=True)
            ],
        )
        with self._files.locked():
            before, now = self._files.page_of(piece.key), self._now()
            page = SitePage(
                folder=before.folder if before else self._new_folder(piece),
                key=piece.key,
                title=clean_line(arguments.title, TITLE_CHARS),
                date=_date(piece.at, now, before),
                excerpt=clean_line(arguments.excerpt, len(arguments.excerpt)),
                meta_description=clean_line(arguments.meta_description, META_CHARS),
                tags=_names(arguments.tags),
                categories=_names(arguments.categories),
                link=web_url(arguments.link),
                pictures=tuple(shown),
                account=piece.account,
            )
            pictures = {
                shown_picture.file: picture.data
                for shown_picture, picture in zip(shown, piece.pictures, strict=True)
            }
            self._files.put(page, to_html(self._site, page, body), to_markdown(page, body), pictures)
            self._files.write_lists(now)
            return self._placed(page, now)

    def _new_folder(self, piece: Piece[LinkedArticleArguments]) -> str:
        """The name of a piece's folder, and so its address. On a site that several accounts write to, it has
        the account in it, so that none takes an address that another one may want.
        """
        slug = slug_of(piece.arguments, piece.key)
        others = {page.account for page in self._files.pages()} - {"", piece.account}
        return self._files.free_folder(f"{piece.account}-{slug}" if others and piece.account else slug)

    def _find(self, key: str) -> Placed | None:
        with self._files.locked():
            now = self._refresh()
            page = self._files.page_of(key)
            return self._placed(page, now) if page else None

    def _unpublish(self, key: str) -> None:
        with self._files.locked():
            page = self._files.page_of(key)
            if page is not None:
                self._files.remove(page)
                self._files.write_lists(self._now())
            else:
                self._refresh()

    def _refresh(self) -> datetime:
        """Bring the lists up to date when that is due. Returns the present."""
        now = self._now()
        if self._files.lists_are_due(now):
            self._files.write_lists(now)
        return now

    def _placed(self, page: SitePage, now: datetime) -> Placed:
        if page.date <= now:
            return Placed(page.key, address(self._site, page.folder))
        return Placed(page.key, delivery=Delivery.PENDING, detail=f"scheduled for {page.date.isoformat()}")


def _date(at: datetime | None, now: datetime, before: SitePage | None) -> datetime:
    """When it appears: at its time, or now; what has appeared keeps its date."""
    if at is not None and at > now:
        return at
    return before.date if before is not None and before.date <= now else now


def _shown(picture: Picture, where: str) -> Shown:
    suffix = PICTURE_SUFFIXES.get(picture.media_type)
    if suffix is None:
        raise PermanentError(
            f"{where}: a picture of type {picture.media_type[:40]!r} is not published: png, jpeg, webp or gif"
        )
    # Named by content, so that an exchanged picture is not an old one in somebody's cache.
    return Shown(
        f"{hashlib.sha256(picture.data).hexdigest()[:16]}.{suffix}", clean_line(picture.alt, ALT_CHARS)
    )


def _names(names: Sequence[str]) -> tuple[str, ...]:
    lines = (clean_line(name, TAG_CHARS) for name in names)
    return tuple(dict.fromkeys(line for line in lines if line))
