"""What items would ask of the text model, found out by working on them without one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pressroom.domain.errors import PermanentError
from pressroom.domain.model import Answer, Choice, ModelReply, ModelRequest, Prompt, Tool
from pressroom.domain.text import storable
from pressroom.engine.models.answers import judge
from pressroom.engine.models.text import BoundText, TextEngine
from pressroom.pipelines.stage import Stage


class Unanswered(PermanentError):
    """The request is on the list; its answer comes later."""


@dataclass(frozen=True)
class Wanted:
    """A request of an item."""

    item: str
    request: ModelRequest


class RecordingText:
    """A ``Text`` that notes what it is asked, and answers only what is known.

    It never waits: what an item asks side by side is noted in one go.
    """

    def __init__(self, engine: TextEngine, bound: BoundText, known: Known) -> None:
        self._engine, self._bound, self._known = engine, bound, known
        self.model = bound.model
        self.wanted: dict[str, ModelRequest] = {}

    async def generate(self, prompt: Prompt, output_type: type[Answer]) -> Answer:
        request = self._bound.request(prompt, output_type)
        key = self._engine.key(request)
        if key in self._known.answers:
            return output_type.model_validate_json(self._known.answers[key])
        if key in self._known.replies:
            return judge(self._known.replies[key], output_type)[0]
        self.wanted[key] = request
        raise Unanswered("asked later")

    async def choose(self, prompt: Prompt, tools: Sequence[Tool[Any]]) -> list[Choice]:
        raise Unanswered("a choice of tools is asked for at once")

    def estimate(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        return self._bound.estimate(prompt_tokens, completion_tokens)


@dataclass
class Known:
    """Answers from the cache, as JSON, and replies of batches, both by the keys of their requests."""

    answers: dict[str, str]
    replies: dict[str, ModelReply]


class _RecordingTools:
    """An item's tools, but for the text model."""

    def __init__(self, tools: Any, text: RecordingText) -> None:
        self._tools, self.text = tools, text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tools, name)


async def record(
    stage: Stage[Any, Any], item: Any, tools: Any, engine: TextEngine, known: Known
) -> dict[str, Wanted]:
    """The requests of an item that are not answered yet, by their keys."""
    text = RecordingText(engine, tools.text, known)
    with suppress(Exception):  # the ordinary way meets it again, and says what it is
        await stage.process(item, _RecordingTools(tools, text))
    name = stage.key(item)
    return {key: Wanted(storable(name), request) for key, request in text.wanted.items()}
