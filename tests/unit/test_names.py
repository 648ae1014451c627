"""A name means one thing: no two classes of the code have the same name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pressroom

INCLUDE = Path(pressroom.__file__).parent.parent


def test_a_class_name_is_defined_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(INCLUDE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(INCLUDE)}:{node.lineno}")
    assert len(places) > 100
    assert {name: lines for name, lines in places.items() if len(lines) > 1} == {}
