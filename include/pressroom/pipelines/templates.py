"""Fills Jinja2 templates in: ours, and those that users write.

A user's template is a program. Its sandbox refuses attribute tricks, but neither loops without an end nor
texts that fill the memory, and a sample says nothing of what it does with an item from outside. So it is
worked on in a process with limits, when it is tried and when it is used. A template that does nothing but
name its variables cannot take long, and needs none.

This module is loaded in that process: it imports little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from pressroom.bounded.process import SHARED, CallLimits
from pressroom.domain.errors import PermanentError, TooMuch
from pressroom.domain.text import did_you_mean

LIMITS = CallLimits(cpu_seconds=3, memory_bytes=256 << 20)
MOST_CHARS = 500_000
"""Characters that a template may make. An article of a feed has a fifth of them at most."""
_MOST_WORK = 20_000_000
"""Characters that a template that only names its variables may copy in this process."""

_FOLDERS = [Path(__file__).parent / kind / "prompts" for kind in ("site", "mission")]
# A template is a program: it can also fail by nesting or recursing too deeply, or in a filter.
_FAILURES = (
    TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RuntimeError,
    AssertionError, SyntaxError,
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# Also look-alikes, which a model may read as the real characters.
_ANGLES = str.maketrans({**dict.fromkeys("<\uff1c\ufe64", "&lt;"), **dict.fromkeys(">\uff1e\ufe65", "&gt;")})
# What takes no longer than what it names is long.
_STRAIGHT = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const,
    nodes.If, nodes.CondExpr, nodes.Not, nodes.And, nodes.Or, nodes.Compare, nodes.Operand,
)  # fmt: skip


async def filled(source: str, variables: Mapping[str, Any]) -> str:
    """A user's template, filled in. ``variables``: JSON. Raises PermanentError, which has no subject: the
    template fails on these variables, or takes too much.
    """
    if _is_straight(source, variables):
        return fill(source, variables)
    text: str = await SHARED.call("pressroom.pipelines.templates:fill", source, variables, limits=LIMITS)
    return text


def filled_own(name: str, variables: Mapping[str, Any]) -> str:
    """A template of ours, filled in. ``name``: of its file."""
    return str(_environment().get_template(name).render(_neutral(variables))).strip()


def fill(source: str, variables: Mapping[str, Any]) -> str:
    """A template, filled in here and now. Raises PermanentError."""
    try:
        text = str(_environment().from_string(source).render(_neutral(variables))).strip()
    except _FAILURES as error:
        raise PermanentError(str(error) or type(error).__name__) from error
    if len(text) > MOST_CHARS:
        raise TooMuch(f"it gives {len(text):,} characters: {MOST_CHARS:,} at most")
    return text


def source_problems(source: str, known: Mapping[str, Any]) -> Iterator[tuple[int | None, str]]:
    """The errors of a template with the variables ``known``, rendered with their samples: (line from 1,
    error).
    """
    environment = _environment()
    known = dict(known)
    try:
        tree = environment.parse(source)
        unknown = meta.find_undeclared_variables(tree) - known.keys() - environment.globals.keys()
        for node in tree.find_all(nodes.Name):
            if node.name in unknown:
                unknown.discard(node.name)
                yield node.lineno, f"unknown variable {node.name!r}{did_you_mean(node.name, known)}"
                known[node.name] = ""  # reported once; the rendering below finds other errors
        fill(source, known)
    except TemplateSyntaxError as error:
        yield error.lineno, str(error.message)
    except (PermanentError, *_FAILURES) as error:
        yield None, str(error) or type(error).__name__


def data(value: str | Iterable[str]) -> str:
    """Outside text in delimiters that it cannot close. A list becomes one numbered line for each entry."""
    if not isinstance(value, str):
        value = "\n".join(
            f"{number}. {' '.join(str(entry).split())}" for number, entry in enumerate(value, start=1)
        )
    text = escaped(value).strip()
    return f"<data>\n{text}\n</data>" if "\n" in text else f"<data>{text}</data>"


def escaped(text: str) -> str:
    """The text without anything that could be taken for a delimiter, or that nobody sees."""
    return _CONTROL.sub("", text).translate(_ANGLES)


class _Sandbox(SandboxedEnvironment):
    """Refuses attribute tricks, and arithmetic that could fill the memory."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not all(isinstance(side, (int, float)) for side in (left, right)):
            raise SecurityError(f"{operator!r} is for numbers only here, and ** is not allowed")
        return super().call_binop(context, operator, left, right)


@cache
def _environment() -> _Sandbox:
    environment = _Sandbox(
        loader=FileSystemLoader(_FOLDERS), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data"] = data
    return environment


def _is_straight(source: str, variables: Mapping[str, Any]) -> bool:
    """Whether a template only names its variables, and not so often that it becomes work."""
    try:
        tree = _environment().parse(source)
    except _FAILURES:
        return False
    named = 0
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, _STRAIGHT) and not (isinstance(node, nodes.Filter) and node.name == "data"):
            return False
        named += isinstance(node, nodes.Name)
        waiting += node.iter_child_nodes()
    return named * _size(variables) <= _MOST_WORK


def _size(value: Any) -> int:
    """Characters of a value, about."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_size(key) + _size(entry) + 4 for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return sum(_size(entry) + 4 for entry in value)
    return 8


def _neutral(value: Any) -> Any:
    """The values, without anything in a text or a key that could be taken for a delimiter."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, Mapping):
        return {_neutral(key): _neutral(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_neutral(entry) for entry in value]
    return value
