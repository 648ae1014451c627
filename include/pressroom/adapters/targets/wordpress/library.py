"""What a site keeps beside its posts: pictures, uploaded once and found by a slug that the same bytes always
have, and categories and tags, found by name or made.
"""

from __future__ import annotations

import asyncio
import html
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pressroom.adapters.targets.wordpress.client import Unreadable, WordPressClient
from pressroom.adapters.targets.wordpress.wire import as_html, file_name, media_slug, with_suffixes
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, UnknownOutcome
from pressroom.domain.outside import clean_line
from pressroom.domain.publishing import Picture

MEDIA = "/wp/v2/media"
ALT_CHARS = 500
AGAIN_SECONDS = 0.3

Json = dict[str, Any]

NAME_CHARS = 200
RACE_SECONDS = 0.3


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
            media = await self._listed(slug) or ([made] if made else [])
            if not media:
                raise UnknownOutcome(f"{self._where}: WordPress answered, but not with the picture's id")
            if made and media[0]["id"] != made["id"]:
                await self._change(
                    "DELETE", f"{MEDIA}/{made['id']}", {"force": True}, allow=("rest_post_invalid_id",)
                )
        elif media[0].get("alt_text") != alt:
            await self._change("POST", f"{MEDIA}/{media[0]['id']}", {"alt_text": alt})
        return Medium(int(media[0]["id"]), str(media[0]["source_url"]), alt)

    async def _change(self, *request: Any, **options: Any) -> None:
        """A change of which nobody needs to know more than that WordPress went through with it."""
        with suppress(Unreadable):
            await self._calls.write(*request, **options)

    async def _upload(self, fields: Json, file: tuple[str, bytes, str]) -> Json | None:
        """The picture as uploaded; None when the answer does not say. A refusal is asked for twice: WordPress
        also refuses the files of two uploads at once that are the first of a month, because both make the
        folder.
        """
        try:
            return await self._uploaded(fields, file)
        except ConfigurationError:
            raise
        except PermanentError:
            await asyncio.sleep(AGAIN_SECONDS)
            return await self._uploaded(fields, file)

    async def _uploaded(self, fields: Json, file: tuple[str, bytes, str]) -> Json | None:
        try:
            made = await self._calls.write("POST", MEDIA, fields, file=file)
        except Unreadable:
            return None
        return made if isinstance(made.get("id"), int) and made.get("source_url") else None

    async def _listed(self, slug: str) -> list[Json]:
        entries = await self._calls.listed(MEDIA, slug=with_suffixes(slug), _fields="id,source_url,alt_text")
        return sorted(entries, key=lambda medium: int(medium["id"]))


class Terms:
    """The terms of one site. What was found once is not asked for again, so it lives as long as a batch."""

    def __init__(self, calls: WordPressClient) -> None:
        self._calls = calls
        self._known: dict[tuple[str, str], int] = {}
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ids(self, taxonomy: str, names: Sequence[str]) -> list[int]:
        """The ids of terms, in order. ``taxonomy``: categories or tags. Upper and lower case are the same."""
        wanted = {_folded(name): clean_line(name, NAME_CHARS) for name in reversed(names) if _folded(name)}
        ids = [await self._id(taxonomy, name) for name in reversed(wanted.values())]
        return list(dict.fromkeys(ids))

    async def absent(self, taxonomy: str, names: Sequence[str]) -> list[str]:
        """Those of the names that the site has no term for."""
        return [name for name in names if await self._find(taxonomy, name) is None]

    def forget(self) -> None:
        """Forget the known terms: the next ones are read again."""
        self._known.clear()

    async def _id(self, taxonomy: str, name: str) -> int:
        place = (taxonomy, _folded(name))
        async with self._locks[place]:
            if place not in self._known:
                self._known[place] = await self._find_or_make(taxonomy, name)
            return self._known[place]

    async def _find_or_make(self, taxonomy: str, name: str) -> int:
        term = await self._find(taxonomy, name)
        if term is not None:
            return term
        made: Json = {}
        with suppress(Unreadable):
            made = await self._calls.write(
                "POST", f"/wp/v2/{taxonomy}", {"name": name}, allow=("term_exists",)
            )
        data = made.get("data")
        if made.get("code") == "term_exists" and isinstance(data, dict):
            return int(data["term_id"])
        own = made.get("id")
        # Two who make it at the same moment get one each. A little later both see both, and the older counts.
        await asyncio.sleep(RACE_SECONDS)
        oldest = await self._find(taxonomy, name) or own
        if not isinstance(oldest, int):
            raise UnknownOutcome(f"WordPress answered, but not with the id of {taxonomy} {name[:60]!r}")
        if isinstance(own, int) and oldest != own:
            with suppress(PressroomError):  # a role that makes tags may be one that deletes none
                await self._calls.write("DELETE", f"/wp/v2/{taxonomy}/{own}", {"force": True})
        return oldest

    async def _find(self, taxonomy: str, name: str) -> int | None:
        # Names are kept, and searched, with their entities.
        listed: list[dict[str, Any]] = await self._calls.listed(
            f"/wp/v2/{taxonomy}", search=html.escape(name, quote=False), _fields="id,name"
        )
        same = [
            int(term["id"])
            for term in listed
            if _folded(html.unescape(str(term.get("name")))) == _folded(name)
        ]
        return min(same, default=None)


def _folded(name: str) -> str:
    return clean_line(name, NAME_CHARS).casefold()
