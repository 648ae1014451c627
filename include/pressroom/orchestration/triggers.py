"""The trigger behind every wait of a run: pauses and delays hold no worker slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from pressroom.domain.errors import TransientError
from pressroom.engine import control
from pressroom.orchestration import connections
from pressroom.store.database import Store

POLL_SECONDS = 2.0


class RunTrigger(BaseTrigger):
    """Fires when the run may go on: not paused, and ``until`` (ISO 8601, optional) has come.

    It fires too when the run is cancelled or no longer live, so that what waits can end. While it waits it
    renews the run's lease: a run that is only waiting is not a dead one.
    """

    def __init__(self, account_id: int, run_id: int, until: str | None = None) -> None:
        super().__init__()
        self.account_id = account_id
        self.run_id = run_id
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See BaseTrigger."""
        values = {"account_id": self.account_id, "run_id": self.run_id, "until": self.until}
        return f"{type(self).__module__}.{type(self).__qualname__}", values

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll the run's row."""
        store = connections.store_at(await connections.adatabase_url())
        due = datetime.fromisoformat(self.until) if self.until else None
        while True:
            try:
                state = await asyncio.to_thread(self._look, store)
            except TransientError as error:
                self.log.warning("%s; looking again", error)
            else:
                now = datetime.now(UTC)
                if (
                    not state.live
                    or state.cancel_requested
                    or (not state.paused and (due is None or now >= due))
                ):
                    yield TriggerEvent({"status": state.status})
                    return
            await asyncio.sleep(POLL_SECONDS)

    def _look(self, store: Store) -> control.RunState:
        with store.transaction(self.account_id) as tx:
            state = control.get(tx, self.run_id)
            if state.live and state.lease_until - datetime.now(UTC) < control.LEASE - control.RENEW_EVERY:
                control.renew(tx, self.run_id)
            return state
