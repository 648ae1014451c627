"""The seconds after which a server takes requests again, where it says so in ways other than Retry-After."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pressroom.adapters.http.errors import LONGEST

_PART = re.compile(
    r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|h|hours?|m|min|minutes?|s|sec|seconds?)(?![a-z])", re.IGNORECASE
)
_WORDS = re.compile(
    r"(?:try again|retry|wait|reset\w*)\b[^.\d]{0,30}((?:\d+(?:\.\d+)?\s*[a-z]+\s*){1,4})", re.IGNORECASE
)


def stated_wait(headers: Mapping[str, str], body: Any, words: str) -> float | None:
    """By a ``retryDelay`` in the body, by the words, or by the ``x-ratelimit-reset-*`` of what is used up."""
    delay = _delay_in(body)
    if delay is None and (match := _WORDS.search(words)):
        delay = duration(match.group(1))
    if delay is None:
        delay = _reset(headers)
    return None if delay is None else min(max(delay, 0.0), LONGEST)


def duration(text: str) -> float | None:
    """Seconds of "38.2s", "6m0s", "1 minute 20 seconds" or "450ms"; None for anything else."""
    parts = _PART.findall(text)
    if not parts:
        return None
    return sum(float(number) * _unit(unit.lower()) for number, unit in parts)


def _unit(name: str) -> float:
    if name.startswith(("ms", "milli")):
        return 0.001
    return {"h": 3600.0, "m": 60.0, "s": 1.0}[name[0]]


def _delay_in(body: Any, depth: int = 6) -> float | None:
    if depth == 0:
        return None
    if isinstance(body, dict):
        own = body.get("retryDelay")
        if isinstance(own, str):
            return duration(own)
        body = list(body.values())
    if isinstance(body, list):
        return next((delay for entry in body if (delay := _delay_in(entry, depth - 1)) is not None), None)
    return None


def _reset(headers: Mapping[str, str]) -> float | None:
    """The longest wait of the limits that are used up; of all, when the server does not say which are."""
    waits, used_up = [], []
    for name, value in headers.items():
        unit = name.lower().removeprefix("x-ratelimit-reset-")
        if unit == name.lower():
            continue
        wait = duration(value)
        if wait is None:
            continue
        waits.append(wait)
        if headers.get(f"x-ratelimit-remaining-{unit}") == "0":
            used_up.append(wait)
    return max(used_up or waits, default=None)
