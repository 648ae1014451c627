"""The format and size of a picture's bytes, which may differ from what the provider was asked for."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from pressroom.domain.errors import TransientError


def inspect(data: bytes, *, connection: str) -> tuple[str, int, int]:
    """Media type, width and height in pixels. Raises TransientError unless the bytes are a whole picture."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return Image.MIME[image.format or ""], image.width, image.height
    except (UnidentifiedImageError, OSError, KeyError, Image.DecompressionBombError):
        raise TransientError(f"connection {connection!r}: the answer is not a picture") from None
