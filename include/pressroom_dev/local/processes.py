"""Child processes that never outlive their runner: start them, wait until they serve, stop them."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import psutil

from pressroom.domain.errors import ConfigurationError
from pressroom_dev.local import sessions
from pressroom_dev.local.guard import GUARD
from pressroom_dev.local.ports import listener, listens
from pressroom_dev.local.sessions import Session

LOG_LINES_IN_ERRORS = 15

# The program begins when the runner says so, and never when the runner is gone before the guard knows of it.
_GATE = ["/bin/sh", "-c", 'read -r begin && exec "$@" </dev/null', "sh"]


class LocalServiceError(ConfigurationError):
    """A local service could not be started or did not become healthy; the message says what to look at."""


class PortTaken(LocalServiceError):
    """Another process listens on the port that was chosen for a service: another port helps."""


@dataclass(frozen=True)
class ServiceUser:
    """The unprivileged user a service runs as when the runner is root."""

    uid: int
    gid: int


@dataclass
class Child:
    """A running service: a session leader, its log, and the signal that stops it in good order.

    ``port``: where it is to listen. ``ask_all``: ask every process of the session to stop, as Ctrl-C in a
    terminal does, and not the leader alone.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    ask_all: bool = False
    port: int | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def session(self) -> Session:
        """Its session as it is written down."""
        try:
            created = psutil.Process(self.pid).create_time()
        except psutil.Error:
            created = 0.0
        return Session(self.name, self.pid, created, int(self.stop_signal))

    def require_running(self) -> None:
        """Raise LocalServiceError with the log's end if it has ended, PortTaken if its port is the reason."""
        code = self.process.poll()
        if code is not None:
            self._require_port()
            raise LocalServiceError(f"{self.name} ended with exit code {code}. {log_tail(self.log)}")

    def serves(self, answers: Callable[[], bool]) -> bool:
        """Whether it answers at its port. Raises PortTaken when it is another process that does."""
        if not answers():
            return False
        self._require_port()
        return self.port is None or listens(self.pid, self.port)

    def _require_port(self) -> None:
        if self.port is None or listens(self.pid, self.port):
            return
        other = listener(self.port)
        # It may have begun to listen in this moment, and be that other one itself.
        if other and not listens(self.pid, self.port):
            raise PortTaken(f"{self.name} cannot listen on port {self.port}: {other} does.")


def log_tail(log: Path, lines: int = LOG_LINES_IN_ERRORS) -> str:
    """The log's path and its last lines, for an error message."""
    try:
        end = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        return f"There is no log at {log}."
    return "\n".join([f"The end of {log}:", *(f"  {line}" for line in end)])


def spawn(
    name: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path,
    user: ServiceUser | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    ask_all: bool = False,
    port: int | None = None,
) -> Child:
    """Start a service in a session of its own, its output in `log`; the last start's log becomes `.1`.

    It ends with this process, however this process ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    log.touch(mode=0o600)  # what happens here is for who runs it
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_GATE, *command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
    child = Child(name, process, log, stop_signal, ask_all, port)
    GUARD.watch(child.session)
    with contextlib.suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as gate:
        gate.write(b"begin\n")
    return child


def wait_until(
    ready: Callable[[], bool], *, children: Iterable[Child], timeout: float, what: str, poll: float = 0.1
) -> None:
    """Wait until `ready()`; fail early when one of `children` ends.

    Raises LocalServiceError after `timeout` seconds, with the end of the first child's log.
    """
    watched = list(children)
    deadline = time.monotonic() + timeout
    while not ready():
        for child in watched:
            child.require_running()
        if time.monotonic() > deadline:
            where = log_tail(watched[0].log) if watched else ""
            raise LocalServiceError(f"{what} was not ready within {timeout:.0f} s. {where}")
        time.sleep(poll)


def stop(children: Sequence[Child], *, grace: float, hurry: Callable[[], bool] = lambda: False) -> None:
    """Stop services together: ask, then after `grace` seconds, or when `hurry()`, kill what is left."""
    for child in children:
        if child.process.poll() is None:
            for pid in sessions.members(child.pid) if child.ask_all else [child.pid]:
                sessions.send(pid, child.stop_signal)
    deadline = time.monotonic() + grace
    while any(child.process.poll() is None for child in children):
        if time.monotonic() > deadline or hurry():
            break
        time.sleep(0.05)
    _end(children)


def kill(child: Child) -> None:
    """End a service at once and with all that it started, as a crash of its machine would."""
    _end([child])


def _end(children: Sequence[Child]) -> None:
    sessions.kill([child.pid for child in children])
    for child in children:
        child.process.wait()
        GUARD.forget(child.pid)
