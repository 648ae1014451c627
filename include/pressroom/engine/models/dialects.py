"""Keeps what was learned of models' servers in Postgres, for all workers on all hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pressroom.store.database import SYSTEM, Store, Tx


class StoredDialects:
    """The ``Dialects`` of the database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def recall(self, connection: str, server: str, model: str) -> Mapping[str, Any] | None:
        """What was learned; None when no call has got through yet."""
        learned: Mapping[str, Any] | None = await self._store.run(
            SYSTEM, Tx.value, "learned_dialect", connection=connection, server=server, model=model
        )
        return learned

    async def learn(self, connection: str, server: str, model: str, learned: Mapping[str, Any]) -> None:
        """Add what is new to what is known."""
        await self._store.run(
            SYSTEM, Tx.run, "learn_dialect",
            connection=connection, server=server, model=model, learned=dict(learned),
        )  # fmt: skip
