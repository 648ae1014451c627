"""Texts for networks: cut to what they accept, and compared with what they made of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import regex

from pressroom.domain.errors import PermanentError
from pressroom.domain.publishing import Content

Length = Callable[[str], int]
"""How long a network takes a text to be."""

_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*\n\s*")
_WEB = re.compile(r"https?://[^\s<>\"/][^\s<>\"]*", re.IGNORECASE)
# Whatever a network counts, this many times its limit in characters is too long; only links count for less.
_FAR = 20
# Times are compared loosely: clocks differ.
_NOW = timedelta(minutes=1)


def cut(text: str, most: int, length: Length = len) -> str:
    """The text, at most ``most`` long, cut between words where that is possible, with an ellipsis.

    Neither a link nor what counts as one character to its readers is cut in two.
    """
    text = _LINES.sub("\n\n", _BLANKS.sub(" ", text)).strip()
    if len(text) <= _FAR * most and length(text) <= most:
        return text
    units = regex.findall(r"\X", text[: _FAR * most])
    low, high = 0, len(units)
    while low < high:  # the longest beginning that fits with its ellipsis
        middle = (low + high + 1) // 2
        if length(_ended("".join(units[:middle]))) <= most:
            low = middle
        else:
            high = middle - 1
    kept = "".join(units[:low])
    if not kept.strip():
        return ""
    if low < len(units) and not units[low].isspace():
        # A single word longer than half of it, or a script without blanks, is cut where the limit is.
        words = kept.rsplit(None, 1)[0]
        kept = words if len(words) > len(kept) // 2 else kept
    split = next((found for found in _WEB.finditer(text) if found.start() < len(kept) < found.end()), None)
    kept = text[: split.start()] if split else kept
    return _ended(kept) if kept.strip() else ""


def _ended(text: str) -> str:
    return f"{text.rstrip().rstrip('.,;:…')}…"


def post_of(content: Content, most: int, length: Length = len, *, link: bool = True) -> str:
    """A post about the content: title, what it says, and its link, which is never cut."""
    body = content.excerpt or content.text
    parts = [content.title, body] if not _begins(body, content.title) else [body]
    text = "\n\n".join(part.strip() for part in parts if part.strip())
    tail = content.link if link and content.link not in text else ""
    if not tail:
        return cut(text, most, length)
    if length(tail) > most:
        return cut(text, most, length)
    room = most - length(f"\n\n{tail}")
    return "\n\n".join(filter(None, (cut(text, room, length) if room > 0 else "", tail)))


def web_link(text: str) -> str:
    """The link when it is one on the web, else ''."""
    return text if _WEB.fullmatch(text) else ""


def is_web_link(text: str) -> str:
    """For a field that holds a link on the web, or nothing. Raises ValueError for others."""
    if text and not web_link(text):
        raise ValueError("is not a web address (https://…)")
    return text


def plain(text: str) -> str:
    """A text as two copies of it are compared: composed characters, any white space as one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def refuse_later(at: datetime | None, service: str, now: datetime | None = None) -> None:
    """Raises PermanentError when a piece shall appear later, at a service that publishes at once only."""
    if at is not None and at > (now or datetime.now(UTC)) + _NOW:
        raise PermanentError(
            f"{service} publishes at once, and this shall appear at {at.isoformat()}: publish it then"
        )


def _begins(text: str, title: str) -> bool:
    return plain(text).casefold().startswith(plain(title).casefold())
