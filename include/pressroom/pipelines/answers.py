"""The answer types' building blocks.

Bounds stand in the JSON schema, where they steer the model (a small one rambles up to whatever is allowed).
When an answer is read, a text that was cut off at its bound loses what is not whole. No text is refused for
its length: where nothing whole is left, it is '', and its user takes something else or it is asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from pressroom.domain.markup.cutting import reaches, uncut

LONGEST = 600
"""Characters of the longest string asked for: about 100 words, a long paragraph."""

TOKEN_CHARS = 2
"""Characters a token, taken low on purpose: English has 4, other languages and JSON's own marks fewer."""


class Answer(BaseModel):
    """Base of the answer types. Unknown keys are not asked for, and dropped when they come."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})


@dataclass(frozen=True)
class Chars:
    """The length of a string, in characters. Read, it is as ``uncut`` leaves it.

    ``phrases``: as there; ``needed``: when nothing whole is left, it is asked for again.
    """

    most: int
    least: int = 1
    phrases: bool = False
    needed: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._whole, handler(source))

    def _whole(self, text: str) -> str:
        whole = uncut(text, self.most, phrases=self.phrases)
        if self.needed and text.strip() and not whole:
            raise ValueError(f"it was cut off after {self.most} characters: write whole, shorter sentences")
        return whole

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


def rejoined(texts: Sequence[Any], most: int) -> list[Any]:
    """The texts, with what was parted in the middle of a sentence put together again.

    A model that a bound of ``most`` characters cuts off often goes on in the next text, in the middle of the
    word. Some part a sentence between two words, far from any bound.
    """
    whole: list[Any] = []
    parted = False
    for text in texts:
        goes_on = bool(whole) and isinstance(text, str) and text[:1].islower()
        if goes_on and (parted or _breaks_off(whole[-1])):
            whole[-1] += text if parted else f" {text}"
            # One character more than the bound: it is read as a text that was cut off, if it was.
            whole[-1] += " " if len(whole[-1]) == most else ""
        else:
            whole.append(text)
        parted = isinstance(text, str) and reaches(text, most)
    return whole


def _breaks_off(text: Any) -> bool:
    """Whether a text of sentences ends at a word. A point of a list in small letters is none."""
    return isinstance(text, str) and text[:1].isupper() and text[-1:].isalpha()


def some_text(texts: Sequence[str]) -> Sequence[str]:
    """The texts. Raises ValueError, so that they are asked for again, when none of them is left."""
    if texts and not any(texts):
        raise ValueError("every text was cut off in its first sentence: write whole, shorter sentences")
    return texts


def tokens_for(chars: int, *, words: int = 0) -> int:
    """A token limit that an answer of this many characters, and this many words, stays below."""
    return 200 + max(int(chars / TOKEN_CHARS), 2 * words)
