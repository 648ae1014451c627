"""Pictures as services take them: of a format that they know, and small enough."""

from __future__ import annotations

import asyncio
import io
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from PIL import Image, UnidentifiedImageError

from pressroom.adapters.http.addresses import why_refused
from pressroom.domain.errors import PermanentError
from pressroom.domain.publishing import Picture, TargetLimits

_QUALITIES = (90, 80, 70)
_SMALLEST = 64


@dataclass(frozen=True)
class Fitted:
    """A picture ready to be sent. Sizes in pixels."""

    data: bytes
    media_type: str
    width: int
    height: int
    alt: str = ""


async def fitted(picture: Picture, limits: TargetLimits) -> Fitted:
    """The picture as it is when the service takes it so, else as a JPEG that fits.

    Raises PermanentError when its bytes are no picture.
    """
    most = limits.picture_bytes or len(picture.data)
    return await asyncio.to_thread(_fitted, picture, limits.picture_types, most)


def _fitted(picture: Picture, types: Collection[str], most_bytes: int) -> Fitted:
    try:
        with Image.open(io.BytesIO(picture.data)) as image:
            image.load()
            kind = Image.MIME.get(image.format or "", "")
            if kind in types and len(picture.data) <= most_bytes:
                return Fitted(picture.data, kind, image.width, image.height, picture.alt)
            return _jpeg(image, most_bytes, picture.alt)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        raise PermanentError("one of the pictures is broken, or no picture at all") from None


def _jpeg(image: Image.Image, most_bytes: int, alt: str) -> Fitted:
    flat = Image.new("RGB", image.size, "white")
    layer = image.convert("RGBA")
    flat.paste(layer, mask=layer.getchannel("A"))
    while True:
        for quality in _QUALITIES:
            out = io.BytesIO()
            flat.save(out, "JPEG", quality=quality, optimize=True)
            if out.tell() <= most_bytes:
                return Fitted(out.getvalue(), "image/jpeg", flat.width, flat.height, alt)
        if min(flat.size) <= _SMALLEST:
            raise PermanentError(f"a picture cannot be made smaller than {most_bytes:,} bytes")
        flat = flat.resize(
            (max(flat.width * 3 // 4, 1), max(flat.height * 3 // 4, 1)), Image.Resampling.LANCZOS
        )


def is_public(url: str) -> bool:
    """Whether others can fetch a picture there: on the web, and at no address of this machine or network."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host or host == "localhost" or "." not in host.strip("."):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return not host.endswith((".localhost", ".local", ".internal"))
    return not why_refused(host)
