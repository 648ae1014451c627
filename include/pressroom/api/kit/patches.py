"""Definitions as callers send them: merge patches, values that cannot be kept, and what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pressroom.api.kit.problems import FieldProblem, Problem, invalid_fields
from pressroom.definitions import rights
from pressroom.definitions.checking import DefinitionProblem
from pressroom.definitions.nodes import DEEPEST
from pressroom.domain.markup.cutting import shorten

MOST_PROBLEMS = 50
LONGEST_PROBLEM = 500
_UNPRINTABLE = re.compile(r"[\x00\ud800-\udfff]")


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch applied (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def problem(wrong: Sequence[DefinitionProblem]) -> Problem:
    """The answer for a wrong definition: each problem with its place in the body."""
    paths = [".".join(["body", *map(str, each.path)]) for each in wrong]
    return invalid_fields(
        (shorten(path, LONGEST_PROBLEM), shorten(each.message, LONGEST_PROBLEM))
        for path, each in zip(paths, wrong, strict=True)
    )


def not_permitted(error: rights.NotPermitted) -> Problem:
    """The answer when the role does not suffice for a change: each field with the reason."""
    fields = [
        FieldProblem(
            field=".".join(["body", *map(str, each.path)]),
            detail=f"{each.why}: this needs the role {each.role}",
        )
        for each in error.needed
    ]
    remedy = "ask somebody with that role in the account, or leave these fields as they are"
    return Problem(403, shorten(str(error), LONGEST_PROBLEM), errors=fields[:MOST_PROBLEMS], remedy=remedy)


def unusable(value: Any, path: tuple[int | str, ...] = ()) -> Iterator[DefinitionProblem]:
    """The values that JSON can hold and the database cannot. The paths are safe to show."""
    if len(path) > DEEPEST:
        yield DefinitionProblem(path[:3], "is nested too deeply")
    elif isinstance(value, str) and _unprintable(value):
        yield DefinitionProblem(path, f"{shorten(ascii(value), 80)} has a character that no text can hold")
    elif isinstance(value, float) and not math.isfinite(value):
        yield DefinitionProblem(path, "must be a finite number")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from unusable(item, (*path, position))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if _unprintable(key):
                yield DefinitionProblem(
                    path, f"the key {shorten(ascii(key), 80)} has a character that no text can hold"
                )
            else:
                yield from unusable(item, (*path, key))


def _unprintable(text: str) -> bool:
    return _UNPRINTABLE.search(text) is not None
