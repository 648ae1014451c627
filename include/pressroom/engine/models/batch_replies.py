"""Replies that came in batches, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pressroom.domain.model import Finish, ModelReply, ToolCall, Usage
from pressroom.domain.text import storable
from pressroom.engine.money.ledger import CostScope
from pressroom.store.database import Store, Tx


def as_row(reply: ModelReply) -> dict[str, Any]:
    """A reply as JSON. Its usage is booked, and no part of it."""
    return {
        "text": storable(reply.text),
        "finish": str(reply.finish),
        "model": reply.model,
        "refusal": storable(reply.refusal),
        "calls": [[call.name, call.arguments] for call in reply.tool_calls],
    }


def of_row(row: Mapping[str, Any]) -> ModelReply:
    """The reply of ``as_row``."""
    calls = [ToolCall(name, arguments) for name, arguments in row["calls"]]
    return ModelReply(row["text"], Finish(row["finish"]), Usage(), row["model"], calls, row["refusal"])


def replies(tx: Tx, keys: Sequence[str]) -> dict[str, ModelReply]:
    """The replies to these requests, by their keys."""
    return {row["key"]: of_row(row["reply"]) for row in tx.rows("batch_replies", keys=list(keys))}


async def batch_reply(store: Store, scope: CostScope, key: str) -> ModelReply | None:
    """The reply that a batch brought; None when none did, or when the answer is in the cache already."""

    def look(tx: Tx) -> ModelReply | None:
        row: Mapping[str, Any] | None = tx.value("batch_reply", key=key)
        return None if row is None else of_row(row)

    return await store.run(scope.account_id, look)
