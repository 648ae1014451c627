"""Advances the simulator's clock while a mission's run waits for results, so that a week passes in
moments.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import httpx

from pressroom.domain.missions import Mission
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow

PATIENCE_SECONDS = 8.0
"""The longest wait for a look of the run before the clock is advanced anyway."""


class FastForward:
    """For one mission. The clock moves from one look to the next, and never beyond the end of measuring."""

    def __init__(self, store: Store, row: WorkflowRow, simulator: httpx.Client) -> None:
        self._store, self._row, self._simulator = store, row, simulator
        self._looks = -1
        self._moved = 0.0

    def step(self, dag_run_id: str) -> None:
        """Advance the clock if the run waits and has looked since the last step."""
        mission = self._row.workflow
        if not isinstance(mission, Mission):
            raise TypeError(f"{mission.kind} {mission.slug} has no clock to move")
        with self._store.transaction(self._row.account_id) as tx:
            rows = tx.rows("waiting_cycle", mission=self._row.workflow_id, dag_run_id=dag_run_id)
        if not rows:
            return
        looks, closes_at = rows[0]["looks"], rows[0]["closes_at"]
        now = self.now()
        if now >= closes_at or (looks <= self._looks and time.monotonic() - self._moved < PATIENCE_SECONDS):
            return
        self._looks, self._moved = looks, time.monotonic()
        self.to(min(now + timedelta(minutes=mission.measuring.poll_minutes), closes_at))

    def now(self) -> datetime:
        """The simulator's time."""
        return datetime.fromisoformat(
            self._simulator.get("/simulator/clock").raise_for_status().json()["now"]
        )

    def to(self, at: datetime) -> None:
        """Move the clock to a later time."""
        self._simulator.post("/simulator/clock", json={"to": at.isoformat()}).raise_for_status()
