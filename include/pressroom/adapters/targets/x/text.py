"""Texts of posts on X: how long they are, and whether two of them are the same."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from pressroom.adapters.targets.text import plain
from pressroom.domain.platforms import length_of
from pressroom.domain.social import Platform

TEXT = 280

_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_OWN_MEDIA = re.compile(r"/status/\d+/(photo|video)/\d+$")


def weight(text: str) -> int:
    """How long X takes a text to be: a link counts 23, emoji and CJK 2."""
    return length_of(Platform.TWITTER, text)


def comparable(text: str) -> str:
    """A text as two copies of it are compared: links without what X adds to them or leaves out."""
    return _LINK.sub(
        lambda link: re.sub(r"^https?://", "", link.group(), flags=re.I).rstrip("/"), plain(text)
    )


def expanded(post: Mapping[str, Any]) -> str:
    """A post's text with the links that its author wrote, and without the ones to its own pictures."""
    text = html.unescape(str(post.get("text") or ""))
    entities = post.get("entities")
    urls = entities.get("urls") if isinstance(entities, dict) else None
    for url in urls if isinstance(urls, list) else []:
        short, long = (str(url.get(name) or "") for name in ("url", "expanded_url"))
        own = bool(url.get("media_key")) or bool(_OWN_MEDIA.search(long))
        text = text.replace(short, "" if own else long) if short and (own or long) else text
    return text
