"""Cursors: what a list gives it takes back, and nothing else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pressroom.api.kit.paging import Paging
from pressroom.api.kit.problems import Problem
from pressroom.domain.public_ids import LARGEST

AT = datetime(2026, 11, 26, 12, 30, 0, 123456, tzinfo=UTC)


def cursor(*values: Any) -> str:
    """A cursor that holds these values."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def test_a_page_gives_the_cursor_of_the_next() -> None:
    page = Paging(2, None).page([1, 2, 3], str, lambda row: [AT, row, "a"])
    assert page.items == ["1", "2"]
    assert Paging(2, page.next_cursor).after(datetime, int, str) == [AT, 2, "a"]
    assert Paging(2, cursor(7)).before == 7


def test_the_first_page_has_no_cursor_and_the_last_gives_none() -> None:
    first = Paging(2, None)
    assert (first.before, first.after(datetime, int)) == (None, None)
    assert first.page([1, 2], str, lambda row: [row]).next_cursor is None


@pytest.mark.parametrize(
    "text",
    ["", "bm8", "é", cursor(), cursor(1), cursor(AT.isoformat()), cursor(AT.isoformat(), 1, 2),
     cursor(1, AT.isoformat()), cursor("yesterday", 1), cursor("2026-11-26T12:30:00", 1),
     cursor(AT.isoformat(), True), cursor(AT.isoformat(), 1.0), cursor(AT.isoformat(), "1"),
     cursor(AT.isoformat(), -1), cursor(AT.isoformat(), LARGEST + 1), cursor(None, 1), cursor([], 1),
     base64.urlsafe_b64encode(b'{"a": 1}').decode(), base64.urlsafe_b64encode(b"[" * 100_000).decode()],
)  # fmt: skip
def test_a_cursor_of_another_list_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="this cursor belongs to another list") as refused:
        Paging(2, text).after(datetime, int)
    assert (refused.value.status, refused.value.errors[0].field) == (422, "query.cursor")
