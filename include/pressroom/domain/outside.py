"""What comes from outside, made harmless as text: bounded, without characters that hide or reorder it.

Nothing here judges what a text says. Instructions in a feed stay what they are: data.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from pressroom.domain.markup.cutting import cut

URL_CHARS = 2048

SLOWEST_UPLOAD = 100_000
"""Bytes a second. What is sent at this rate or faster is not cut off for its size."""

_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Control characters, soft hyphens, blank letters, zero-width spaces, marks and overrides of direction, tag
# characters, supplementary variation selectors, halves of surrogate pairs.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Joiners and emoji selectors shape Persian, Indic scripts and emoji; after ASCII or in a row they only hide.
_JOINERS = re.compile("(?:(?<=[\x00-\x7f])|^)[\u200c\u200d\ufe00-\ufe0f]+|(?<=[\u200c\u200d])[\u200c\u200d]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_SPACES = re.compile(r"[ \t\u00a0]{2,}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
_URL_ESCAPES = {ord(sign): f"%{ord(sign):02X}" for sign in ' <>"\\^`{|}'}
_CONTROL = re.compile(r"[\x00-\x20\x7f]+")

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_MILLISECONDS = 1e11
"""A number above this is a time in milliseconds: in seconds it would be in the year 5138."""


def clean_text(text: str, most: int) -> str:
    """At most ``most`` characters over several lines, with at most one blank line in a row."""
    text = visible(text[: 3 * most])
    text = "\n".join(_SPACES.sub(" ", line).rstrip() for line in text.split("\n"))
    return cut(_BLANK_LINES.sub("\n\n", text).strip(), most)


def clean_line(text: str, most: int) -> str:
    """At most ``most`` characters on one line, cut between words where there are any."""
    return cut(" ".join(visible(text[: 3 * most]).split()), most)


def visible(text: str) -> str:
    """The text without characters that cannot be seen, every line break as ``\\n``."""
    return _JOINERS.sub("", _UNSEEN.sub("", _BREAKS.sub("\n", text)))


def web_url(value: object, base: str = "") -> str:
    """An absolute http(s) URL without credentials, '' for others. ``base``: what a relative one is of."""
    text = _CONTROL.sub(" ", str(value or "")[: 2 * URL_CHARS]).strip()
    if not text:
        return ""
    try:
        url = urljoin(base, text.translate(_URL_ESCAPES))
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        _ = parts.port
    except ValueError:
        return ""
    return url if usable and len(url) <= URL_CHARS and visible(url) == url else ""


def moment(value: object) -> datetime | None:
    """An aware time from ISO 8601, RFC 2822, or seconds or milliseconds since 1970; None when it is none.

    A time without a zone counts as UTC.
    """
    try:
        at = _moment(value)
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None
    if at is None:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC) if _EARLIEST <= aware < _LATEST else None
    except OverflowError:
        return None


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, datetime):
        return value
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)
    text = str(value)[:64].strip()
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return _moment(float(text)) if text.replace(".", "", 1).isdecimal() else parsedate_to_datetime(text)
    except ValueError:
        return None


def language_tag(value: object) -> str:
    """A language tag such as ``en`` or ``pt-BR``, '' for anything else."""
    text = str(value or "").strip().replace("_", "-")
    return text if _LANGUAGE.fullmatch(text) else ""


def bounded_fields(data: Mapping[str, Any], chars: int) -> dict[str, Any]:
    """Up to 50 fields of what somebody sent, fit to be stored: each about ``chars`` characters at most."""
    return {clean_line(str(key), 100): bounded_json(value, chars) for key, value in list(data.items())[:50]}


def bounded_json(value: Any, chars: int, *, depth: int = 6) -> Any:
    """JSON of at most about ``chars`` characters: long texts and lists cut, what is too much None."""
    if isinstance(value, str):
        return clean_text(value, chars)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth <= 0:
        return None
    whole: Any
    if isinstance(value, dict):
        pairs = list(value.items())[:50]
        whole = {
            clean_line(str(key), 100): bounded_json(entry, chars, depth=depth - 1) for key, entry in pairs
        }
    elif isinstance(value, (list, tuple)):
        whole = [bounded_json(entry, chars, depth=depth - 1) for entry in value[:100]]
    else:
        return clean_text(str(value), chars)
    return whole if len(json.dumps(whole, ensure_ascii=False)) <= chars else None


def same_site(url: str, other: str) -> bool:
    """Whether two addresses are of one site, with or without ``www``."""
    hosts = [(urlsplit(address).hostname or "").removeprefix("www.") for address in (url, other)]
    return hosts[0] == hosts[1]
