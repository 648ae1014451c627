"""The values of conditions (JSON, times and durations) and the operations on them.

An operation on the wrong values raises ConditionError. Results stay within the bounds below.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pendulum
import re2  # type: ignore[import-untyped]

from pressroom.domain.outside import moment
from pressroom.domain.text import to_json

MOST_CHARS = 200_000
MOST_ENTRIES = 10_000
_PATTERN_CHARS = 500
_NUMBER_CHARS = 40
_INT64 = 2**63

_DURATION = re.compile(r"(-?)((?:\d{1,9}(?:\.\d{1,9})?(?:ms|h|m|s))+)")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class ConditionError(Exception):
    """A condition has no value on this data. The message says why."""


def plain(value: Any) -> Any:
    """A Python value as a value of conditions. Raises ConditionError for other objects."""
    if value is None or isinstance(value, (bool, int, float, str, list, dict, timedelta)):
        return value
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    raise ConditionError(f"a value of type {type(value).__name__} cannot be used in a condition")


def kind(value: Any) -> str:
    """The kind of a value, in words."""
    names: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        (list, "a list"),
        (dict, "an object"),
        (datetime, "a time"),
        (timedelta, "a duration"),
    ]
    return next((name for types, name in names if isinstance(value, types)), "null")


def equal(left: Any, right: Any) -> bool:
    """Values of different kinds are never equal."""
    return kind(left) == kind(right) and bool(left == right)


def compare(symbol: str, left: Any, right: Any) -> bool:
    """``<``, ``<=``, ``>``, ``>=``."""
    if kind(left) != kind(right) or kind(left) not in ("a number", "text", "a time", "a duration"):
        hint = ": timestamp(...) makes a time of text" if isinstance(left, datetime) else ""
        raise ConditionError(f"{kind(left)} and {kind(right)} cannot be compared by {symbol}{hint}")
    return bool(_COMPARISONS[symbol](left, right))


def contained(left: Any, right: Any) -> bool:
    """``left in right``: an entry of a list, or a key of an object."""
    if isinstance(right, list):
        return any(equal(left, plain(entry)) for entry in right)
    if isinstance(right, dict):
        return isinstance(left, str) and left in right
    hint = "; for text write text.contains('...')" if isinstance(right, str) else ""
    raise ConditionError(f"in needs a list or an object on its right, not {kind(right)}{hint}")


def calculate(symbol: str, left: Any, right: Any) -> Any:
    """``+ - * / %`` of numbers; ``+`` also of texts and lists, ``+`` and ``-`` of times and durations."""
    kinds = (kind(left), kind(right))
    try:
        if kinds == ("a number", "a number"):
            return _number(symbol, left, right)
        if symbol == "+" and kinds in (("text", "text"), ("a list", "a list")):
            most = MOST_CHARS if isinstance(left, str) else MOST_ENTRIES
            if len(left) + len(right) > most:
                raise ConditionError(f"together they are longer than {most:,}")
            return left + right
        if symbol in "+-" and set(kinds) <= {"a time", "a duration"}:
            return left + right if symbol == "+" else left - right
    except (OverflowError, TypeError):
        pass
    except ZeroDivisionError:
        raise ConditionError("a number is divided by 0") from None
    raise ConditionError(f"{kinds[0]} {symbol} {kinds[1]} is not possible")


def negative(value: Any) -> Any:
    """``-value``."""
    if kind(value) not in ("a number", "a duration"):
        raise ConditionError(f"- needs a number, not {kind(value)}")
    return calculate("*", value, -1) if kind(value) == "a number" else -value


def _number(symbol: str, left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        if symbol == "/":  # towards zero, as in the language's definition
            result = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        elif symbol == "%":
            result = abs(left) % abs(right) * (1 if left >= 0 else -1)
        else:
            result = _ARITHMETIC[symbol](left, right)
        if not -_INT64 <= result < _INT64:
            raise OverflowError
        return result
    if symbol == "%":
        raise ConditionError("% needs whole numbers")
    return _ARITHMETIC[symbol](float(left), float(right))


def size(value: Any) -> int:
    """Characters of a text, entries of a list, keys of an object."""
    if not isinstance(value, (str, list, dict)):
        raise ConditionError(f"size() needs text, a list or an object, not {kind(value)}")
    return len(value)


def matches(text: str, pattern: str) -> bool:
    """Whether the pattern (RE2: linear time, no look-around) occurs anywhere in the text."""
    return regex(pattern).search(text) is not None


def regex(pattern: str) -> Any:
    """A compiled pattern. Raises ConditionError for an invalid one."""
    if len(pattern) > _PATTERN_CHARS:
        raise ConditionError(f"the pattern is longer than {_PATTERN_CHARS} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ConditionError(f"the pattern is not of RE2: {text[:100]}") from None


def to_int(value: Any) -> int:
    """A number (rounded towards zero), a text, or a time (seconds since 1970) as a whole number."""
    number = int(_number_of(value.timestamp() if isinstance(value, datetime) else value, "int", int))
    if not -_INT64 <= number < _INT64:
        raise ConditionError("int() cannot hold a number as large as this")
    return number


def to_double(value: Any) -> float:
    """A number or a text as a fraction."""
    return float(_number_of(value, "double", float))


def _number_of(value: Any, name: str, convert: Callable[[Any], float]) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ConditionError(f"{name}() cannot make a number of {kind(value)}")
    if isinstance(value, str) and len(value) > _NUMBER_CHARS:
        raise ConditionError(f"{name}() cannot make a number of a text as long as this")
    try:
        return convert(value)
    except (ValueError, OverflowError):
        raise ConditionError(f"{name}() cannot make a number of this") from None


def to_string(value: Any) -> str:
    """A value as text: a time as ISO 8601, other values as in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, (list, dict)):
        raise ConditionError(f"string() cannot make text of {kind(value)}")
    return value.isoformat() if isinstance(value, datetime) else to_json(value)


