"""Chat models behind any OpenAI-compatible server.

Servers differ in the ways to ask for JSON, the name of the token limit, whether the temperature can be
chosen, and whether they support tool calls. Each difference is a ladder: the best way is tried first, and a
refusal (400, 404 or 422 that names the parameter) leads to the next way. The dialect that was learned holds
for the base URL and model as long as the process lives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, get_args

import openai

from pressroom.adapters.models.offered import check_offered
from pressroom.adapters.models.openai_errors import said, translate, translate_body
from pressroom.adapters.models.replies import NoCompletion, read_body, read_reply
from pressroom.adapters.models.settings import OPENAI_URL, ConnectionSettings, Structured
from pressroom.domain.errors import ConfigurationError, PressroomError
from pressroom.domain.model import Finish, Message, ModelReply, ModelRequest, Usage

RUNGS: Sequence[Structured] = get_args(Structured)

_REFUSALS = ("unsupported", "not support", "unrecognized", "unknown", "unexpected", "extra", "not permitted",
             "not allowed", "invalid parameter", "instead")  # fmt: skip
_SCHEMA_WORDS = ("response_format", "json_schema", "json_object", "schema", "grammar", "structured output")
_TOOL_WORDS = ("tool_choice", "tools", "tool call", "tool use", "function call")

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


@dataclass
class Dialect:
    """The parameters that a server accepts for a model."""

    structured: Structured
    token_limit: str
    temperature: bool = True
    native_tools: bool = True


_learned: dict[tuple[str, str], Dialect] = {}


def forget() -> None:
    """Forget the dialects of all servers."""
    _learned.clear()


class OpenAIText:
    """A TextModel on ``chat.completions``. An async context manager, for the event loop that uses it.

    ``model`` replaces the connection's. Raises ConfigurationError without a model or a required key.
    """

    def __init__(self, settings: ConnectionSettings, model: str | None = None) -> None:
        self.settings = settings
        self.connection = settings.name
        self.model = settings.chosen(model)
        self._secret = settings.key(required=settings.is_openai)
        self._client: openai.AsyncOpenAI | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def complete(self, request: ModelRequest) -> ModelReply:
        """One answer. A server without tool calls is asked to choose a tool by the request's ``schema``."""
        dialect = self._dialect()
        spent = Usage()
        for _ in range(len(RUNGS) + 4):  # enough for every ladder to reach its end
            # Another call in the same event loop may change the dialect while this one waits.
            sent = Dialect(**vars(dialect))
            try:
                reply = read_reply(read_body(await self._call(request, sent)), self.model)
            except (openai.BadRequestError, openai.NotFoundError, openai.UnprocessableEntityError) as error:
                if not self._step(error, request, sent, dialect):
                    raise self._ours(error, spent) from None
                continue
            except (openai.OpenAIError, NoCompletion) as error:
                raise self._ours(error, spent) from None
            spent = spent + reply.usage
            if request.tools and sent.native_tools and self._ignores_tools(reply):
                dialect.native_tools = False
                continue
            return replace(reply, usage=spent)
        raise ConfigurationError(f"connection {self.connection!r}: the server refuses every way of asking")

    async def check(self) -> str:
        """See that the key is taken and the model is offered; see ``check_offered``."""
        return await check_offered(
            self._openai(), self.model, connection=self.connection, secret=self._secret
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _dialect(self) -> Dialect:
        settings = self.settings
        key = (settings.base_url, self.model)
        if key not in _learned:
            first: Structured = "json_schema_basic" if settings.is_openai else "json_schema"
            limit = "max_completion_tokens" if settings.is_openai else "max_tokens"
            _learned[key] = Dialect(first, limit)
        dialect = _learned[key]
        if settings.structured is not None:
            dialect.structured = settings.structured
        if settings.native_tools is not None:
            dialect.native_tools = settings.native_tools
        return dialect

    def _openai(self) -> openai.AsyncOpenAI:
        if self._client is None:
            self._client = openai.AsyncOpenAI(
                api_key=self._secret or "none",  # the SDK demands a key, a local server does not
                base_url=self.settings.base_url or OPENAI_URL,
                timeout=self.settings.timeout_seconds,
                max_retries=0,  # the engine retries
            )
        return self._client

    async def _call(self, request: ModelRequest, dialect: Dialect) -> bytes:
        body = _body(self.model, request, dialect)
        answer = await self._openai().chat.completions.with_raw_response.create(
            **body, extra_body=dict(self.settings.options) or None
        )
        content: bytes = answer.content
        return content

    def _ours(self, error: openai.OpenAIError | NoCompletion, spent: Usage) -> PressroomError:
        """Our error for what went wrong, with what is known to be used."""
        if isinstance(error, NoCompletion):
            ours = translate_body(error, connection=self.connection, secret=self._secret)
        else:
            ours = translate(error, connection=self.connection, secret=self._secret)
        total = spent + (ours.usage or Usage())
        ours.usage = total if total != Usage() else None
        return ours

    def _step(
        self, error: openai.APIStatusError, request: ModelRequest, sent: Dialect, dialect: Dialect
    ) -> bool:
        """Whether there is another way to ask after this refusal. Changes the dialect to that way."""
        text = f"{error.param or ''} {error.code or ''} {said(error)}".lower()
        refused = any(word in text for word in _REFUSALS)
        if refused and "temperature" in text and sent.temperature:
            dialect.temperature = False
            return True
        if refused and sent.token_limit in text:
            other = "max_tokens" if sent.token_limit == "max_completion_tokens" else "max_completion_tokens"
            # Each name is tried once: a server that refuses both has another reason.
            if other in text or sent.token_limit == _first_limit(self.settings):
                dialect.token_limit = other
                return True
        if request.tools and sent.native_tools and any(word in text for word in _TOOL_WORDS):
            if self.settings.native_tools is None:
                dialect.native_tools = False
                return True
            return False
        asked = request.schema is not None and not (request.tools and sent.native_tools)
        if asked and self.settings.structured is None and any(word in text for word in _SCHEMA_WORDS):
            following = RUNGS.index(sent.structured) + 1
            if following < len(RUNGS):
                dialect.structured = RUNGS[max(following, RUNGS.index(dialect.structured))]
                return True
        return False

    def _ignores_tools(self, reply: ModelReply) -> bool:
        """Whether the server ignored a required tool call without a reason: it does not support them."""
        return not reply.tool_calls and reply.finish is Finish.STOP and self.settings.native_tools is None


def _first_limit(settings: ConnectionSettings) -> str:
    return "max_completion_tokens" if settings.is_openai else "max_tokens"


def _body(model: str, request: ModelRequest, dialect: Dialect) -> dict[str, Any]:
    messages = list(request.messages)
    body: dict[str, Any] = {"model": model, dialect.token_limit: request.max_tokens}
    if dialect.temperature:
        body["temperature"] = request.temperature
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
        if dialect.structured in ("json_schema", "json_schema_basic"):
            schema = strict(request.schema, basic=dialect.structured == "json_schema_basic")
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": request.schema_name, "schema": schema, "strict": True},
            }
        else:
            messages.append(_in_words(request.schema))
            if dialect.structured == "json_object":
                body["response_format"] = {"type": "json_object"}
    body["messages"] = [{"role": message.role, "content": message.content} for message in messages]
    return body


def _in_words(schema: Mapping[str, Any]) -> Message:
    text = json.dumps(strict(schema), ensure_ascii=False)
    asked = "Answer with one JSON object that follows this JSON schema, and with nothing else:"
    return Message("user", f"{asked}\n{text}")


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
