"""Turns a model's reply into a value of the asked type, or into the error that says why it cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from pressroom.domain.errors import (
    AnswerError,
    EmptyAnswer,
    FilteredAnswer,
    InvalidAnswer,
    RefusedAnswer,
    TransientError,
    TruncatedAnswer,
)
from pressroom.domain.json_answers import find_objects, read_value
from pressroom.domain.model import Answer, Choice, Finish, Message, ModelReply, ModelRequest, Tool, ToolCall
from pressroom.domain.text import to_json

_SHOWN_ERRORS = 8
_SHOWN_ANSWER = 4000


def judge(reply: ModelReply, output_type: type[Answer]) -> tuple[Answer, str]:
    """The validated answer, and its JSON text for the cache.

    Raises an AnswerError, and TransientError when the provider broke off.
    """
    if reply.finish is Finish.FAILED:
        raise TransientError(f"the provider broke off: {reply.refusal[:300] or 'without a reason'}")
    if reply.finish is Finish.FILTERED:
        raise FilteredAnswer("the provider's content filter stopped the answer")
    if reply.finish is Finish.REFUSED:
        raise RefusedAnswer(f"the model declined: {reply.refusal[:300] or 'without a reason'}")
    if reply.finish is Finish.LENGTH:
        raise TruncatedAnswer(f"the answer reached its limit after {reply.usage.completion_tokens} tokens")
    if reply.problem:
        return _in_spite_of(reply.problem, reply, output_type)
    if reply.tool_calls:
        return _validated([_as_object(reply.tool_calls)], output_type)
    if not reply.text.strip():
        raise EmptyAnswer("the model returned no text")
    return _found(reply.text, output_type)


def _found(text: str, output_type: type[Answer]) -> tuple[Answer, str]:
    """The last object in the text that is of the asked type: earlier ones are drafts."""
    found = find_objects(text)
    try:
        return _validated(found.objects[::-1], output_type)
    except InvalidAnswer as error:
        if found.problem:  # objects within a broken one are none that anybody asked for
            raise InvalidAnswer(found.problem) from None
        raise error from None


def _in_spite_of(problem: str, reply: ModelReply, output_type: type[Answer]) -> tuple[Answer, str]:
    """An answer that its server refused: it may be of the asked type all the same."""
    try:
        return _found(reply.text, output_type)
    except InvalidAnswer as error:
        raise InvalidAnswer(f"{problem}\n{error}") from None


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


@lru_cache(maxsize=64)
def choice_type(tools: tuple[Tool[Any], ...]) -> type[BaseModel]:
    """The type of an answer that calls at least one of the tools: ``{"calls": [{"tool", "arguments"}]}``.

    The same tools have the same type, so that its schema is made once for all items.
    """
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


def _validated(candidates: Sequence[Any], output_type: type[Answer]) -> tuple[Answer, str]:
    """The first candidate of the asked type, or the one that it is wrapped around."""
    if not candidates:
        raise InvalidAnswer("there is no JSON object in the answer")
    problems: list[str] = []
    for candidate in candidates:
        try:
            return output_type.model_validate(candidate), to_json(candidate)
        except ValidationError as error:
            problems.append(_explain(error))
        inner = _wrapped(candidate)
        if inner is not None:
            try:
                return output_type.model_validate(inner), to_json(inner)
            except ValidationError:
                continue
    raise InvalidAnswer(problems[0])


def _wrapped(candidate: Mapping[str, Any]) -> Any:
    """What a candidate has besides plain values, when that is one object: {"answer": {…}}."""
    values = [read_value(value) if _like_json(value) else value for value in candidate.values()]
    objects = [value for value in values if isinstance(value, dict)]
    others = [value for value in values if isinstance(value, list)]
    return objects[0] if len(objects) == 1 and not others else None


def _like_json(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("{")


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [
        f"- {'.'.join(str(part) for part in each['loc']) or 'answer'}: {each['msg']}" for each in problems
    ]
    more = len(lines) - _SHOWN_ERRORS
    return "\n".join(lines[:_SHOWN_ERRORS] + ([f"- and {more} more"] if more > 0 else []))


def _as_object(calls: Sequence[ToolCall]) -> dict[str, Any]:
    """Tool calls in the form of a ``choice_type``. Arguments that are not JSON stay text, and fail
    validation.
    """
    made = []
    for call in calls:
        objects = find_objects(call.arguments).objects
        arguments: object = objects[-1] if objects else call.arguments
        made.append({"tool": call.name, "arguments": arguments})
    return {"calls": made}
