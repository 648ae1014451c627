"""Lists in pages: a cursor marks where the next page begins, whatever is added meanwhile."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from pressroom.api.kit.problems import Problem, invalid
from pressroom.domain.public_ids import LARGEST

T = TypeVar("T")
R = TypeVar("R")
MOST = 200
PAGE_CHARS = 2_000_000
"""Of the rows of one page. A page whose rows are large has fewer of them."""


class Page(BaseModel, Generic[T]):
    """A part of a list. ``next_cursor``: where the next one begins; null at the end."""

    items: list[T]
    next_cursor: str | None = None


def wrong_cursor() -> Problem:
    """The answer for a cursor of another list."""
    return invalid(
        "query.cursor",
        "this cursor belongs to another list",
        remedy="send next_cursor unchanged, to the same list",
    )


class Paging:
    """The part of a list that a call asks for."""

    def __init__(self, limit: int, cursor: str | None) -> None:
        self.limit, self._cursor = limit, cursor

    @property
    def fetch(self) -> int:
        """How many rows to read: one more than shown tells whether there is more."""
        return self.limit + 1

    @property
    def before(self) -> int | None:
        """The number that the list goes on below, for lists by falling number."""
        last = self.after(int)
        return None if last is None else last[0]

    def after(self, *types: type[int | str | datetime]) -> list[Any] | None:
        """What the last row of the page before was sorted by; None at the beginning of the list.

        ``types``: of the values. Times are aware, numbers are ids. Raises Problem 422 for a cursor of another
        list.
        """
        if self._cursor is None:
            return None
        try:
            values = json.loads(base64.urlsafe_b64decode(self._cursor.encode("ascii") + b"=="))
            return [_value(kind, value) for kind, value in zip(types, values, strict=True)]
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise wrong_cursor() from None

    def page(self, rows: Sequence[R], show: Callable[[R], T], key: Callable[[R], Sequence[Any]]) -> Page[T]:
        """The page made of ``fetch`` rows. ``key``: what a row is sorted by."""
        shown = rows[: _fitting(rows[: self.limit])]
        more = len(rows) > len(shown)
        return Page(items=[show(row) for row in shown], next_cursor=_cursor(key(shown[-1])) if more else None)


def _fitting(rows: Sequence[Any]) -> int:
    """How many of the rows fit into a page: at least one."""
    left = PAGE_CHARS
    for number, row in enumerate(rows):
        left -= _chars(row)
        if left < 0 and number:
            return number
    return len(rows)


def _chars(value: Any) -> int:
    """About as many characters as the value has as JSON."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, Mapping):
        return sum(len(str(key)) + 4 + _chars(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return sum(map(_chars, value), 2)
    return _chars(vars(value)) if hasattr(value, "__dict__") else 10


def _value(kind: type[int | str | datetime], value: Any) -> int | str | datetime:
    """A value of a cursor. Raises ValueError or TypeError when it cannot be one."""
    if issubclass(kind, datetime):
        value = datetime.fromisoformat(value)
    if type(value) is not kind:
        raise TypeError(type(value))
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("no offset")
    if isinstance(value, int) and not 0 <= value <= LARGEST:
        raise ValueError("not an id")
    return value


def _cursor(key: Sequence[Any]) -> str:
    text = json.dumps(list(key), default=datetime.isoformat)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _paging(default: int) -> Callable[..., Paging]:
    def paging(
        limit: int = Query(default, ge=1, le=MOST, description="how many"),
        cursor: str | None = Query(None, max_length=500, description="next_cursor of the page before"),
    ) -> Paging:
        return Paging(limit, cursor)

    return paging


Paged = Annotated[Paging, Depends(_paging(50))]
History = Annotated[Paging, Depends(_paging(20))]
