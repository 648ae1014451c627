"""JSON schemas in the form that servers take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# OpenAI's strict mode refuses some of these for every model, and others for some models. They become words in
# the description, which the model reads; the answer is validated here in any case.
_IN_WORDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "matches {}",
    "format": "format {}",
}
_NEVER = {"default", "title", "discriminator", "examples", "uniqueItems"}


def strict(schema: Mapping[str, Any], *, basic: bool = False) -> dict[str, Any]:
    """The schema with every property required and no others allowed. ``basic``: limits in words only."""
    return _object(dict(schema), basic=basic)


def _object(node: dict[str, Any], *, basic: bool) -> dict[str, Any]:
    if "$ref" in node:  # in strict mode a reference has no other keys
        return {"$ref": node["$ref"]}
    made: dict[str, Any] = {}
    words: list[str] = []
    for name, value in node.items():
        if name in _NEVER:
            continue
        if basic and name in _IN_WORDS:
            words.append(_IN_WORDS[name].format(value))
        elif name in ("properties", "$defs"):
            made[name] = {key: _object(child, basic=basic) for key, child in value.items()}
        elif name in ("anyOf", "oneOf", "allOf", "prefixItems"):
            kept = "anyOf" if name == "oneOf" else name
            made[kept] = [_object(child, basic=basic) for child in value]
        elif isinstance(value, dict) and name in ("items", "additionalProperties"):
            made[name] = _object(value, basic=basic)
        else:
            made[name] = value
    if "properties" in made:
        made["required"] = list(made["properties"])
        made["additionalProperties"] = False
    if words:
        made["description"] = ". ".join(filter(None, [made.get("description"), ", ".join(words)]))
    return made
