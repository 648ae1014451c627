"""What WordPress answers: its JSON, also where a plugin printed something before or after it.

PHP prints notices into the answer, caches append a comment, and a file saved with a byte order mark puts one
before everything. None of that says that the request failed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_START = re.compile(r"[\[{]")
_MEANT = re.compile(r'\{\s*"|\[\s*\{')
"""What begins so is JSON. Where it cannot be read it was cut short, and what stands in it is only a part."""

_PAGE = re.compile(r"<(?:!doctype|html|head|body|script)\b", re.IGNORECASE)
"""A page can hold JSON of its own, which is not the answer."""

_MOST_STARTS = 200
_DECODER = json.JSONDecoder()


def json_in(content: bytes) -> Any:
    """The JSON of an answer. Raises ValueError (RecursionError) when there is none, or it is not whole."""
    text = content.decode("utf-8", "replace").strip("\ufeff \t\r\n\0")
    try:
        return json.loads(text)
    except ValueError:
        pass
    values = {end - start: (value, start, end) for value, start, end in _values(text)}
    if not values:
        raise ValueError("no JSON")
    value, start, end = values[max(values)]
    if _PAGE.search(text[:start] + "\n" + text[end:]):
        raise ValueError("a page")
    return value


def _values(text: str) -> Iterator[tuple[Any, int, int]]:
    """The values in a text, each with its place. Raises ValueError for one that breaks off."""
    place = 0
    for _ in range(_MOST_STARTS):
        start = _START.search(text, place)
        if start is None:
            return
        try:
            value, place = _DECODER.raw_decode(text, start.start())
        except ValueError:
            if _MEANT.match(text, start.start()):
                raise
            place = start.end()
            continue
        # "[0]" and "[]" are also what a notice says of an array. Answers are objects or lists of objects, and
        # an empty one is the last thing, or markup follows.
        answers = isinstance(value, dict) or all(isinstance(entry, dict) for entry in value)
        if answers and (value or text[place:].lstrip()[:1] in ("", "<")):
            yield value, start.start(), place
    raise ValueError("too much that is not JSON")
