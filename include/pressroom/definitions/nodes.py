"""YAML as nodes that remember their lines, turned into plain values by YAML 1.2's core schema.

PyYAML follows YAML 1.1, where ``14:30`` is the number 870 and ``no`` (Norwegian) is false. Definitions hold
times of day and language codes, so the loader is yamlcore's. What it does not do is done here: an error for
each key that is given twice with both lines, and bounds on nesting, numbers and aliases.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from yamlcore import CoreLoader

DEEPEST = 30
LONGEST_NUMBER = 40


class NodeError(Exception):
    """What is wrong with a node, and the line (from 1) where."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


def line(node: yaml.Node) -> int:
    """The node's line, from 1."""
    return int(node.start_mark.line) + 1


def documents(text: str) -> Iterator[yaml.Node]:
    """The file's documents that are not empty. Raises yaml.YAMLError."""
    for node in yaml.compose_all(text, CoreLoader):
        if not (isinstance(node, yaml.ScalarNode) and node.value == ""):
            yield node


def value(node: yaml.Node) -> Any:
    """The node as dicts, lists and scalars. Raises NodeError for keys given twice, tags, endless aliases."""
    return _value(node, (), {})


def find(node: yaml.Node, path: Sequence[int | str]) -> yaml.Node:
    """The deepest node on the path that exists; for a mapping's entry, its key where the path ends there."""
    here = node
    for depth, step in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(here, yaml.MappingNode):
            pair = next(((key, item) for key, item in here.value if key.value == step), None)
            if pair is None:
                return here
            here = pair[0] if last else pair[1]
        elif isinstance(here, yaml.SequenceNode) and isinstance(step, int) and step < len(here.value):
            here = here.value[step]
        else:
            return here
    return here


def line_of_text(node: yaml.Node, path: Sequence[str], number: int) -> int | None:
    """Where in the file the n-th line of a text stands; None when the text is not a literal block (``|``)."""
    here: yaml.Node | None = node
    for step in path:
        pairs = here.value if isinstance(here, yaml.MappingNode) else []
        here = next((item for key, item in pairs if key.value == step), None)
    return line(here) + number if isinstance(here, yaml.ScalarNode) and here.style == "|" else None


def _value(node: yaml.Node, above: tuple[int, ...], built: dict[int, Any]) -> Any:
    # above: the nodes that hold this one. built: values by node, so that an alias is not built twice.
    if id(node) in above:
        raise NodeError(line(node), "an alias that contains itself")
    if len(above) > DEEPEST:
        raise NodeError(line(node), "nested too deeply")
    if id(node) not in built:
        inside = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            built[id(node)] = _mapping(node, inside, built)
        elif isinstance(node, yaml.SequenceNode):
            built[id(node)] = [_value(item, inside, built) for item in node.value]
        else:
            built[id(node)] = _scalar(node)
    return built[id(node)]


def _mapping(node: yaml.MappingNode, inside: tuple[int, ...], built: dict[int, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, item in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise NodeError(line(key), "a key must be text")
        name = key.value
        if name in values:
            raise NodeError(line(key), f"{name}: given twice, first in line {lines[name]}")
        lines[name] = line(key)
        values[name] = _value(item, inside, built)
    return values


def _scalar(node: yaml.Node) -> Any:
    kind = node.tag.rpartition(":")[2]
    if kind in ("int", "float") and len(node.value) > LONGEST_NUMBER:
        raise NodeError(line(node), "a number of too many digits")
    try:
        scalar = CoreLoader("").construct_object(node)
    except yaml.constructor.ConstructorError:
        raise NodeError(line(node), f"the tag {node.tag} is not understood here") from None
    except (ValueError, LookupError):
        raise NodeError(line(node), f"{node.value!r} is not of the type {kind} that its tag says") from None
    if isinstance(scalar, float) and not math.isfinite(scalar):
        raise NodeError(line(node), f"{node.value} is not a number that can be used here")
    return scalar
