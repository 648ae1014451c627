"""The answer types' building blocks.

Bounds stand in the JSON schema, where they steer the model (a small one rambles up to whatever is allowed).
They are not enforced when an answer is read: a paragraph that is a little long is cut or kept, never refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

LONGEST = 600
"""Characters of the longest string asked for: about 100 words, a long paragraph."""

TOKEN_CHARS = 2
"""Characters a token, taken low on purpose: English has 4, other languages and JSON's own marks fewer."""


class Answer(BaseModel):
    """Base of the answer types. Unknown keys are not asked for, and dropped when they come."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})


@dataclass(frozen=True)
class Chars:
    """The length of a string, in characters."""

    most: int
    least: int = 1

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "minLength": self.least, "maxLength": self.most}


@dataclass(frozen=True)
class Items:
    """The number of entries of a list."""

    most: int
    least: int = 1

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "minItems": self.least, "maxItems": self.most}


@dataclass(frozen=True)
class Between:
    """The range of a whole number."""

    least: int
    most: int

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "minimum": self.least, "maximum": self.most}


def tokens_for(chars: int, *, words: int = 0) -> int:
    """A token limit that an answer of this many characters, and this many words, stays below."""
    return 200 + max(int(chars / TOKEN_CHARS), 2 * words)
