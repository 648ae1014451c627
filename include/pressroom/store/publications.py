"""Whose a piece at a target is, by the publications of all accounts."""

from __future__ import annotations

from pressroom.store.database import Tx

FOREIGN = "something that is not this account's"


def twin_of(tx: Tx, publication_id: int, target: str, external_id: str) -> str | None:
    """The other publication that the target has under this id, None when there is none. Of another account's
    it is not said what it is.
    """
    name: str | None = tx.value(
        "publication_twin", publication=publication_id, target=target, external_id=external_id
    )
    if name is None and tx.value("publication_is_anothers", target=target, external_id=external_id):
        return FOREIGN
    return name
