"""Makes an instance of a JSON schema: valid, deterministic per seed, with text that reads like text."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

_WORDS = [
    "garden",
    "soil",
    "season",
    "harvest",
    "compost",
    "water",
    "light",
    "seed",
    "root",
    "leaf",
    "mulch",
    "shade",
    "border",
    "pruning",
    "frost",
    "bloom",
    "path",
    "tool",
    "summer",
    "spring",
    "balcony",
    "bed",
    "kitchen",
    "herb",
    "tomato",
    "rose",
    "meadow",
    "pond",
    "insect",
    "bird",
    "fence",
    "hedge",
    "lawn",
]
_ADJECTIVES = [
    "quiet",
    "early",
    "simple",
    "patient",
    "bright",
    "sturdy",
    "small",
    "clever",
    "lasting",
    "gentle",
    "careful",
    "modern",
    "useful",
]
_LISTED = re.compile(r"^\s*(?:[-*•]|\d+[.):])\s*(.+?)\s*$", re.MULTILINE)
_LONG = {"html", "body", "text", "content", "article", "section", "markdown", "introduction"}


class Instance:
    """One instance. ``prompt``: its list lines are what a field of keywords is filled with."""

    def __init__(self, schema: Mapping[str, Any], prompt: str) -> None:
        self._root = schema
        digest = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()
        self._dice = random.Random(digest)
        self._mark = digest[:6]
        self._count = 0
        self._lines = [line.split(" (")[0] for line in _LISTED.findall(prompt)]

    def value(self) -> Any:
        """The instance."""
        return self._node(self._root, "")

    def _node(self, schema: Mapping[str, Any], name: str, depth: int = 0) -> Any:
        if depth > 30:
            raise ValueError("the schema nests without end")
        if "$ref" in schema:
            target: Any = self._root
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            return self._node(target, name, depth + 1)
        forms = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if forms:
            usable = [form for form in forms if form.get("type") != "null"] or forms
            return self._node(self._dice.choice(usable), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._dice.choice(schema["enum"])
        return self._typed(schema, name, depth)

    def _typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next(each for each in kind if each != "null")
        if kind == "object":
            fields = schema.get("properties", {})
            return {key: self._node(child, key, depth + 1) for key, child in fields.items()}
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("integer", "number"):
            return self._integer(schema)
        if kind == "boolean":
            return self._dice.random() < 0.5
        return None if kind == "null" else self._string(schema, name)

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        low: int = schema.get("minItems", 0)
        count: int = min(max(low, 3), schema.get("maxItems", 1_000))
        if "keyword" in name and schema.get("items", {}).get("type") == "string" and self._lines:
            return (self._lines * (low // len(self._lines) + 1))[: max(count, low)]
        return [self._node(schema.get("items", {}), name, depth + 1) for _ in range(count)]

    def _integer(self, schema: Mapping[str, Any]) -> int:
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0 - 1) + 1)
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 11) - 1)
        step = schema.get("multipleOf", 1)
        value = self._dice.randint(int(-(-low // 1)), int(high // 1))
        return int(-(-value // step) * step)

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        self._count += 1
        low, high = schema.get("minLength", 0), schema.get("maxLength", 100_000)
        fixed = {
            "date": "2027-03-14",
            "date-time": "2027-03-14T09:00:00Z",
            "time": "09:00:00",
            "uri": f"https://example.org/{self._mark}/{self._count}",
            "email": f"{self._mark}@example.org",
            "uuid": f"{self._mark}00-0000-4000-8000-{self._count:012d}",
        }.get(schema.get("format", ""))
        if fixed:
            return fixed
        pattern = schema.get("pattern", "")
        if "[0-9a-fA-F]{6}" in pattern:
            return f"#{self._mark}"
        if name == "slug" or "a-z0-9" in pattern:
            words = f"{self._dice.choice(_ADJECTIVES)}-{self._dice.choice(_WORDS)}"
            return f"{words}-{self._mark}-{self._count}"[:high]
        text = self._prose(name)
        while len(text) < low:
            text += " " + self._sentence()
        if len(text) > high:
            text = text[:high].rstrip()
            text += "x" * (low - len(text))
        return text

    def _prose(self, name: str) -> str:
        if name in _LONG or name.endswith(("_html", "_body")):
            parts = [" ".join(self._sentence() for _ in range(4)) for _ in range(3)]
            if "html" in name:
                return "".join(f"<h2>{self._title()}</h2><p>{part}</p>" for part in parts)
            return "\n\n".join(parts)
        if name in ("title", "name", "heading", "headline", "tag", "tags", "label"):
            return self._title()
        return self._sentence()

    def _title(self) -> str:
        self._count += 1
        words: Sequence[str] = [self._dice.choice(_ADJECTIVES), *self._dice.sample(_WORDS, 2)]
        return f"{' '.join(words).capitalize()} {self._mark}-{self._count}"

    def _sentence(self) -> str:
        words = self._dice.sample(_WORDS, 7)
        how = self._dice.choice(_ADJECTIVES)
        return f"{words[0].capitalize()} and {words[1]} make a {how} {' '.join(words[2:])}."
