"""The JSON objects in a model's text, which may have thoughts, fences and prose around them.

What counts is what stands after the thoughts. Markers of thoughts within an object are text of the object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pressroom.domain.text import storable_json

_THINKING = r"(?:\w+:)?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis)"
_OPENING = re.compile(
    rf"<{_THINKING}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|channel\|>(?:analysis|commentary)",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"</{_THINKING}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>final(?:<\|message\|>)?|assistantfinal",
    re.IGNORECASE,
)
_BRACE = re.compile(r"\{\s*[\"}]")
"""What begins an object: others are braces of prose."""
_DIGITS = 30
"""More digits than any number of an answer has: Python refuses to read thousands of them."""
_DEEP = 5000
"""What an attempt to read JSON that is nested too deeply counts for, in characters."""


def _bounded_integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _DIGITS else None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if abs(number) != float("inf") else None


# Models write raw line breaks in strings. What is no number that JSON and Postgres know becomes null.
_DECODER = json.JSONDecoder(
    strict=False, parse_int=_bounded_integer, parse_float=_finite, parse_constant=lambda name: None
)


@dataclass(frozen=True)
class FoundJson:
    """The outermost objects of an answer, in their order.

    ``problem``: why the first thing that looks like an object is none, '' when every one could be read.
    """

    objects: tuple[Mapping[str, Any], ...]
    problem: str = ""


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    value: Mapping[str, Any]


def find_objects(text: str) -> FoundJson:
    """The objects that may be the answer. Raises nothing, and takes time in proportion to the text."""
    whole = _whole(text)
    if whole is not None:
        return FoundJson(tuple(whole))
    spans, problems = _scan(text)
    start, end = _answer_part(text, spans)
    inside = [span for span in spans if start <= span.start < end]
    problem = next((words for at, words in problems if start <= at < end), "")
    return FoundJson(tuple(storable_json(span.value) for span in inside), problem)


def read_value(text: str) -> Any:
    """A whole text as JSON, read as leniently as an answer. None when it is none."""
    try:
        return storable_json(_DECODER.decode(text.strip().removeprefix("\ufeff")))
    except (ValueError, RecursionError):
        return None


def thoughts_in(text: str) -> int:
    """The characters of an answer's text that are thoughts and not the answer."""
    if not _OPENING.search(text) and not _CLOSING.search(text):
        return 0
    if _whole(text) is not None:
        return 0
    start, end = _answer_part(text, _scan(text)[0])
    return start + len(text) - end


def _whole(text: str) -> list[Mapping[str, Any]] | None:
    """The objects of a text that is JSON from its first to its last character."""
    value = read_value(text)
    if isinstance(value, str):  # encoded twice
        value = read_value(value)
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        return [entry for entry in value if isinstance(entry, dict)]
    return None


def _scan(text: str) -> tuple[list[_Span], list[tuple[int, str]]]:
    """The outermost objects, and what is wrong at each brace that seems to begin one."""
    spans: list[_Span] = []
    problems: list[tuple[int, str]] = []
    # An unfinished object is read again from each brace in it, so the characters read in vain are bounded.
    budget = 10 * len(text) + 100_000
    brace = _BRACE.search(text)
    first = text.find("{")
    if first >= 0 and (brace is None or first < brace.start()):
        problems.append((first, _problem_at(text, first)))
    while brace and budget > 0:
        at = brace.start()
        try:
            value, end = _DECODER.raw_decode(text, at)
            spans.append(_Span(at, end, value))
        except json.JSONDecodeError as error:
            end = at + 1
            # To make the error takes time, too: it counts the lines before it.
            budget -= error.pos - at + error.pos // 50 + 1
            problems.append((at, _explain(text, at, error)))
        except RecursionError:
            end = at + 1
            budget -= _DEEP
            problems.append((at, "the JSON is nested too deeply"))
        brace = _BRACE.search(text, end)
    return spans, problems


def _problem_at(text: str, at: int) -> str:
    try:
        _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        return _explain(text, at, error)
    return ""


def _explain(text: str, start: int, error: json.JSONDecodeError) -> str:
    near = text[max(start, error.pos - 30) : error.pos + 30]
    return f"the JSON is malformed at character {error.pos - start} of it ({error.msg}), near: {near!r}"


def _answer_part(text: str, spans: list[_Span]) -> tuple[int, int]:
    """Where the answer stands: after the last closing marker, and before thoughts that nothing closes."""
    closings = _outside(_CLOSING, text, spans)
    start = closings[-1].end() if closings else 0
    openings = _outside(_OPENING, text, spans)
    end = next((opening.start() for opening in openings if opening.start() >= start), len(text))
    if not any(start <= span.start < end for span in spans) and openings:
        # Thoughts after the answer: the answer stands before the first of them.
        before = openings[0].start()
        if any(span.start < before for span in spans):
            return 0, before
    return start, end


def _outside(marker: re.Pattern[str], text: str, spans: list[_Span]) -> list[re.Match[str]]:
    """The markers that are not part of an object."""
    matches = []
    position = 0
    for match in marker.finditer(text):
        while position < len(spans) and spans[position].end <= match.start():
            position += 1
        if position == len(spans) or match.start() < spans[position].start:
            matches.append(match)
    return matches
