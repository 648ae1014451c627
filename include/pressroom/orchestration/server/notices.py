"""The scheduler's sweep makes messages of what waits in the outbox of notices, and has them sent."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from airflow.configuration import conf

from pressroom.engine.notices import outbox
from pressroom.store.database import Store

DELIVERER = "pressroom.orchestration.server.deliver_notices"
CAPS_EVERY = 60.0
"""Seconds between looks at the caps."""
WAY_OUT = "http://localhost:8080"


class NoticeOutbox:
    """Begins a deliverer when a message is due. It ends by itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._deliverer: subprocess.Popen[bytes] | None = None
        self._caps_at = 0.0

    def look(self) -> None:
        """Make messages, and have them sent unless a deliverer is at work."""
        if time.monotonic() >= self._caps_at:
            self._caps_at = time.monotonic() + CAPS_EVERY
            outbox.look_at_caps(self._store)
        outbox.gather(self._store, page_address())
        if self._deliverer is not None and self._deliverer.poll() is None:
            return
        with self._store.transaction() as tx:
            due = tx.value("notice_messages_due")
        if due:
            self._deliverer = begin()


def page_address() -> str:
    """Where people open the page, with a slash at its end."""
    base = conf.get("api", "base_url", fallback="") or WAY_OUT
    return f"{base.rstrip('/')}/pressroom/"


def begin() -> subprocess.Popen[bytes]:
    """Start a deliverer. It finds what this process finds, and logs where it does."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen([sys.executable, "-m", DELIVERER], env=env, stdin=subprocess.DEVNULL)
