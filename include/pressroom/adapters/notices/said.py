"""What apprise says of a failure. It answers no, and tells the reason to its log, secrets among it.

Its log goes nowhere else: addresses of hooks and names of users are in it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from apprise import logger as apprise_log

from pressroom.adapters.http.errors import scrub

_heard: dict[int, list[str]] = {}
"""Lines of the log by the thread that wrote them."""


class _Ear(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        lines = _heard.get(threading.get_ident())
        if lines is not None:
            lines.append(record.getMessage())


@contextmanager
def listening() -> Iterator[list[str]]:
    """What apprise says in this thread until the block ends."""
    lines = _heard.setdefault(threading.get_ident(), [])
    try:
        yield lines
    finally:
        del _heard[threading.get_ident()]


def reason(lines: Sequence[str], secrets: Sequence[str]) -> str:
    """The last thing that was said, without secrets; '' when nothing was."""
    return scrubbed(lines[-1], secrets) if lines else ""


def scrubbed(text: str, secrets: Sequence[str]) -> str:
    """The text, short, on one line, and without any of the secrets."""
    for secret in secrets:
        text = text.replace(secret, "[hidden]")
    return scrub(text)


apprise_log.handlers.clear()
apprise_log.addHandler(_Ear())
apprise_log.setLevel(logging.DEBUG)
apprise_log.propagate = False
