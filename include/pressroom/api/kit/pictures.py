"""Pictures in a folder of this server's: the API serves them itself, with the caller's rights."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from pressroom.adapters.storage.media import is_local, read_local
from pressroom.api.kit.problems import not_found
from pressroom.domain.errors import PermanentError
from pressroom.domain.markup.html import PICTURE_SUFFIXES

PICTURES = (*PICTURE_SUFFIXES, "image/svg+xml")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""For browsers: a page or picture may show pictures of this server, and do nothing else."""

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
PICTURE_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": dict.fromkeys(PICTURES, _BINARY), "description": "the picture"}
}
"""What a route that serves a picture documents."""


def base_of(request: Request) -> str:
    """The path below which the API is."""
    return str(request.scope.get("root_path", ""))


def image_url(base: str, content: str, position: int, stored: str) -> str:
    """The URL at which callers find a picture of an article or a post. ``base``: where the API is."""
    return f"{base}/content/{content}/images/{position}" if is_local(stored) else stored


def served(url: str | None, media_type: str | None) -> Response:
    """A stored picture. Raises Problem 404 when this server does not have it."""
    if url is None or media_type not in PICTURES or not is_local(url):
        raise not_found("picture here")
    try:
        data = read_local(url)
    except PermanentError:
        raise not_found("picture here") from None
    return Response(data, media_type=media_type, headers=HEADERS | {"Cache-Control": "private"})
