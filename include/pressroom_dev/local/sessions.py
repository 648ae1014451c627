"""Sessions of processes: who belongs to one, and how to end it with all that it started.

Every service leads a session of its own. Airflow puts task processes into process groups of their own, so to
kill a group would miss them; a session cannot be left by accident, and it still names its members when its
leader is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

DATABASE_SECONDS = 10.0


@dataclass(frozen=True)
class Session:
    """A service's session as it is written down, for a process that is to end it later.

    ``created``: when its leader began. An id alone proves nothing, because ids are used again.
    """

    name: str
    pid: int
    created: float
    stop_signal: int

    def runs(self, *, same_boot: bool = True) -> bool:
        """Whether any of it is alive. An id without its leader counts only in the same run of the machine."""
        try:
            ours = abs(psutil.Process(self.pid).create_time() - self.created) < 1
        except psutil.Error:
            ours = same_boot
        return ours and bool(members(self.pid))


def members(session_id: int) -> list[int]:
    """The living processes of a session, zombies left out."""
    processes = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(pid) == session_id and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                processes.append(pid)
    return processes


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill(session_ids: Sequence[int]) -> None:
    """Kill every process of some sessions."""
    # More than one round: a process may fork between the listing and the kill.
    for _ in range(5):
        pids = [pid for session_id in session_ids for pid in members(session_id)]
        if not pids:
            return
        for pid in pids:
            send(pid, signal.SIGKILL)
        time.sleep(0.05)


def end(sessions: Iterable[Session]) -> None:
    """End what a runner left. The sessions must be known to be the runner's."""
    left = list(sessions)
    # A database shuts down cleanly on an interrupt. The others have nothing to lose, and it must not wait for
    # them.
    databases = [process.pid for process in left if process.stop_signal == signal.SIGINT]
    kill([process.pid for process in left if process.pid not in databases])
    for pid in databases:
        send(pid, signal.SIGINT)
    for pid in databases:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).wait(timeout=DATABASE_SECONDS)
    kill(databases)


class Registry:
    """A file that lists the running sessions, so that the next start can end what was left of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, sessions: Iterable[Session]) -> None:
        """Note what runs now."""
        content = {"boot": psutil.boot_time(), "sessions": [asdict(session) for session in sessions]}
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        temporary.replace(self._path)

    def clear(self) -> None:
        """Note that nothing runs."""
        self._path.unlink(missing_ok=True)

    def end_leftovers(self) -> list[str]:
        """End the listed sessions that still run, and return their names."""
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
            sessions = [Session(**row) for row in record["sessions"]]
            same_boot = abs(record["boot"] - psutil.boot_time()) < 60
        except (OSError, ValueError, KeyError, TypeError):
            return []
        left = [session for session in sessions if session.runs(same_boot=same_boot)]
        end(left)
        self.clear()
        return [session.name for session in left]
