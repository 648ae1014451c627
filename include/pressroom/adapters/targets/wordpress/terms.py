"""Categories and tags by their names: found, or made when the site has none of that name."""

from __future__ import annotations

import asyncio
import html
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pressroom.adapters.targets.wordpress.client import WordPressClient
from pressroom.domain.errors import PressroomError, UnknownOutcome
from pressroom.domain.outside import clean_line

NAME_CHARS = 200
RACE_SECONDS = 0.3


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
        made = await self._calls.write("POST", f"/wp/v2/{taxonomy}", {"name": name}, allow=("term_exists",))
        data = made.get("data")
        if made.get("code") == "term_exists" and isinstance(data, dict):
            return int(data["term_id"])
        if not isinstance(made.get("id"), int):
            raise UnknownOutcome(f"WordPress answered, but not with the id of {taxonomy} {name[:60]!r}")
        # Two who make it at the same moment get one each. A little later both see both, and the older counts.
        await asyncio.sleep(RACE_SECONDS)
        oldest = await self._find(taxonomy, name) or int(made["id"])
        if oldest != made["id"]:
            with suppress(PressroomError):  # a role that makes tags may be one that deletes none
                await self._calls.write("DELETE", f"/wp/v2/{taxonomy}/{made['id']}", {"force": True})
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
