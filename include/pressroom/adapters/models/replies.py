"""Reads the body of a chat completion: it becomes a ModelReply, whatever shape the server gave it.

The SDK builds its types without validation, so the body is read as JSON here: a content may be text, a list
of parts or an object, arguments text or an object, a number of tokens anything. What cannot be read counts as
not said, and is never taken for zero.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pressroom.domain.json_answers import read_value
from pressroom.domain.model import Finish, ModelReply, ToolCall, Usage
from pressroom.domain.text import storable, to_json

MOST_TOKENS = 2**31 - 1
"""What the column of the calls holds. A server that says more says nothing."""

_CACHE_READS = ("cached_tokens", "prompt_cache_hit_tokens")
_CACHE_WRITES = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
"""The names of OpenAI and OpenRouter, and those of LiteLLM."""

_FINISHES = (
    (Finish.LENGTH, re.compile(r".*(length|max_?\w*tokens|token_limit|context_window_exceeded)")),
    (
        Finish.FILTERED,
        re.compile(
            r".*(content_?filter|safety|sensitive|recitation|blocklist|prohibited|spii|moderat|guardrail|risk)"
        ),
    ),
    (Finish.REFUSED, re.compile(r"refus")),
    (
        Finish.FAILED,
        re.compile(
            r"(.*_)?(error|failed|failure|abort\w*|cancel\w*|timeout|insufficient_system_resource|overloaded)"
        ),
    ),
)
"""Reasons by their name, in lower case. All others say nothing: the answer itself decides."""


class NoCompletion(Exception):
    """The body is no chat completion. ``error``: the provider's error in it, else None; ``usage`` as said."""

    def __init__(self, shown: str, error: Any = None, usage: Usage | None = None) -> None:
        super().__init__(shown)
        self.shown, self.error, self.usage = shown, error, usage


def read_body(content: bytes) -> Any:
    """The body as JSON. Raises NoCompletion."""
    try:
        # A number of thousands of digits is none that an answer needs, and Python refuses to read it.
        return json.loads(content, parse_int=lambda digits: int(digits) if len(digits) < 100 else 0)
    except (ValueError, RecursionError):
        raise NoCompletion("the server's answer is not what the API promises") from None


def read_reply(body: Any, model: str) -> ModelReply:
    """The reply in a chat completion's body. ``model``: its name where the server says none.

    Raises NoCompletion.
    """
    if not isinstance(body, dict):
        raise NoCompletion(f"this is not a chat completion: {str(body)[:200]}")
    usage = read_usage(body.get("usage"))
    listed = body.get("choices")
    choices = [choice for choice in listed if isinstance(choice, dict)] if isinstance(listed, list) else []
    if not choices:
        said = usage if usage != Usage() else None
        raise NoCompletion(f"this is not a chat completion: {str(body)[:200]}", body.get("error"), said)
    choice = choices[0]
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    content = message.get("content")
    refusal = _refusal(message.get("refusal"), content)
    finish = _finish(choice.get("finish_reason"))
    if choice.get("error") and finish is Finish.STOP:
        finish = Finish.FAILED
    if finish is Finish.FAILED:
        refusal = _words(choice.get("error") or body.get("error") or choice.get("finish_reason"))
    elif refusal:
        finish = Finish.REFUSED
    name = body.get("model")
    return ModelReply(
        text=storable(_text(content)),
        finish=finish,
        usage=usage,
        model=storable(name) if isinstance(name, str) and name else model,
        tool_calls=_calls(message),
        refusal=storable(refusal),
    )


def read_usage(said: Any) -> Usage:
    """The tokens that a server says it used.

    Thoughts are charged as a part of the answer. Some servers count them beside it, so that only the total
    holds them.
    """
    usage = said if isinstance(said, dict) else {}
    prompt = _tokens(usage, "prompt_tokens", "input_tokens")
    completion = _tokens(usage, "completion_tokens", "output_tokens")
    total = _tokens(usage, "total_tokens")
    cached, written = _of_prompt(usage, *_CACHE_READS), _of_prompt(usage, *_CACHE_WRITES)
    thoughts = _tokens(_part(usage, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
    if thoughts is None:
        thoughts = _tokens(usage, "reasoning_tokens") or 0
    if total is not None:
        if completion is None and prompt is not None:
            completion = max(total - prompt, 0)
        elif prompt is None and completion is not None:
            prompt = max(total - completion, 0)
    prompt, completion = prompt or 0, completion or 0
    beside = (total or 0) - prompt - completion
    if beside > 0 and prompt:
        if beside == cached and not thoughts:  # the prompt is counted without what came from a cache
            prompt += beside
        else:
            completion += beside
    elif thoughts > completion:
        completion += thoughts
    if max(prompt, completion) > MOST_TOKENS:
        return Usage()
    cached = min(cached or 0, prompt)
    return Usage(prompt, completion, cached, min(thoughts, completion), min(written or 0, prompt - cached))


def _of_prompt(usage: Mapping[str, Any], *names: str) -> int | None:
    """A number of the prompt's tokens, which servers say among its details or beside it."""
    details = _part(usage, "prompt_tokens_details", "input_tokens_details")
    found = _tokens(details, *names)
    return _tokens(usage, *names) if found is None else found


def _part(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((usage[name] for name in names if isinstance(usage.get(name), dict)), {})


def _tokens(usage: Mapping[str, Any], *names: str) -> int | None:
    """A number of tokens under the first of the names that holds one."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) < 12:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if math.isfinite(value) and 0 <= value <= MOST_TOKENS:
            return round(value)
    return None


def _finish(reason: Any) -> Finish:
    name = str(reason or "").partition(":")[0].strip().lower()
    return next((finish for finish, pattern in _FINISHES if pattern.match(name)), Finish.STOP)


def _text(content: Any) -> str:
    """The answer's text, without thoughts in parts of their own."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_text_of_part(part) for part in content)
    return _text_of_part(content)


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    text = part.get("text")
    if isinstance(text, dict):
        text = text.get("value")
    if "type" in part and ("text" in part or set(part) & {"thinking", "reasoning", "refusal", "summary"}):
        shown = part["type"] in ("text", "output_text") and isinstance(text, str)
        return str(text) if shown else ""
    if set(part) == {"text"} and isinstance(text, str):
        return text
    return to_json(part)  # a server that parses the answer for us


def _refusal(refusal: Any, content: Any) -> str:
    if isinstance(refusal, str) and refusal:
        return refusal
    parts = content if isinstance(content, list) else []
    return next(
        (str(part["refusal"]) for part in parts if isinstance(part, dict) and part.get("refusal")), ""
    )


def _words(error: Any) -> str:
    if isinstance(error, dict):
        return str(error.get("message") or error)
    return str(error or "")


def _calls(message: Mapping[str, Any]) -> Sequence[ToolCall]:
    listed = message.get("tool_calls")
    entries = listed if isinstance(listed, list) else [listed] if isinstance(listed, dict) else []
    functions = [
        entry.get("function") for entry in entries
        if isinstance(entry, dict) and entry.get("type") in (None, "", "function")
    ]  # fmt: skip
    functions.append(message.get("function_call"))  # what tool calls were before
    return [_call(function) for function in functions if isinstance(function, dict) and function.get("name")]


def _call(function: Mapping[str, Any]) -> ToolCall:
    name = storable(str(function["name"])).removeprefix("functions.")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        inner = read_value(arguments)
        # Some servers encode the arguments twice.
        return ToolCall(name, storable(inner if isinstance(inner, str) else arguments))
    return ToolCall(name, to_json({} if arguments is None else arguments))
