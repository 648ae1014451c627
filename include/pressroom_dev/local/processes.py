"""Child processes that never outlive their runner: start, wait for health, stop, and clean up after a crash.

Every child leads its own session. Airflow puts task processes into process groups of their own, so killing a
group would miss them; a session cannot be left by accident, and it still names its members when the leader is
gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pressroom.domain.errors import ConfigurationError

LOG_LINES_IN_ERRORS = 15


class LocalServiceError(ConfigurationError):
    """A local service could not be started or did not become healthy; the message says what to look at."""


@dataclass(frozen=True)
class Account:
    """The unprivileged user a service runs as when the runner is root."""

    uid: int
    gid: int


@dataclass
class Child:
    """A running service: a session leader, its log, and the signal that stops it in good order."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    # Ask every process of the session, as Ctrl-C in a terminal does, and not the leader alone.
    ask_all: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def require_running(self) -> None:
        """Raise LocalServiceError with the end of the log if the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise LocalServiceError(f"{self.name} ended with exit code {code}. {log_tail(self.log)}")


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
    account: Account | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    ask_all: bool = False,
) -> Child:
    """Start a service in a session of its own, its output in `log`; the last start's log becomes `.1`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    return Child(name, process, log, stop_signal, ask_all)


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


def session_members(session_id: int) -> list[int]:
    """The living processes of a session, zombies left out."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(pid) == session_id and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def stop(children: Sequence[Child], *, grace: float, hurry: Callable[[], bool] = lambda: False) -> None:
    """Stop services together: ask, then after `grace` seconds, or when `hurry()`, kill what is left."""
    for child in children:
        if child.process.poll() is None:
            for pid in session_members(child.pid) if child.ask_all else [child.pid]:
                _send(pid, child.stop_signal)
    deadline = time.monotonic() + grace
    while any(child.process.poll() is None for child in children):
        if time.monotonic() > deadline or hurry():
            break
        time.sleep(0.05)
    _kill_sessions([child.pid for child in children])
    for child in children:
        child.process.wait()


def kill(child: Child) -> None:
    """End a service at once and with all that it started, as a crash of its machine would."""
    _kill_sessions([child.pid])
    child.process.wait()


def _send(pid: int, sig: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, sig)


def _kill_sessions(session_ids: Sequence[int]) -> None:
    # More than one round: a process may fork between the listing and the kill.
    for _ in range(5):
        members = [pid for session_id in session_ids for pid in session_members(session_id)]
        if not members:
            return
        for pid in members:
            _send(pid, signal.SIGKILL)
        time.sleep(0.05)


class Registry:
    """A file that lists the running children, so that the next start can end what a killed runner left."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, children: Iterable[Child]) -> None:
        """Note the children that run now."""
        rows = []
        for child in children:
            with contextlib.suppress(psutil.Error):
                created = psutil.Process(child.pid).create_time()
                rows.append(
                    {
                        "name": child.name,
                        "pid": child.pid,
                        "created": created,
                        "stop_signal": int(child.stop_signal),
                    }
                )
        content = json.dumps({"boot": psutil.boot_time(), "children": rows}, indent=1)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(self._path)

    def clear(self) -> None:
        """Note that nothing runs."""
        self._path.unlink(missing_ok=True)

    def end_leftovers(self) -> list[str]:
        """End the listed processes that still run and return their names.

        A process id alone proves nothing, because ids are used again: its start time, or for a session whose
        leader is gone the machine's boot time, must be the recorded one too.
        """
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        same_boot = abs(record["boot"] - psutil.boot_time()) < 60
        leftovers = [row for row in record["children"] if _is_recorded(row, same_boot=same_boot)]
        # A database shuts down cleanly on an interrupt; the others have nothing to lose, and it must not wait
        # for them.
        databases = [row["pid"] for row in leftovers if row["stop_signal"] == signal.SIGINT]
        _kill_sessions([row["pid"] for row in leftovers if row["pid"] not in databases])
        for pid in databases:
            _send(pid, signal.SIGINT)
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).wait(timeout=10)
        _kill_sessions(databases)
        self.clear()
        return [row["name"] for row in leftovers]


def _is_recorded(row: dict[str, Any], *, same_boot: bool) -> bool:
    try:
        ours = abs(psutil.Process(row["pid"]).create_time() - row["created"]) < 1
    except psutil.Error:
        ours = same_boot
    return ours and bool(session_members(row["pid"]))
