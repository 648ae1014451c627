"""Turns a model's reply into a value of the asked type, or into the error that says why it cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from pressroom.domain.errors import (
    AnswerError,
    EmptyAnswer,
    FilteredAnswer,
    InvalidAnswer,
    RefusedAnswer,
    TruncatedAnswer,
)
from pressroom.domain.model import Answer, Choice, Finish, Message, ModelReply, ModelRequest, Tool, ToolCall
from pressroom.domain.text import to_json

# Models write raw line breaks in strings. Only this deviation from JSON is accepted.
_DECODER = json.JSONDecoder(strict=False)
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_SHOWN_ERRORS = 8
_SHOWN_ANSWER = 4000


def judge(reply: ModelReply, output_type: type[Answer]) -> tuple[Answer, str]:
    """The validated answer, and its JSON text for the cache. Raises an AnswerError."""
    if reply.finish is Finish.FILTERED:
        raise FilteredAnswer("the provider's content filter stopped the answer")
    if reply.finish is Finish.REFUSED:
        raise RefusedAnswer(f"the model declined: {reply.refusal[:300] or 'without a reason'}")
    if reply.finish is Finish.LENGTH:
        raise TruncatedAnswer(f"the answer reached its limit after {reply.usage.completion_tokens} tokens")
    if reply.tool_calls:
        return _validated([_as_object(reply.tool_calls)], output_type)
    if not reply.text.strip():
        raise EmptyAnswer("the model returned no text")
    return _validated(list(_objects(reply.text)), output_type)


def repaired(request: ModelRequest, reply: ModelReply, error: AnswerError) -> ModelRequest | None:
    """The request of a second try. None when a second try cannot help."""
    if isinstance(error, TruncatedAnswer):
        return _with(request, request.messages, request.max_tokens * 2)
    if isinstance(error, InvalidAnswer):
        shown = reply.text or to_json(_as_object(reply.tool_calls))
        correction = (
            f"That answer cannot be used:\n{error}\n\n"
            "Answer again, in full, with JSON of the asked form and nothing around it."
        )
        turn = [Message("assistant", shown[:_SHOWN_ANSWER]), Message("user", correction)]
        return _with(request, [*request.messages, *turn], request.max_tokens)
    return None


class _Calls(BaseModel):
    calls: list[Any]


def choice_type(tools: Sequence[Tool[Any]]) -> type[BaseModel]:
    """The type of an answer that calls at least one of the tools: ``{"calls": [{"tool", "arguments"}]}``."""
    union: Any = None
    for tool in tools:
        name: Any = Literal[tool.name]
        form = create_model(
            f"Call_{tool.name}",
            __config__=ConfigDict(extra="forbid"),
            __doc__=tool.description,
            tool=(name, ...),
            arguments=(tool.arguments, ...),
        )
        union = form if union is None else union | form
    return create_model("Calls", __base__=_Calls, calls=(list[union], Field(min_length=1)))


def choices(answer: BaseModel) -> list[Choice]:
    """The choices in an answer of a ``choice_type``."""
    return [Choice(call.tool, call.arguments) for call in cast(_Calls, answer).calls]


def _with(request: ModelRequest, messages: Sequence[Message], max_tokens: int) -> ModelRequest:
    return ModelRequest(
        messages, request.schema_name, request.schema, max_tokens, request.temperature, request.tools
    )


def _validated(candidates: Sequence[object], output_type: type[Answer]) -> tuple[Answer, str]:
    if not candidates:
        raise InvalidAnswer("there is no JSON object in the answer")
    problems: list[str] = []
    for candidate in candidates:
        try:
            return output_type.model_validate(candidate), to_json(candidate)
        except ValidationError as error:
            problems.append(_explain(error))
    raise InvalidAnswer(problems[0])


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [
        f"- {'.'.join(str(part) for part in each['loc']) or 'answer'}: {each['msg']}" for each in problems
    ]
    more = len(lines) - _SHOWN_ERRORS
    return "\n".join(lines[:_SHOWN_ERRORS] + ([f"- and {more} more"] if more > 0 else []))


def _objects(text: str) -> Iterator[object]:
    """Every outermost JSON object in a text that may have fences, prose or thoughts around it."""
    text = _THOUGHTS.sub("", text).replace("\\u0000", "").replace("\x00", "")  # Postgres stores no NUL
    at = text.find("{")
    while at >= 0:
        try:
            value, end = _DECODER.raw_decode(text, at)
            yield value
        except (json.JSONDecodeError, RecursionError):
            end = at + 1
        at = text.find("{", end)


def _as_object(calls: Sequence[ToolCall]) -> dict[str, Any]:
    """Tool calls in the form of a ``choice_type``. Arguments that are not JSON stay text, and fail
    validation.
    """
    made = []
    for call in calls:
        arguments: object = next(_objects(call.arguments), call.arguments)
        made.append({"tool": call.name, "arguments": arguments})
    return {"calls": made}
