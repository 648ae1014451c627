"""Lists in pages: a cursor says where the next one begins, whatever came in meanwhile."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from pressroom.api.kit.problems import Problem, invalid
from pressroom.domain.public_ids import LARGEST

T = TypeVar("T")
R = TypeVar("R")
MOST = 200


class Page(BaseModel, Generic[T]):
    """A part of a list. ``next_cursor``: where the next one begins; null at the end."""

    items: list[T]
    next_cursor: str | None = None


def wrong_cursor() -> Problem:
    """The answer for a cursor that the list did not give."""
    return invalid("query.cursor", "is none of this list's", remedy="take next_cursor as it came")


class Paging:
    """Which part of a list is asked for."""

    def __init__(self, limit: int, cursor: str | None) -> None:
        self.limit, self._cursor = limit, cursor

    @property
    def fetch(self) -> int:
        """How many rows to read: one more than shown tells whether there is more."""
        return self.limit + 1

    @property
    def before(self) -> int | None:
        """The number that the list goes on below, for lists by falling number."""
        found = self.at()
        if found is None:
            return None
        if len(found) != 1 or type(found[0]) is not int or not 0 <= found[0] <= LARGEST:
            raise wrong_cursor()
        return int(found[0])

    def at(self) -> list[Any] | None:
        """What the last row of the page before was sorted by. Raises Problem 422 for no cursor of ours."""
        if self._cursor is None:
            return None
        try:
            found = json.loads(base64.urlsafe_b64decode(self._cursor.encode("ascii") + b"=="))
        except (ValueError, binascii.Error, RecursionError):
            found = None
        if not isinstance(found, list):
            raise wrong_cursor()
        return found

    def page(self, rows: Sequence[R], show: Callable[[R], T], key: Callable[[R], Sequence[Any]]) -> Page[T]:
        """The page made of ``fetch`` rows. ``key``: what a row is sorted by, as JSON values."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        return Page(items=[show(row) for row in shown], next_cursor=_cursor(key(shown[-1])) if more else None)


def _cursor(key: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode().rstrip("=")


def _paging(default: int) -> Callable[..., Paging]:
    def paging(
        limit: int = Query(default, ge=1, le=MOST, description="how many"),
        cursor: str | None = Query(None, max_length=500, description="next_cursor of the page before"),
    ) -> Paging:
        return Paging(limit, cursor)

    return paging


Paged = Annotated[Paging, Depends(_paging(50))]
History = Annotated[Paging, Depends(_paging(20))]
