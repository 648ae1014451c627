"""Texts for networks: cut to what they accept, and compared with what they made of them."""

from __future__ import annotations

import re
import unicodedata

from pressroom.domain.markup.cutting import WEB_LINK, Length
from pressroom.domain.markup.cutting import cut as cut_text
from pressroom.domain.publishing import Content

_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*\n\s*")


def cut(text: str, most: int, length: Length = len) -> str:
    """The text, at most ``most`` long, with an ellipsis where it was cut. No link is cut in two."""
    return cut_text(_LINES.sub("\n\n", _BLANKS.sub(" ", text)).strip(), most, length, mark="…", links=True)


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
    return text if WEB_LINK.fullmatch(text) else ""


def is_web_link(text: str) -> str:
    """For a field that holds a link on the web, or nothing. Raises ValueError for others."""
    if text and not web_link(text):
        raise ValueError("is not a web address (https://…)")
    return text


def plain(text: str) -> str:
    """A text as two copies of it are compared: composed characters, any white space as one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _begins(text: str, title: str) -> bool:
    return plain(text).casefold().startswith(plain(title).casefold())
