"""Has what sources send read in a process with limits.

A feed or a page is made by strangers, and its parsers take a time that grows with the square of what they are
sent. Nothing stops them in a thread. A document that takes too much fails its source, and harms no other.
"""

from __future__ import annotations

from typing import Any

from pressroom.adapters.sources.reading.sitemap import Sitemap
from pressroom.bounded.process import SHARED, CallLimits
from pressroom.domain.errors import PermanentError, TooMuch
from pressroom.domain.packets import SourceItem

LIMITS = CallLimits(cpu_seconds=20, seconds=180, memory_bytes=1 << 30, answer_bytes=64 << 20)
"""A feed of 5 MB with 5,000 entries takes a quarter of these."""


async def items_of(reader: str, where: str, *args: Any) -> list[SourceItem]:
    """The items that a reader makes of its arguments. ``reader``: module and function below ``reading``;
    ``where``: as messages name the source.

    Raises PermanentError when the document takes too much, and what the reader raises.
    """
    return [SourceItem.of_data(data) for data in await _read(reader, where, *args)]


async def sitemap_of(body: bytes, where: str) -> Sitemap:
    """A sitemap, as ``reading.sitemap`` reads it. Raises as ``items_of``."""
    return Sitemap.of_data(await _read("sitemap:read_sitemap", where, body, where))


async def _read(reader: str, where: str, *args: Any) -> Any:
    try:
        return await SHARED.call(f"pressroom.adapters.sources.reading.{reader}", *args, limits=LIMITS)
    except TooMuch as error:
        raise PermanentError(f"{where}: this cannot be read within the limits: {error}") from None
