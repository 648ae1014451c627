"""A request in a server's dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pressroom.adapters.models.dialect import Dialect
from pressroom.adapters.models.json_schemas import strict
from pressroom.domain.model import Message, ModelRequest


def request_body(model: str, request: ModelRequest, dialect: Dialect, max_tokens: int) -> dict[str, Any]:
    """The body of a chat completion. ``max_tokens``: its limit, with room for thoughts."""
    body: dict[str, Any] = {"model": model, dialect.token_limit: max_tokens}
    if dialect.temperature and request.temperature is not None:
        body["temperature"] = request.temperature
    if dialect.reasoning:
        body["reasoning_effort"] = dialect.reasoning
    shown = ""
    if request.tools and dialect.native_tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": strict(tool.schema, basic=True),
                    "strict": True,
                },
            }
            for tool in request.tools
        ]
        body["tool_choice"] = "required"
    elif request.schema is not None:
        if dialect.by_schema:
            schema = strict(request.schema, basic=dialect.structured == "json_schema_basic")
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": request.schema_name, "schema": schema, "strict": True},
            }
        elif dialect.structured == "json_object":
            body["response_format"] = {"type": "json_object"}
        if not dialect.by_schema or dialect.shows_schema:
            shown = _in_words(request.schema)
    body["messages"] = [
        {"role": message.role, "content": message.content} for message in _messages(request, dialect, shown)
    ]
    return body


def _messages(request: ModelRequest, dialect: Dialect, shown: str) -> list[Message]:
    """The messages, no two of one role in a row: the templates of many models refuse that.

    ``shown`` goes with the last one.
    """
    merged: list[Message] = []
    for message in [*request.messages, *([Message("user", shown)] if shown else [])]:
        role = "user" if message.role == "system" and not dialect.system else message.role
        if merged and merged[-1].role == role:
            merged[-1] = Message(role, f"{merged[-1].content}\n\n{message.content}")
        else:
            merged.append(Message(role, message.content))
    return merged


def _in_words(schema: Mapping[str, Any]) -> str:
    text = json.dumps(strict(schema), ensure_ascii=False)
    return f"Answer with one JSON object that follows this JSON schema, and with nothing else:\n{text}"
