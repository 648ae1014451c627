"""A process that ends what a runner started when the runner is gone, however it went: killed, or crashed.

The runner holds one end of a pipe, which the kernel closes with it, and tells the guard through it which
sessions there are. The guard leads a session of its own, so that what ends the runner's terminal or process
group does not end the guard. ``PR_SET_PDEATHSIG`` would be no substitute: grandchildren do not inherit it,
it is sent when the thread ends that has started the child, and only Linux has it.

With PRESSROOM_ENDS_WITH_PARENT=1 (the Makefile sets it) the guard also ends the runner when the runner's
parent is gone, as when ``make`` is killed. Not otherwise: what was started with nohup outlives its shell.

Run by ``Guard`` as ``python -m pressroom_dev.local.guard RUNNER PARENT``.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import IO, cast

import psutil

from pressroom_dev.local import sessions
from pressroom_dev.local.sessions import Session

WITH_PARENT = "PRESSROOM_ENDS_WITH_PARENT"
POLL_SECONDS = 0.5
END_SECONDS = 30.0


class Guard:
    """The runner's side. The guard starts with the first session, and ends with the runner."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sessions: dict[int, Session] = {}

    def start(self) -> None:
        """Start the guard before there is a session, for a runner that is to end with its parent."""
        with self._lock:
            self._tell()

    def watch(self, session: Session) -> None:
        """End this session when the runner is gone."""
        with self._lock:
            self._sessions[session.pid] = session
            self._tell()

    def forget(self, session_id: int) -> None:
        """The session has ended."""
        with self._lock:
            if self._sessions.pop(session_id, None):
                self._tell()

    def close(self) -> None:
        """End what is still watched, and the guard."""
        with self._lock:
            if self._process is not None:
                cast(IO[bytes], self._process.stdin).close()
                self._process.wait(END_SECONDS)
                self._process = None

    def _tell(self) -> None:
        """Send the whole list: a guard that was killed is followed by another, which knows nothing."""
        line = json.dumps([asdict(session) for session in self._sessions.values()]).encode() + b"\n"
        while True:
            if self._process is None or self._process.poll() is not None:
                self._process = _start()
                atexit.unregister(self.close)
                atexit.register(self.close)
            with contextlib.suppress(BrokenPipeError):
                os.write(cast(IO[bytes], self._process.stdin).fileno(), line)
                return


def _start() -> subprocess.Popen[bytes]:
    parent = os.getppid() if os.environ.get(WITH_PARENT) == "1" else 0
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(os.getpid()), str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


GUARD = Guard()
"""This process's."""


def main() -> None:
    """Watch the runner named on the command line, and end its sessions when it is gone."""
    runner, parent = (int(argument) for argument in sys.argv[1:])
    watched: list[Session] = []
    rest = b""
    while True:
        if select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
            received = os.read(sys.stdin.fileno(), 1 << 16)
            if not received:
                break
            *lines, rest = (rest + received).split(b"\n")
            if lines:
                watched = [Session(**row) for row in json.loads(lines[-1])]
        elif os.getppid() != runner:
            break  # Somebody whom it forked holds the pipe.
        if parent and _parent_of(runner) != parent:
            sessions.send(runner, signal.SIGTERM)
            parent = 0
    sessions.end(session for session in watched if session.runs())


def _parent_of(pid: int) -> int:
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return 0


if __name__ == "__main__":
    main()
