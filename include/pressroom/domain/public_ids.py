"""Ids as others see them: a prefix that says what it is, and the row's number."""

from __future__ import annotations

MISSION = "msn"
BRAND = "brc"
CONTENT = "cnt"


def public_id(prefix: str, number: int) -> str:
    """``msn_12``."""
    return f"{prefix}_{number}"
