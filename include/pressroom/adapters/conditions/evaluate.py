"""The conditions of flows: ``compile`` reads a condition in CEL, ``CelCondition.evaluate`` gives its value.

* ``item.tags.exists(t, t == 'news') && size(item.images) > 0``, ``results.seo.score >= 0.7``,
  ``packets.exists(p, p.kind == 'published' && p.step == 'blog')``, ``timestamp(item.published_at) > …``
* A missing key is an error that names it; ``has(results.seo)`` tests for it. ``has`` is false wherever the
  path breaks off. A key with null exists.
* ``&&`` and ``||`` stop when they are decided. An error on one side does not count when the other decides.
* Kinds never mix: ``1 == '1'`` is false, ``1 < '1'`` an error. Whole numbers and fractions do mix.

Data never becomes code. An expression reaches nothing of Python and cannot run long: its length, depth,
steps, time and the sizes of its values are bounded, and its patterns are RE2's.

The grammar is that of ``celpy``. Its evaluator is not used: it has no bounds, formats texts with ``%``,
repeats them with ``*``, and takes an error in ``filter`` or ``exists_one`` for true.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pressroom.adapters.conditions import values
from pressroom.adapters.conditions.syntax import (
    MACROS,
    Node,
    arguments,
    core,
    literal,
    name_of,
    parts,
    place,
    read,
)
from pressroom.adapters.conditions.values import ConditionError, kind, plain
from pressroom.domain.errors import PermanentError
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.outside import clean_line
from pressroom.domain.text import did_you_mean

MOST_STEPS = 50_000
MOST_SECONDS = 1.0

_OPERATORS = {
    "relation_lt": "<", "relation_le": "<=", "relation_gt": ">", "relation_ge": ">=", "relation_eq": "==",
    "relation_ne": "!=", "relation_in": "in", "addition_add": "+", "addition_sub": "-",
    "multiplication_mul": "*", "multiplication_div": "/", "multiplication_mod": "%",
}  # fmt: skip


class _LimitExceeded(Exception):
    """The expression used up its steps or its time."""


@dataclass(frozen=True)
class CelCondition:
    """A valid condition. Made with ``compile``."""

    text: str
    _tree: Node = field(repr=False, compare=False)

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Its value: JSON, a time or a duration. Raises PermanentError."""
        try:
            return _Evaluation(variables).value(self._tree)
        except ConditionError as error:
            raise PermanentError(f"the condition {self.text!r} has no value: {error}") from None
        except _LimitExceeded:
            raise PermanentError(f"the condition {self.text!r} takes too long on this item") from None
        except RecursionError:
            raise PermanentError(f"the condition {self.text!r} is nested too deeply") from None

    def holds(self, variables: Mapping[str, Any]) -> bool:
        """Its value, which must be true or false. Raises PermanentError."""
        value = self.evaluate(variables)
        if not isinstance(value, bool):
            raise PermanentError(
                f"the condition {self.text!r} gives {kind(value)}, not true or false: compare it with a value"
            )
        return value


def compile(text: str) -> CelCondition:
    """Read a condition. Raises DefinitionError, which names the place and the remedy."""
    return CelCondition(text, read(text))


