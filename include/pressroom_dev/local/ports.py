"""TCP ports on the loopback interface: the usual one if it is free, else any free one; who listens there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO, Any

import psutil

from pressroom_dev.local import sessions

HOST = "127.0.0.1"


class PortReservations:
    """Ports that no other runner of this user takes between the choice and the moment a service listens.

    A port is held by a lock on a small file, which the kernel lets go of when the runner ends in whatever
    way. Other programs know nothing of it: where one is faster, the service starts on another port.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"pressroom-ports-{os.getuid()}"
        self._locks: list[IO[bytes]] = []

    def take(self, preferred: int) -> int:
        """Reserve `preferred` if nothing listens there and no runner holds it, else any free port."""
        if self._reserve(preferred):
            return preferred
        while True:
            with socket.socket() as probe:
                probe.bind((HOST, 0))
                offered: int = probe.getsockname()[1]
            if self._reserve(offered):
                return offered

    def release(self) -> None:
        """Let go of every reserved port."""
        while self._locks:
            self._locks.pop().close()

    def _reserve(self, port: int) -> bool:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self._folder / str(port)).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                # Connections of an earlier server that linger in TIME_WAIT do not make a port taken.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((HOST, port))
        except OSError:
            lock.close()
            return False
        self._locks.append(lock)
        return True


def listens(session_id: int, port: int) -> bool:
    """Whether a process of this session listens on the port."""
    return any(_listens(pid, port) for pid in sessions.members(session_id))


def listener(port: int) -> str:
    """Who listens on the port, in words; '' when nobody does."""
    with contextlib.suppress(psutil.Error):  # macOS tells root alone, and Linux not who another user is.
        for each in psutil.net_connections("tcp"):
            if _is_at(port, each) and each.pid:
                return f"{psutil.Process(each.pid).name()} (process {each.pid})"
    with socket.socket() as probe:
        probe.settimeout(1)
        return "" if probe.connect_ex((HOST, port)) else "another program"


def _listens(pid: int, port: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(_is_at(port, each) for each in psutil.Process(pid).net_connections("tcp"))
    return False


def _is_at(port: int, connection: Any) -> bool:
    return bool(connection.status == psutil.CONN_LISTEN and connection.laddr.port == port)
