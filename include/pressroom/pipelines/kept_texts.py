"""The texts that a version of an article or a post is compared with: as generated, and as last approved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pressroom.store.database import Tx

KeptVersion = Literal["generated", "approved"]


@dataclass(frozen=True)
class KeptText:
    """``body``: of an article its HTML, of a post its parts with an empty line between.

    ``by``: who approved it.
    """

    version: KeptVersion
    title: str
    body: str
    by: str
    at: datetime


def keep_text(
    tx: Tx,
    kind: Literal["article", "post"],
    number: int,
    version: KeptVersion,
    title: str,
    body: str,
    by: str,
) -> None:
    """Keep a text. What was generated is kept once, before its first edit; an approval replaces the last."""
    tx.run("text_kept", kind=kind, number=number, version=version, title=title, body=body, by=by)


def kept_texts(tx: Tx, kind: Literal["article", "post"], number: int) -> dict[str, KeptText]:
    """The kept texts of a piece, by version."""
    return {each.version: each for each in tx.all("texts_kept", KeptText, kind=kind, number=number)}
