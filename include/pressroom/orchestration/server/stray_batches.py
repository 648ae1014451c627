"""The scheduler's sweep has the provider's batches looked after whose runs are over.

A run that failed leaves its batch at work, and one that was cancelled does not wait long for the provider's
cancel. Nobody may ever clear it or start the next one, and still the batch is paid for. To ask a provider
takes seconds, which a fork of the scheduler would wait for, so a process of its own does it
(``collect_batches``): one at a time, and none while there is no such batch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from pressroom.store.database import Store

COLLECTOR = "pressroom.orchestration.server.collect_batches"
LONGEST = 900.0
"""Seconds after which a collector is ended. What it has not done, the next one does."""


class StrayBatches:
    """Begins a collector when a batch is due."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._collector: subprocess.Popen[bytes] | None = None
        self._begun = 0.0

    def look(self) -> None:
        """Have due batches looked at, unless a collector is at work."""
        if self._collector is not None and self._collector.poll() is None:
            if time.monotonic() - self._begun > LONGEST:
                self._collector.kill()
            return
        with self._store.transaction() as tx:
            due = [f"{row['account_id']}:{row['id']}" for row in tx.rows("claim_stray_batches")]
        if due:
            self._begun = time.monotonic()
            self._collector = begin(due)


def begin(batches: list[str]) -> subprocess.Popen[bytes]:
    """Start a collector for these batches. It finds what this process finds, and logs where it does."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", COLLECTOR, *batches]
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)
