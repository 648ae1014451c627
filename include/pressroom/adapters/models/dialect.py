"""What a server accepts for a model, and how a refusal leads to the next way of asking.

Servers differ in the ways to ask for JSON, the name of the token limit, whether the temperature can be
chosen, and more. The best way is tried first. A refusal is understood by the name of the parameter in it, in
whatever words: each says which fields of the dialect change. What was learned is kept by connection and
model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

from pressroom.adapters.models.settings import ConnectionSettings, Structured
from pressroom.domain.model import ModelRequest

RUNGS: Sequence[Structured] = get_args(Structured)
MAX_TOKENS, MAX_COMPLETION_TOKENS = "max_tokens", "max_completion_tokens"
_LESS_REASONING = {"none": "minimal", "minimal": "low"}
"""What to ask for in place of an effort that is refused; for others nothing."""
LEAST_TOKENS = 16
"""No answer has less room."""

_SCHEMA_WORDS = ("response_format", "json_schema", "json_object", "schema", "grammar", "structured output")
_TOOL_WORDS = ("tool_choice", "tools", "tool call", "tool use", "function call")
_ROLES = re.compile(r"system.{0,20}\b(role|message|prompt|instruction)|\brole.{0,20}system|must alternate")
_TOKEN_WORDS = ("max_tokens", "max_completion_tokens", "max tokens", "output tokens", "completion tokens")
_NUMBER = r"(\d[\d,]*)"
_CONTEXT = re.compile(rf"(?:context (?:length|window|size)|\blimit)\D{{0,40}}{_NUMBER}")
_REQUESTED = re.compile(rf"request(?:ed)?\D{{0,40}}{_NUMBER}")
# Ahead, as one statement may begin within another: "max_tokens should be [1, 8192]".
_MOST = re.compile(
    r"(?=(?:at most|maximum|max|up to|less than or equal to|<=|≤|exceed|limit|\[\s*\d+\s*,|between \d+ and)"
    rf"\D{{0,40}}{_NUMBER})"
)


@dataclass(frozen=True)
class Dialect:
    """The parameters that a server accepts for a model.

    ``shows_schema``: the server ignores ``response_format``, so the schema is shown in words, too.
    ``most_tokens``: of an answer; ``most_total``: of prompt and answer. ``head_room``: tokens that the model
    thinks with before it answers. ``batches``: there is a batch endpoint.
    """

    structured: Structured = "json_schema"
    token_limit: str = MAX_TOKENS
    temperature: bool = True
    native_tools: bool = True
    system: bool = True
    shows_schema: bool = False
    reasoning: str = ""
    most_tokens: int | None = None
    most_total: int | None = None
    head_room: int = 0
    batches: bool = True

    @property
    def by_schema(self) -> bool:
        """Whether the server is sent the schema as such, and not in words alone."""
        return self.structured in ("json_schema", "json_schema_basic")


def first_dialect(settings: ConnectionSettings) -> Dialect:
    """Where the ladders begin."""
    return Dialect(
        structured=settings.structured or ("json_schema_basic" if settings.is_openai else "json_schema"),
        token_limit=_first_limit(settings),
        native_tools=settings.native_tools is not False,
        reasoning=settings.reasoning or "",
        head_room=settings.head_room_tokens or 0,
    )


def known_fields(learned: Mapping[str, Any], settings: ConnectionSettings) -> dict[str, Any]:
    """Of what was learned, what is still a field of the right type and not pinned by the connection."""
    pinned = {
        "structured": settings.structured, "native_tools": settings.native_tools,
        "head_room": settings.head_room_tokens,
    }  # fmt: skip
    defaults = {field.name: field.default for field in fields(Dialect)}
    return {
        name: value
        for name, value in learned.items()
        if name in defaults and pinned.get(name) is None and _fits(name, value, defaults[name])
        if name != "reasoning" or value in _steps_below(settings.reasoning or "")
    }


def _steps_below(effort: str) -> set[str]:
    """The efforts that refusals lead to. What another setting led to says nothing of this one."""
    steps = {""}
    while effort := _LESS_REASONING.get(effort, ""):
        steps.add(effort)
    return steps


def _fits(name: str, value: Any, default: Any) -> bool:
    if name == "structured":
        return value in RUNGS
    if default is None:
        return isinstance(value, int) and value > 0
    return isinstance(value, type(default))


@dataclass(frozen=True)
class Sent:
    """A request as it was sent: the dialect, the tokens allowed, and those that the prompt was taken for."""

    dialect: Dialect
    allowed: int
    prompt: int


def next_way(
    refusal: str, request: ModelRequest, sent: Sent, settings: ConnectionSettings
) -> Mapping[str, Any] | None:
    """The fields of the dialect that change after a refusal; None when there is no other way to ask."""
    text = refusal.lower()
    dialect = sent.dialect
    limit = _stated_limit(text, request, sent)
    if limit is not None:
        return limit
    if "temperature" in text and dialect.temperature and request.temperature is not None:
        return {"temperature": False}
    if "reasoning" in text and dialect.reasoning:
        return {"reasoning": _LESS_REASONING.get(dialect.reasoning, "")}
    if dialect.token_limit in text:
        other = MAX_TOKENS if dialect.token_limit == MAX_COMPLETION_TOKENS else MAX_COMPLETION_TOKENS
        # Each name is tried once: a server that refuses both has another reason.
        if other in text or dialect.token_limit == _first_limit(settings):
            return {"token_limit": other}
    if dialect.system and any(m.role == "system" for m in request.messages) and _ROLES.search(text):
        return {"system": False}
    if request.tools and dialect.native_tools:
        refused = any(word in text for word in _TOOL_WORDS) and settings.native_tools is None
        return {"native_tools": False} if refused else None
    asked = request.schema is not None and settings.structured is None
    if asked and any(word in text for word in _SCHEMA_WORDS):
        following = RUNGS.index(dialect.structured) + 1
        if following < len(RUNGS):
            return {"structured": RUNGS[following]}
    return None


def _first_limit(settings: ConnectionSettings) -> str:
    return MAX_COMPLETION_TOKENS if settings.is_openai else MAX_TOKENS


def _stated_limit(text: str, request: ModelRequest, sent: Sent) -> Mapping[str, Any] | None:
    """The limit on tokens that a refusal states, when there is still room for an answer within it."""
    least = max(LEAST_TOKENS, request.max_tokens // 4)
    total, requested = _CONTEXT.search(text), _REQUESTED.search(text)
    if total and requested:
        over = _number(requested) - _number(total)
        if over > 0 and sent.allowed - over >= least:
            # The prompt is as long as the server counts, and not as it was taken for.
            longer = max(_number(requested) - sent.allowed - sent.prompt, 0)
            return {"most_total": _number(total) - longer - 8}
    if any(word in text for word in _TOKEN_WORDS):
        stated = [
            number for match in _MOST.finditer(text) if least <= (number := _number(match)) < sent.allowed
        ]
        if stated:
            return {"most_tokens": max(stated)}
    return None


def _number(match: re.Match[str]) -> int:
    return int(match.group(1).replace(",", "")[:12])


def described(learned: Mapping[str, Any]) -> str:
    """What was learned, for people."""
    lines: dict[str, Callable[[Any], str]] = {
        "structured": lambda value: f"JSON by {value}",
        "token_limit": lambda value: f"the limit is called {value}",
        "temperature": lambda value: "" if value else "no temperature",
        "native_tools": lambda value: "" if value else "no tool calls",
        "system": lambda value: "" if value else "no system role",
        "shows_schema": lambda value: (
            "response_format is ignored, the schema is shown in words" if value else ""
        ),
        "reasoning": lambda value: f"reasoning_effort {value}" if value else "no reasoning_effort",
        "most_tokens": lambda value: f"at most {value} tokens an answer",
        "most_total": lambda value: f"at most {value} tokens with the prompt",
        "head_room": lambda value: f"{value} tokens more for thoughts" if value else "",
        "batches": lambda value: "" if value else "no batch endpoint",
        "response_format": lambda value: "" if value else "no response_format for pictures",
        "quality": lambda value: "" if value else "no quality of pictures",
        "size": lambda value: "" if value else "no size of pictures",
    }
    said = [words for name, line in lines.items() if name in learned and (words := line(learned[name]))]
    return "; ".join(said) or "nothing that differs from OpenAI's API"


def asked_with(dialect: Dialect) -> str:
    """The ways in which a server is asked, for people."""
    ways = {
        f"JSON by {dialect.structured}": True,
        "the schema in words": dialect.shows_schema or not dialect.by_schema,
        "tool calls": dialect.native_tools,
        "temperature": dialect.temperature,
        "system role": dialect.system,
        f"reasoning_effort {dialect.reasoning}": bool(dialect.reasoning),
    }
    return ", ".join(way for way, taken in ways.items() if taken)


class ProcessDialects:
    """A ``Dialects`` in this process's memory, for want of a database."""

    def __init__(self) -> None:
        self._learned: dict[tuple[str, str, str], dict[str, Any]] = {}

    async def recall(self, connection: str, server: str, model: str) -> Mapping[str, Any] | None:
        return self._learned.get((connection, server, model))

    async def learn(self, connection: str, server: str, model: str, learned: Mapping[str, Any]) -> None:
        self._learned.setdefault((connection, server, model), {}).update(learned)
