"""Embeddings from the ``/embeddings`` endpoint of OpenAI or of any server that has one like it.

Servers differ in how many texts they take in a call: one that refuses several texts is asked for the halves
of them, and from then on for no more than it took. The answer is read as JSON here, in whatever order its
vectors come; what cannot be read is an error, and never a vector of zeros.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import openai

from pressroom.adapters.models.openai_errors import translate, translate_body
from pressroom.adapters.models.openai_model import OpenAIModel
from pressroom.adapters.models.replies import NoCompletion, read_body, read_usage
from pressroom.adapters.models.settings import ConnectionSettings, embedding_price
from pressroom.domain.errors import PressroomError, RequestRefused
from pressroom.domain.model import Embedded, Usage

TEXTS_PER_CALL = 100
"""Gemini takes so many at most, others more."""


class OpenAIEmbeddings(OpenAIModel):
    """An ``Embedder``. The connection's ``options`` may name the dimensions."""

    kind = "embedding"

    def __init__(self, settings: ConnectionSettings, model: str | None = None) -> None:
        super().__init__(settings, model)
        self.limits = settings.limits
        self.price = embedding_price(settings, self.model)
        self.texts_per_call = TEXTS_PER_CALL

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """The vectors of the texts, in their order.

        Raises TransientError, ConfigurationError or PermanentError, with what is known to be used.
        """
        vectors: list[Sequence[float]] = []
        spent = Usage()
        while len(vectors) < len(texts):
            asked = texts[len(vectors) : len(vectors) + self.texts_per_call]
            try:
                answer = await self._ask(asked)
            except RequestRefused as refused:
                if len(asked) == 1:
                    refused.usage = _known(spent)
                    raise
                self.texts_per_call = -(-len(asked) // 2)
                continue
            except PressroomError as error:
                error.usage = _known(spent + (error.usage or Usage()))
                raise
            vectors += answer.vectors
            spent = spent + answer.usage
        return Embedded(vectors, spent)

    async def _ask(self, texts: Sequence[str]) -> Embedded:
        body = {"model": self.model, "input": list(texts), **self.settings.options}
        try:
            # The SDK's own method asks for base64, which not all servers know.
            answer = await self._openai().post("/embeddings", body=body, cast_to=httpx.Response)
            return read_embeddings(read_body(answer.content), len(texts))
        except openai.OpenAIError as error:
            raise translate(error, connection=self.connection, secret=self._secret) from None
        except NoCompletion as error:
            raise translate_body(error, connection=self.connection, secret=self._secret) from None


def read_embeddings(body: Any, number: int) -> Embedded:
    """The vectors of an answer for so many texts. Raises NoCompletion."""
    answer = body if isinstance(body, dict) else {}
    usage = read_usage(answer.get("usage"))
    listed = answer.get("data")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    vectors = [_vector(entry.get("embedding")) for entry in _in_order(entries)]
    whole = [vector for vector in vectors if vector is not None]
    if len(whole) != number or len({len(vector) for vector in whole}) > 1:
        raise NoCompletion(
            f"this is not an answer with {number} embeddings: {str(body)[:200]}",
            answer.get("error"),
            _known(usage),
        )
    return Embedded(whole, usage)


def _in_order(entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The entries by their index, when each has one of its own; else as they came."""
    numbered = {entry.get("index"): entry for entry in entries if isinstance(entry.get("index"), int)}
    if set(numbered) != set(range(len(entries))):
        return entries
    return [numbered[index] for index in range(len(entries))]


def _vector(value: Any) -> list[float] | None:
    """A vector as a list of numbers or as base64 of them; None when it is none or has no direction."""
    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
            value = list(struct.unpack(f"<{len(raw) // 4}f", raw))
        except (binascii.Error, struct.error, ValueError):
            return None
    if not isinstance(value, list) or not all(_is_number(number) for number in value):
        return None
    return [float(number) for number in value] if any(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _known(usage: Usage) -> Usage | None:
    return usage if usage != Usage() else None