class _Evaluation:
    """One walk over the tree. Every node costs a step; long values cost more."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._names = dict(variables)
        self._steps = MOST_STEPS
        self._until = time.monotonic() + MOST_SECONDS
        self._kinds: dict[str, Callable[[Node], Any]] = {
            "expr": self._choice,
            "conditionalor": lambda tree: self._logic(tree, decides=True),
            "conditionaland": lambda tree: self._logic(tree, decides=False),
            "relation": self._binary,
            "addition": self._binary,
            "multiplication": self._binary,
            "unary": self._unary,
            "member_dot": self._member,
            "member_index": self._index,
            "member_dot_arg": self._method,
            "ident_arg": self._call,
            "ident": self._ident,
            "list_lit": lambda tree: [self.value(argument) for argument in arguments(tree)],
            "literal": lambda tree: literal(name_of(tree)),
        }

    def value(self, tree: Node) -> Any:
        tree = core(tree)
        self._spend(1)
        return self._kinds[tree.data](tree)

    def _spend(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0 or time.monotonic() > self._until:
            raise _LimitExceeded

    def _spend_on(self, *used: Any) -> None:
        self._spend(sum(len(value) // 1000 for value in used if isinstance(value, (str, list, dict))))

    def _choice(self, tree: Node) -> Any:
        condition, yes, no = parts(tree)
        return self.value(yes if self._bool(condition, "?") else no)

    def _logic(self, tree: Node, *, decides: bool) -> bool:
        symbol = "||" if decides else "&&"
        return self._any(parts(tree), lambda side: self._bool(side, symbol), decides=decides)

    def _bool(self, tree: Node, symbol: str) -> bool:
        value = self.value(tree)
        if not isinstance(value, bool):
            raise ConditionError(f"{symbol} needs true or false, not {kind(value)}")
        return value

    def _binary(self, tree: Node) -> Any:
        operation, right_side = parts(tree)
        symbol = _OPERATORS[operation.data]
        left, right = self.value(parts(operation)[0]), self.value(right_side)
        self._spend_on(left, right)
        if symbol in ("==", "!="):
            return values.equal(left, right) is (symbol == "==")
        if symbol == "in":
            return values.contained(left, right)
        if operation.data.startswith("relation"):
            return values.compare(symbol, left, right)
        return values.calculate(symbol, left, right)

    def _unary(self, tree: Node) -> Any:
        operation, operand = parts(tree)
        if operation.data == "unary_not":
            return not self._bool(operand, "!")
        return values.negative(self.value(operand))

    def _ident(self, tree: Node) -> Any:
        name = str(name_of(tree))
        if name not in self._names:
            raise ConditionError(f"{name!r} is not known at this point")
        return plain(self._names[name])

    def _member(self, tree: Node) -> Any:
        token = name_of(tree)
        target = parts(tree)[0]
        return self._key(self.value(target), str(token), _shown(target), place(token.line, token.column))

    def _index(self, tree: Node) -> Any:
        target, index = parts(tree)
        holder, key = self.value(target), self.value(index)
        if isinstance(holder, list):
            if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < len(holder):
                raise ConditionError(
                    f"{_shown(target)} has {len(holder)} entries, and none at {shorten(str(key), 40)!r}"
                )
            return plain(holder[key])
        return self._key(holder, key, _shown(target), place(tree.meta.line, tree.meta.column))

    def _key(self, holder: Any, key: Any, shown: str, at: str) -> Any:
        if not isinstance(holder, dict):
            raise ConditionError(f"{shown} is {kind(holder)} and has no {shorten(str(key), 40)!r} ({at})")
        if not isinstance(key, str) or key not in holder:
            name = shorten(str(key), 40)
            near = did_you_mean(name, [clean_line(str(known), 40) for known in list(holder)[:50]])
            raise ConditionError(
                f"{shown} has no {name!r} ({at}); has({shown}.{name}) asks whether it does{near}"
            )
        return plain(holder[key])

    def _call(self, tree: Node) -> Any:
        name, (argument,) = str(name_of(tree)), arguments(tree)
        if name == "has":
            try:
                self.value(argument)
            except ConditionError:
                return False
            return True
        return values.FUNCTIONS[name](self.value(argument))

    def _method(self, tree: Node) -> Any:
        name, target = str(name_of(tree)), self.value(parts(tree)[0])
        if name in MACROS:
            return self._macro(name, target, tree)
        args = [self.value(argument) for argument in arguments(tree)]
        self._spend_on(target, *args)
        if name == "size":
            return values.size(target)
        if name in values.TIME_PARTS:
            return values.part_of_time(name, target, *args)
        if not isinstance(target, str) or not all(isinstance(value, str) for value in args):
            wrong = next((value for value in (target, *args) if not isinstance(value, str)), None)
            hint = (
                "; for a list write value in list" if name == "contains" and isinstance(wrong, list) else ""
            )
            raise ConditionError(f"{name}() is for texts, not for {kind(wrong)}{hint}")
        return values.TEXT_METHODS[name](target, *args) if args else values.PLAIN_METHODS[name](target)

    def _macro(self, name: str, target: Any, tree: Node) -> Any:
        if not isinstance(target, (list, dict)):
            raise ConditionError(f"{name}() goes over a list, not {kind(target)}")
        variable, body = arguments(tree)
        own = str(name_of(core(variable)))
        entries = [plain(entry) for entry in target]

        def each(entry: Any) -> Any:
            self._names[own] = entry
            return self.value(body) if name == "map" else self._bool(body, f"{name}()")

        try:
            if name == "map":
                return [each(entry) for entry in entries]
            if name == "filter":
                return [entry for entry in entries if each(entry)]
            if name == "exists_one":
                return len([entry for entry in entries if each(entry)]) == 1
            return self._any(entries, each, decides=name == "exists")
        finally:
            self._names.pop(own, None)

    @staticmethod
    def _any(entries: Iterable[Any], each: Callable[[Any], Any], *, decides: bool) -> bool:
        """``||``, ``&&``, ``exists`` and ``all``: when one entry decides, errors of others do not count."""
        failed: ConditionError | None = None
        for entry in entries:
            try:
                if bool(each(entry)) is decides:
                    return decides
            except ConditionError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return not decides


def _shown(tree: Node) -> str:
    """The path of a value, for messages."""
    tree = core(tree)
    if tree.data == "ident":
        return str(name_of(tree))
    if tree.data == "member_dot":
        return f"{_shown(parts(tree)[0])}.{name_of(tree)}"
    if tree.data == "member_index":
        return f"{_shown(parts(tree)[0])}[…]"
    return "the value"
