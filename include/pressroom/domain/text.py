"""Small pure helpers on text that several rooms share."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import regex

from pressroom.domain.markup.cutting import shorten

_SPACE = re.compile(r"\s+")
_NOT_WORD = regex.compile(r"[^\p{L}\p{N}\p{M}_\s]")
# The same word is written with and without them: joiners, the variants of a sign, Hebrew and Arabic points.
_OPTIONAL = re.compile(
    "[\u200d\ufe00-\ufe0f\u20e3\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u0652\u0670]"
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def normalize(text: str) -> str:
    """The form under which two spellings count as the same: NFKC, case folded, punctuation squeezed.

    Vowel signs and tones are part of a word, as in Thai or Hindi.
    """
    folded = _OPTIONAL.sub("", unicodedata.normalize("NFKC", text).casefold())
    return _SPACE.sub(" ", _NOT_WORD.sub(" ", folded)).strip()


def quoted(title: str) -> str:
    """A title within a line of a log."""
    return f"“{shorten(title, 80)}”"


def counted(number: int, noun: str) -> str:
    """``1 cluster``, ``2 clusters``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def storable(text: str) -> str:
    """The text without what Postgres cannot hold: NUL, and halves of surrogate pairs."""
    return _UNSTORABLE.sub("", text)


def storable_json(value: Any) -> Any:
    """A JSON value, its texts and keys made ``storable``."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key) if isinstance(key, str) else key: storable_json(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable_json(entry) for entry in value]
    return value


def to_json(value: Any) -> str:
    """JSON text that Postgres can hold; dates as ISO 8601, decimals as numbers."""
    text = json.dumps(value, default=_plain, ensure_ascii=False)
    if "\\u0000" in text or _UNSTORABLE.search(text):
        text = json.dumps(storable_json(value), default=_plain, ensure_ascii=False)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")


LONGEST_NAME = 200
"""What is longer is like no name, and would take long to compare."""


def differences(was: Any, now: Any, path: str = "") -> Iterator[str]:
    """The dotted keys whose JSON values differ."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in sorted(was.keys() | now.keys()):
            yield from differences(was.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    elif json.dumps(was, sort_keys=True) != json.dumps(now, sort_keys=True):  # to Python, true equals 1
        yield path


def did_you_mean(given: object, valid: Iterable[str]) -> str:
    """A sentence to append: the nearest of ``valid``, else all of them when they are few, else nothing."""
    known = sorted(valid)
    word = str(given)[:LONGEST_NAME].casefold()
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if not near:
        folded = {name.casefold(): name for name in known}
        near = [folded[key] for key in difflib.get_close_matches(word, folded, n=1, cutoff=0.6)]
    if near:
        return f". Did you mean {near[0]!r}?"
    if known and len(known) <= 12:
        return f". Valid: {', '.join(known)}"
    return ""
