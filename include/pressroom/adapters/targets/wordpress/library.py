"""Pictures in a site's media library: uploaded once, and found by a slug that the same bytes always have."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from pressroom.adapters.targets.wordpress.client import WordPressClient
from pressroom.adapters.targets.wordpress.wire import as_html, file_name, media_slug, with_suffixes
from pressroom.domain.errors import ConfigurationError, PermanentError, UnknownOutcome
from pressroom.domain.outside import clean_line
from pressroom.domain.publishing import Picture

MEDIA = "/wp/v2/media"
ALT_CHARS = 500
AGAIN_SECONDS = 0.3

Json = dict[str, Any]


@dataclass(frozen=True)
class Medium:
    """A picture that the site has. ``url``: where it is there."""

    id: int
    url: str
    alt: str


class MediaLibrary:
    """The library of one site. ``where``: how errors name it."""

    def __init__(self, calls: WordPressClient, where: str) -> None:
        self._calls = calls
        self._where = where

    def file_name(self, slug: str, picture: Picture) -> str:
        """The file's name. Raises PermanentError for a picture that is not published."""
        try:
            return file_name(slug, picture)
        except KeyError:
            raise PermanentError(
                f"{self._where}: a picture of type {picture.media_type[:40]!r} is not published:"
                " png, jpeg, webp or gif"
            ) from None

    async def medium(self, key: str, post: int, picture: Picture, name: str) -> Medium:
        """The picture, uploaded if it is not there, as one of ``post``. When two race, the older counts."""
        slug, alt = media_slug(key, picture), clean_line(picture.alt, ALT_CHARS)
        media = await self._listed(slug)
        if not media:
            fields = {"slug": slug, "title": as_html(alt) or name, "alt_text": alt, "post": str(post)}
            made = await self._upload(fields, (name, picture.data, picture.media_type))
            if not isinstance(made.get("id"), int) or not made.get("source_url"):
                raise UnknownOutcome(f"{self._where}: WordPress answered, but not with the picture's id")
            media = await self._listed(slug) or [made]
            if media[0]["id"] != made["id"]:
                await self._calls.write(
                    "DELETE", f"{MEDIA}/{made['id']}", {"force": True}, allow=("rest_post_invalid_id",)
                )
        elif media[0].get("alt_text") != alt:
            await self._calls.write("POST", f"{MEDIA}/{media[0]['id']}", {"alt_text": alt})
        return Medium(int(media[0]["id"]), str(media[0]["source_url"]), alt)

    async def _upload(self, fields: Json, file: tuple[str, bytes, str]) -> Json:
        """Upload. A refusal is asked for twice: WordPress also refuses the files of two uploads at once that
        are the first of a month, because both make the folder.
        """
        try:
            return await self._calls.write("POST", MEDIA, fields, file=file)
        except ConfigurationError:
            raise
        except PermanentError:
            await asyncio.sleep(AGAIN_SECONDS)
            return await self._calls.write("POST", MEDIA, fields, file=file)

    async def _listed(self, slug: str) -> list[Json]:
        entries = await self._calls.listed(MEDIA, slug=with_suffixes(slug), _fields="id,source_url,alt_text")
        return sorted(entries, key=lambda medium: int(medium["id"]))
