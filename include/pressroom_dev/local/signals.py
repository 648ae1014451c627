"""What signals do to a runner: the first ends it in good order, a second one shortens the ending."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, NoReturn


class Signals:
    """Handlers that are put back at the end. Only the main thread may set any; elsewhere nothing happens."""

    def __init__(self) -> None:
        self._handlers: dict[signal.Signals, Any] = {}
        self._hurry = threading.Event()

    @property
    def hurry(self) -> bool:
        """Whether a signal came while the runner ended."""
        return self._hurry.is_set()

    def end_in_order(self) -> None:
        """Turn SIGTERM and SIGHUP into SystemExit, which runs through every `finally`."""
        self._set(_leave, signal.SIGTERM, signal.SIGHUP)

    def only_hurry(self) -> None:
        """From now on a signal must not end the ending."""
        self._set(lambda *_: self._hurry.set(), signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def restore(self) -> None:
        """Put the handlers back that were there before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _set(self, handler: Any, *numbers: signal.Signals) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                self._handlers.setdefault(number, signal.signal(number, handler))


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