def to_time(value: Any) -> datetime:
    """An ISO 8601 text, or seconds since 1970, as a time."""
    at = moment(value) if isinstance(value, (str, int, float, datetime)) else None
    if at is None:
        raise ConditionError(
            f"timestamp() cannot make a time of {kind(value)}: it needs one like 2026-01-31T12:00:00Z"
        )
    return at


def to_duration(value: Any) -> timedelta:
    """A text such as ``72h``, ``1h30m`` or ``-5s`` as a duration."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ConditionError("duration() needs a text such as '72h' or '1h30m'")
    seconds = sum(float(count) * _SECONDS[unit] for count, unit in _DURATION_PART.findall(match.group(2)))
    try:
        return timedelta(seconds=-seconds if match.group(1) else seconds)
    except OverflowError:
        raise ConditionError("this duration is too long") from None


def part_of_time(name: str, value: Any, zone: Any = "UTC") -> int:
    """``getFullYear`` and so on, in a time zone. Months and days of the month count from 0, as in CEL."""
    if not isinstance(value, datetime):
        raise ConditionError(f"{name}() is for times: timestamp(...) makes one of text")
    try:
        if not isinstance(zone, str):
            raise TypeError(zone)
        local = value.astimezone(pendulum.timezone(zone))
    except (ValueError, OSError, TypeError, OverflowError):
        raise ConditionError(f"{name}() needs a time zone such as 'Europe/Berlin'") from None
    return TIME_PARTS[name](local)


TIME_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "size": size,
    "int": to_int,
    "double": to_double,
    "string": to_string,
    "timestamp": to_time,
    "duration": to_duration,
}
TEXT_METHODS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "matches": matches,
}
PLAIN_METHODS: dict[str, Callable[[str], str]] = {
    "lowerAscii": lambda text: text.lower() if text.isascii() else "".join(map(_lower, text)),
    "trim": str.strip,
}


def _lower(sign: str) -> str:
    return sign.lower() if sign.isascii() else sign
