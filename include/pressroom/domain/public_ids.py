"""Ids as others see them: a prefix that says what it is, and the row's number."""

from __future__ import annotations

MISSION = "msn"
BRAND = "brc"
CONTENT = "cnt"
JOB = "job"


def public_id(prefix: str, number: int) -> str:
    """``msn_12``."""
    return f"{prefix}_{number}"


def row_id(prefix: str, text: str) -> int:
    """The number behind a public id, or behind the number itself. Raises ValueError."""
    digits = text.removeprefix(f"{prefix}_")
    if not digits.isdecimal():
        raise ValueError(f"{text!r} is not an id such as {prefix}_12")
    return int(digits)
