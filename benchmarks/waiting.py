"""What benchmarks of running services share: to wait for a state, and to tell how far they are."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def wait(ready: Callable[[], bool], what: str, seconds: float) -> None:
    """Until ``ready()`` is true. Raises SystemExit after ``seconds``."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds:g} s for {what}")
        time.sleep(0.25)


def progress(name: str, message: str) -> None:
    """A line on standard error: the last line of standard output is the result."""
    print(f"{name}: {message}", file=sys.stderr, flush=True)
