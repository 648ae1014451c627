"""Chat models behind any OpenAI-compatible server, asked in the server's dialect (see ``dialect``)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import openai

from pressroom.adapters.models.dialect import (
    LEAST_TOKENS,
    Sent,
    first_dialect,
    known_fields,
    next_way,
)
from pressroom.adapters.models.openai_errors import all_said, missed, said, translate, translate_body
from pressroom.adapters.models.openai_model import OpenAIModel
from pressroom.adapters.models.replies import NoCompletion, read_body, read_reply
from pressroom.adapters.models.request_body import request_body
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.domain.errors import ConfigurationError, NotSent, OutOfMoney, PressroomError, UnpaidNotSent
from pressroom.domain.json_answers import find_objects, thoughts_in
from pressroom.domain.model import (
    BYTES_PER_TOKEN,
    Dialects,
    Finish,
    ModelReply,
    ModelRequest,
    MoreRoomNeeded,
    Usage,
)

ATTEMPTS = 12
"""Enough for every ladder to reach its end."""
ROOM_TO_THINK = 4096
"""Head-room of a model that thinks, at least."""
MOST_ROOM = 65_536
_NAMING = frozenset({400, 404, 413, 422})
_LIMIT_OPTIONS = ("max_completion_tokens", "max_tokens")


@dataclass
class _Learning:
    """What one call has learned: ``changes`` are kept when it succeeds, ``before`` comes back when not."""

    before: dict[str, Any]
    changes: dict[str, Any]


class OpenAIText(OpenAIModel):
    """A TextModel on ``chat.completions``."""

    kind = "text"

    def __init__(
        self, settings: ConnectionSettings, model: str | None = None, dialects: Dialects | None = None
    ) -> None:
        super().__init__(settings, model, dialects)
        self._dialect = first_dialect(settings)
        self._unsaved: dict[str, Any] = {}
        """What was learned by calls that then failed for another reason."""
        self._recalled = False
        self._known = False
        self._tried = False
        self._first_call = asyncio.Lock()
        self._refused: ConfigurationError | None = None
        """With what a call found the set-up wrong."""

    async def complete(self, request: ModelRequest) -> ModelReply:
        """One answer. A server without tool calls is asked to choose a tool by the request's ``schema``.

        The first call ever to a server and model goes alone, so that all others know what it learns. When a
        call finds the set-up wrong, no other is sent.
        """
        await self._start()
        if not self._tried:
            async with self._first_call:
                if not self._tried:
                    try:
                        return await self._ask(request)
                    finally:
                        self._tried = True
        if self._refused is not None:
            unpaid = isinstance(self._refused, OutOfMoney)
            raise (UnpaidNotSent if unpaid else NotSent)(str(self._refused))
        if request.held_tokens is not None and self._allowed(request) > request.held_tokens:
            raise MoreRoomNeeded
        return await self._ask(request)

    async def most_tokens(self, request: ModelRequest) -> int:
        """The tokens that an answer may take at most, thoughts included."""
        await self._start()
        return self._allowed(request)

    async def body(self, request: ModelRequest) -> Mapping[str, Any]:
        """The request as a line of a batch has it, in the dialect that is known."""
        await self._start()
        allowed = request.held_tokens or self._allowed(request)
        return {**request_body(self.model, request, self._dialect, allowed), **self.settings.options}

    async def knows(self) -> bool:
        """Whether a call has got through before, so that the server's dialect is known."""
        await self._start()
        return self._known

    async def takes_batches(self) -> bool:
        """Whether the server may have a batch endpoint."""
        await self._start()
        return self._dialect.batches

    async def has_no_batches(self) -> None:
        """Keep that the server has no batch endpoint."""
        self._dialect = replace(self._dialect, batches=False)
        await self._learn({"batches": False})

    @property
    def facts(self) -> Mapping[str, Any]:
        """What determines the answers besides model and request."""
        settings = self.settings
        return {"server": settings.base_url, "options": settings.options, "reasoning": settings.reasoning}

    async def _ask(self, request: ModelRequest) -> ModelReply:
        try:
            return await self._ask_in_its_dialect(request)
        except ConfigurationError as error:
            self._refused = error
            raise

    async def _ask_in_its_dialect(self, request: ModelRequest) -> ModelReply:
        spent = Usage()
        learning = _Learning({}, {})
        for _ in range(ATTEMPTS):
            # Another call in the same event loop may change the dialect while this one waits.
            sent = Sent(self._dialect, self._allowed(request), request.prompt_tokens)
            try:
                reply = read_reply(read_body(await self._call(request, sent)), self.model)
            except (openai.OpenAIError, NoCompletion) as error:
                if not isinstance(error, openai.APIStatusError) or not _may_name_a_parameter(error):
                    self._unsaved.update(learning.changes)  # kept when a later call gets through
                    raise self._ours(error, spent) from None
                problem = missed(error, self._secret)
                if problem is None:
                    if not self._step(error, request, sent, learning):
                        self._unlearn(learning)
                        raise self._ours(error, spent) from None
                    continue
                text, words = problem
                reply = ModelReply(text, Finish.STOP, Usage(), self.model, problem=words)
            if request.tools and sent.dialect.native_tools and self._ignores_tools(reply):
                # What the server does not say is not free.
                spent = spent + (reply.usage if reply.usage != Usage() else Usage(sent.prompt, sent.allowed))
                self._change({"native_tools": False}, learning)
                continue
            spent = spent + reply.usage
            reply = self._heed(request, sent, reply, learning)
            await self._keep(learning)
            return replace(reply, usage=spent)
        self._unlearn(learning)
        raise ConfigurationError(f"connection {self.connection!r}: the server refuses every way of asking")

    # The dialect -----------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """Begin with the dialect that is known."""
        if self._recalled:
            return
        learned = await self._recall()
        if not self._recalled:
            self._recalled = True
            if learned is not None:
                self._tried = self._known = True
                self._dialect = replace(self._dialect, **known_fields(learned, self.settings))

    async def _keep(self, learning: _Learning) -> None:
        changes = {**self._unsaved, **learning.changes}
        if changes or not self._known:
            self._known = True
            self._unsaved = {}
            await self._learn(changes)

    def _change(self, changes: Mapping[str, Any], learning: _Learning) -> None:
        for name, value in changes.items():
            learning.before.setdefault(name, getattr(self._dialect, name))
            learning.changes[name] = value
        self._dialect = replace(self._dialect, **changes)

    def _unlearn(self, learning: _Learning) -> None:
        """The call was refused in every way, so the parameters were not what it suffered from."""
        self._dialect = replace(self._dialect, **learning.before)

    def _step(
        self, error: openai.APIStatusError, request: ModelRequest, sent: Sent, learning: _Learning
    ) -> bool:
        """Whether there is another way to ask after this refusal. Changes the dialect to that way."""
        refusal = f"{error.param or ''} {error.code or ''} {all_said(error.body) or said(error)}"
        changes = next_way(refusal, request, sent, self.settings)
        if changes is None:
            return False
        if any(getattr(self._dialect, name) == getattr(sent.dialect, name) for name in changes):
            self._change(changes, learning)
        return True

    def _ignores_tools(self, reply: ModelReply) -> bool:
        """Whether the server ignored a required tool call without a reason: it does not support them."""
        return not reply.tool_calls and reply.finish is Finish.STOP and self.settings.native_tools is None

    def _heed(self, request: ModelRequest, sent: Sent, reply: ModelReply, learning: _Learning) -> ModelReply:
        """The reply, and what it tells of the server: how much it thinks, whether it saw the schema."""
        usage = reply.usage
        silent = not reply.text.strip() and not reply.tool_calls
        if reply.finish is Finish.STOP and silent and usage.completion_tokens >= 0.95 * sent.allowed:
            reply = replace(reply, finish=Finish.LENGTH)
        thoughts = max(usage.reasoning_tokens, thoughts_in(reply.text) // BYTES_PER_TOKEN)
        if reply.finish is Finish.LENGTH and (
            silent or usage.completion_tokens - thoughts < request.max_tokens
        ):
            if silent or thoughts:
                self._give_room(max(2 * sent.dialect.head_room, 2 * thoughts), learning)
        elif thoughts:
            self._give_room(2 * thoughts, learning)
        if reply.finish is Finish.STOP and self._ignores_schema(request, sent, reply):
            self._change({"shows_schema": True}, learning)
        return reply

    def _give_room(self, tokens: int, learning: _Learning) -> None:
        wanted = min(max(tokens, ROOM_TO_THINK), MOST_ROOM)
        if self.settings.head_room_tokens is None and wanted > self._dialect.head_room:
            self._change({"head_room": wanted}, learning)

    @staticmethod
    def _ignores_schema(request: ModelRequest, sent: Sent, reply: ModelReply) -> bool:
        """Whether an answer lacks properties of the schema, which are all required, although it was sent."""
        by_schema = sent.dialect.by_schema and not sent.dialect.shows_schema
        if request.schema is None or reply.tool_calls or reply.problem or not by_schema:
            return False
        required = set(request.schema.get("properties", ()))
        return not any(required <= set(found) for found in find_objects(reply.text).objects)

    # The request -----------------------------------------------------------------------------------------

    def _allowed(self, request: ModelRequest) -> int:
        """The answer's limit: its own size and room to think, within what the server takes."""
        own = (self.settings.options.get(name) for name in _LIMIT_OPTIONS)
        for number in own:
            if isinstance(number, int):  # it is sent in place of ours
                return number
        dialect = self._dialect
        allowed = request.max_tokens + dialect.head_room
        if dialect.most_tokens is not None:
            allowed = min(allowed, dialect.most_tokens)
        if dialect.most_total is not None:
            allowed = min(allowed, dialect.most_total - request.prompt_tokens)
        return max(allowed, LEAST_TOKENS)

    async def _call(self, request: ModelRequest, sent: Sent) -> bytes:
        body = request_body(self.model, request, sent.dialect, sent.allowed)
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


def _may_name_a_parameter(error: openai.APIStatusError) -> bool:
    """Whether a refusal may be one of a parameter, and not of the key, the moment or the server."""
    if error.status_code == 429:
        return "too large" in said(error).lower()
    return error.status_code in _NAMING
