"""Reads a condition and finds every error that can be known before it is used.

The language is CEL, with the grammar of ``celpy``. Conditions need no maps, bytes, unsigned numbers, messages
or types, so these are refused. Length and depth are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from celpy.celparser import CELParseError, CELParser
from celpy.evaluation import celstr
from lark import Token, Tree

from pressroom.adapters.conditions import values
from pressroom.domain.errors import DefinitionError
from pressroom.domain.flows import CONDITION_CHARS, CONDITION_VARIABLES
from pressroom.domain.text import did_you_mean

Node = Tree[Token]

MACROS = {"all", "exists", "exists_one", "filter", "map"}
METHODS = {*MACROS, *values.TEXT_METHODS, *values.PLAIN_METHODS, *values.TIME_PARTS, "size"}
FUNCTIONS = {*values.FUNCTIONS, "has"}

_DEEPEST_BRACKETS = 20
_DEEPEST_TREE = 80
_DEEPEST_MACROS = 2
# Rules with one child and no meaning of their own.
_WRAPPERS = {
    "expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary", "member",
    "primary", "paren_expr",
}  # fmt: skip
_LEFT_OUT = {
    "map_lit": "an object in braces",
    "member_object": "an object in braces",
    "dot_ident": "a name that starts with a dot",
    "dot_ident_arg": "a name that starts with a dot",
}
_ESCAPES = re.compile(
    r"""\\(?:[abfnrtv"'\\?`]|[0-3][0-7]{2}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
)
_WORDS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!", "is": "==", "=": "=="}
_WORD = re.compile(r"[A-Za-z_]\w*|\S")


def read(text: str) -> Node:
    """The tree of a condition. Raises DefinitionError, which names the place and the remedy."""
    if not text.strip():
        raise DefinitionError(["a condition is empty"])
    if len(text) > CONDITION_CHARS:
        raise DefinitionError([f"a condition is longer than {CONDITION_CHARS} characters: {text[:40]!r}…"])
    _check_marks(text)
    try:
        tree: Node = _parser().parse(text)
    except CELParseError as error:
        # At the end of the text, the grammar's error names the last word before it.
        ended = getattr(getattr(error.__context__, "token", None), "type", "") == "$END"
        raise _wrong_syntax(text, None if ended else error.line, error.column) from None
    except Exception:  # noqa: BLE001  a bug of the grammar must not crash the caller
        raise DefinitionError([f"the condition {text!r} cannot be read"]) from None
    if _depth(tree) > _DEEPEST_TREE:
        raise _wrong(text, 1, 1, "it has too many parts: split it over several steps or rules")
    _Check(text).node(tree, frozenset(CONDITION_VARIABLES), 0)
    return tree


def core(tree: Node) -> Node:
    """The node inside the wrapping rules, which add nothing."""
    while tree.data in _WRAPPERS and len(tree.children) == 1 and isinstance(tree.children[0], Tree):
        tree = tree.children[0]
    return tree


def parts(tree: Node) -> list[Node]:
    """The child nodes, without tokens."""
    return [child for child in tree.children if isinstance(child, Tree)]


def name_of(tree: Node) -> Token:
    """The name in a member, a call or an identifier."""
    return next(child for child in tree.children if isinstance(child, Token))


def arguments(tree: Node) -> list[Node]:
    """The arguments of a call."""
    return [argument for child in parts(tree) if child.data == "exprlist" for argument in parts(child)]


def literal(token: Token) -> Any:
    """The value of a literal. Raises ValueError for literals that are not supported."""
    if token.type == "INT_LIT":
        number = int(token, 16 if "0x" in token.lower() else 10)
        if not -(2**63) <= number < 2**63:
            raise ValueError("this number is too large")
        return number
    if token.type == "FLOAT_LIT":
        return float(token)
    if token.type == "STRING_LIT":
        return str(celstr(token)).encode("utf-8").decode("utf-8")
    if token.type == "BOOL_LIT":
        return token == "true"
    if token.type == "NULL_LIT":
        return None
    raise ValueError("unsigned numbers and bytes are not of this language")


def place(line: int | None, column: int | None) -> str:
    """A place in a condition, in words."""
    return f"column {column}" if line in (None, 1) else f"line {line}, column {column}"


@lru_cache(maxsize=1)
def _parser() -> CELParser:
    return CELParser()


def _wrong(text: str, line: int | None, column: int | None, what: str) -> DefinitionError:
    return DefinitionError([f"the condition {text!r} is wrong at {place(line, column)}: {what}"])


def _wrong_syntax(text: str, line: int | None, column: int | None) -> DefinitionError:
    lines = text.splitlines() or [""]
    if not isinstance(line, int) or not isinstance(column, int) or not 1 <= line <= len(lines) or column < 1:
        return _wrong(text, len(lines), len(lines[-1]) + 1, "it ends too early")
    rest = lines[line - 1][column - 1 :]
    match = _WORD.search(rest)
    if match is None:
        return _wrong(text, line, column, "it ends too early")
    word = match.group()
    hint = f". Write {_WORDS[word]} instead" if word in _WORDS else ""
    if re.search(r"\bnot\s+$", lines[line - 1][: column - 1], re.IGNORECASE):
        hint = ". Write ! instead of not"
    return _wrong(text, line, column, f"{word!r} is not expected here{hint}")


def _check_marks(text: str) -> None:
    """Refuse open strings and brackets that are nested too deeply.

    The grammar's pattern for strings takes exponential time on an open string.
    """
    position, depth = 0, 0
    while position < len(text):
        sign = text[position]
        if sign in "\"'":
            position = _after_string(text, position)
            continue
        if text.startswith("//", position):
            raise _wrong_at(text, position, "comments have no place here")
        depth += (sign in "([{") - (sign in ")]}")
        if depth > _DEEPEST_BRACKETS:
            raise _wrong_at(text, position, "brackets are nested too deeply")
        position += 1


def _after_string(text: str, start: int) -> int:
    quote = text[start]
    if text.startswith(3 * quote, start):
        raise _wrong_at(text, start, "use a string with single quotes around it")
    before = re.search(r"\w*$", text[:start])
    raw = before is not None and before.group() in ("r", "R")
    if before is not None and before.group() and not raw:
        raise _wrong_at(text, start, "a string is not expected here")
    position = start + 1
    while position < len(text) and text[position] not in f"{quote}\r\n":
        if text[position] != "\\":
            position += 1
        elif raw:
            position += 2
        else:
            escape = _ESCAPES.match(text, position)
            if escape is None:
                raise _wrong_at(
                    text, position, f"{text[position : position + 2]!r} is unknown: write \\\\ for \\"
                )
            position = escape.end()
    if position >= len(text) or text[position] != quote:
        raise _wrong_at(text, start, f"the string that starts here has no end: {quote} is missing")
    return position + 1


def _wrong_at(text: str, position: int, what: str) -> DefinitionError:
    before = text[:position]
    return _wrong(text, before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1, what)


def _depth(tree: Node) -> int:
    """The depth of the tree without wrapping rules. A loop, because recursion could not bear every depth."""
    deepest, waiting = 0, [(core(tree), 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(core(child), depth + 1) for child in parts(node)]
    return deepest


class _Check:
    """Checks the names, functions and literals of a condition."""

    def __init__(self, text: str) -> None:
        self._text = text

    def node(self, tree: Node, names: frozenset[str], macros: int) -> None:
        tree = core(tree)
        for problem in self._problems(tree, names):
            at = next((child for child in tree.children if isinstance(child, Token)), tree.meta)
            raise _wrong(self._text, getattr(at, "line", 1), getattr(at, "column", 1), problem)
        if tree.data == "member_dot_arg" and name_of(tree) in MACROS:
            if macros >= _DEEPEST_MACROS:
                token = name_of(tree)
                raise _wrong(
                    self._text, token.line, token.column, f"more than {_DEEPEST_MACROS} loops in a loop"
                )
            self.node(parts(tree)[0], names, macros)
            variable, body = arguments(tree)
            self.node(body, names | {str(name_of(core(variable)))}, macros + 1)
            return
        for child in parts(tree):
            self.node(child, names, macros)

    def _problems(self, tree: Node, names: frozenset[str]) -> Iterator[str]:
        if tree.data in _LEFT_OUT:
            yield f"{_LEFT_OUT[tree.data]} is not of this language"
        elif tree.data == "ident":
            name = str(name_of(tree))
            if name not in names:
                yield f"there is no {name!r}{did_you_mean(name, names)}"
        elif tree.data == "literal":
            try:
                literal(name_of(tree))
            except ValueError as error:
                yield str(error) if "codec" not in str(error) else "this string has half a character in it"
        elif tree.data == "ident_arg":
            yield from self._call(tree)
        elif tree.data == "member_dot_arg":
            yield from self._method(tree, names)

    def _call(self, tree: Node) -> Iterator[str]:
        name, args = str(name_of(tree)), arguments(tree)
        if name in METHODS - FUNCTIONS:
            yield f"{name} follows what it is about: write item.title.{name}(...)"
        elif name not in FUNCTIONS:
            yield f"there is no function {name!r}{did_you_mean(name, FUNCTIONS)}"
        elif len(args) != 1:
            yield f"{name}() takes one argument"
        elif name == "has" and core(args[0]).data != "member_dot":
            yield "has() asks for a key: write has(item.title)"

    def _method(self, tree: Node, names: frozenset[str]) -> Iterator[str]:
        name, args = str(name_of(tree)), [core(argument) for argument in arguments(tree)]
        if name not in METHODS:
            yield f"there is no {name}(){did_you_mean(name, METHODS)}"
        elif name in MACROS:
            if len(args) != 2 or args[0].data != "ident":
                yield f"{name}() takes a name and a condition, such as packets.{name}(p, p.kind == 'text')"
            elif str(name_of(args[0])) in names:
                yield f"the name {str(name_of(args[0]))!r} is taken: choose another one for {name}()"
        elif name in values.TEXT_METHODS and len(args) != 1:
            yield f"{name}() takes one text"
        elif (name in values.PLAIN_METHODS or name == "size") and args:
            yield f"{name}() takes no argument"
        elif name in values.TIME_PARTS and len(args) > 1:
            yield f"{name}() takes a time zone or nothing"
        elif name == "matches" and args[0].data == "literal":
            yield from self._pattern(args[0])

    def _pattern(self, tree: Node) -> Iterator[str]:
        try:
            pattern = literal(name_of(tree))
            values.regex(pattern if isinstance(pattern, str) else "")
        except values.ConditionError as error:
            yield str(error)
        except ValueError:
            return  # the literal's own node reports it
