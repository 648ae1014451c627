"""Where an article's pictures stand in its text, and what their files are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

PICTURE_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}
"""Media type → suffix of the pictures that every browser shows, and none runs."""

SUFFIXES = {**PICTURE_SUFFIXES, "image/svg+xml": "svg", "text/html": "html"}
"""Media type → suffix of everything that is stored."""

_HEADING = re.compile(r"(?=<h2>)")


def suffix_of(media_type: str) -> str:
    """How the name of a stored file ends, ``bin`` for a type that is not known."""
    return SUFFIXES.get(media_type, "bin")


def place(markup: str, figures: Sequence[str]) -> str:
    """Sanitised HTML with a figure after the first paragraph below each heading; what is left at the end."""
    parts, waiting = _HEADING.split(markup), list(figures)
    for index, part in enumerate(parts):
        if waiting and part.startswith("<h2>"):
            head, closing, rest = part.partition("</p>")
            parts[index] = f"{head}{closing}{waiting.pop(0)}{rest}"
    return "".join([*parts, *waiting])
