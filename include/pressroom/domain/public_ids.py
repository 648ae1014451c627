"""Public ids: a prefix for the kind, and the row's number."""

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
LINK = "lnk"
MESSAGE = "msg"

LARGEST = 2**63 - 1
_ID = re.compile(r"([a-z]+)_([1-9][0-9]{0,18})")


def public_id(prefix: str, number: int) -> str:
    """``msn_12``."""
    return f"{prefix}_{number}"


def row_number(text: str) -> int | None:
    """12 for ``12``. None for a text that cannot be a row's number."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return number if 0 < number <= LARGEST else None


def row_id(prefix: str, text: str) -> int | None:
    """12 for ``msn_12``. None for a text that is not an id of this kind."""
    match = _ID.fullmatch(text)
    return row_number(match[2]) if match and match[1] == prefix else None


def workflow_path(kind: str, number: int) -> str:
    """Where the API and the page have a workflow, below their base: ``sites/12``, ``missions/msn_12``."""
    prefix = {"mission": MISSION, "flow": FLOW}.get(kind)
    return f"{kind}s/{number if prefix is None else public_id(prefix, number)}"
