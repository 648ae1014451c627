"""Ids as others see them: a prefix that says what it is, and the row's number."""

from __future__ import annotations

import re

MISSION = "msn"
BRAND = "brc"
CONTENT = "cnt"
ARTICLE = "art"
JOB = "job"
FLOW = "flw"
PUBLICATION = "pub"
INSIGHT = "ins"
ITEM = "itm"
GATE = "gat"
KEY = "key"

LARGEST = 2**63 - 1
_ID = re.compile(r"([a-z]+)_([1-9][0-9]{0,18})")


def public_id(prefix: str, number: int) -> str:
    """``msn_12``."""
    return f"{prefix}_{number}"


def row_number(given: str) -> int | None:
    """12 for ``12``; None for what no row can have."""
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 20 else 0
    return number if 0 < number <= LARGEST else None


def row_id(prefix: str, given: str) -> int | None:
    """12 for ``msn_12``; None for what is no id of that kind."""
    match = _ID.fullmatch(given)
    return row_number(match[2]) if match and match[1] == prefix else None
