"""Keyword lists, for routes: each is read in a process with limits, one at a time for each account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pressroom.api.kit.limits.shares import Lent
from pressroom.definitions.keyword_lists import KeywordList, ListReader

AT_ONCE = 2
"""Lists: one account has one of them at most."""

_readers = Lent([ListReader() for _ in range(AT_ONCE)], "importing keyword lists")
"""They are the server's, whatever app asks."""


class KeywordLists:
    """The imports of one server."""

    @asynccontextmanager
    async def read(self, owner: str, data: bytes, name: str) -> AsyncIterator[KeywordList]:
        """The list, for as long as it is imported. Raises DefinitionError when it cannot be understood, and
        Problem 429 when the owner imports too much at once.
        """
        async with _readers.one(owner) as reader:
            yield await reader.read(data, name)
