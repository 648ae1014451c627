"""Pieces on targets, exactly once: the publication ledger for whatever is no scheduled post."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pressroom.domain.publishing import Publication
from pressroom.domain.social import Receipt
from pressroom.domain.targets import UPDATES_IN_PLACE, Piece, Placed, Target
from pressroom.engine.money.ledger import Scope
from pressroom.engine.publishing.attempt import Outside, publish_once
from pressroom.engine.publishing.claim import Attempted, Intent, Patience
from pressroom.store.database import Store


async def publish_piece(
    store: Store,
    scope: Scope,
    target: Target[Any],
    content: str,
    content_hash: str,
    piece: Piece[Any],
    *,
    update: bool = False,
    patience: Patience | None = None,
) -> Publication:
    """Bring a piece to its target, or find that it is there. Errors as in ``Publisher``.

    It is looked for by its key, which every try leaves there alike. ``update``: when the target has it with
    another hash and can change it in place, it is sent again, under the same key.
    """

    async def submit() -> Receipt:
        return _receipt(await target.publish(piece))

    async def find(_: Attempted) -> Receipt | None:
        placed = await target.find(piece)
        return None if placed is None else _receipt(placed)

    at = piece.at or datetime.now(UTC)
    sent = {"key": piece.key, "arguments": piece.arguments.model_dump(mode="json")}
    intent = Intent(
        content, f"{target.connection or target.handler}/{target.handler}", content_hash, at, sent,
        updates=update and target.handler in UPDATES_IN_PLACE,
    )  # fmt: skip
    return await publish_once(store, scope, intent, Outside(submit, find, target.settle_seconds), patience)


def _receipt(placed: Placed) -> Receipt:
    return Receipt(placed.external_id, placed.delivery, public_url=placed.url, detail=placed.detail)
