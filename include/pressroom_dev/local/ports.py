"""TCP ports on the loopback interface: the usual one if it is free, else any free one."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"


class PortReservations:
    """Ports that no other runner on this machine takes between the choice and the moment a service listens.

    A port is held by a lock on a small file, which the kernel lets go of when the runner ends in whatever
    way.
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
