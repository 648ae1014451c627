"""The ports to text and image models: requests of the engine and answers of adapters.

Adapters map every foreign object and error to the types here and in ``domain.errors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

Answer = TypeVar("Answer", bound=BaseModel)

BYTES_PER_TOKEN = 3
"""Of UTF-8, a low estimate: English has about four, other scripts about three."""


@dataclass(frozen=True)
class Message:
    """One chat message. ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class ToolSpec:
    """A tool that the model may call. ``schema``: the JSON schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """A tool call of the model. ``arguments``: the raw JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True)
class ModelRequest:
    """One chat completion. ``schema``: the JSON schema of the answer, if any.

    ``max_tokens`` bounds the answer, without the thoughts before it. ``temperature``: None to leave it to the
    server.
    """

    messages: Sequence[Message]
    schema_name: str = "answer"
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 1024
    temperature: float | None = 0.7
    tools: Sequence[ToolSpec] = ()
    held_tokens: int | None = None
    """The tokens of an answer, thoughts included, that money is held for; None when there is no hold."""

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens the messages have, rather more than fewer."""
        size = sum(len(message.content.encode("utf-8", "replace")) for message in self.messages)
        return size // BYTES_PER_TOKEN + 8


@dataclass(frozen=True)
class Usage:
    """Tokens of one or more calls; 0 where the server does not say.

    ``cached_tokens`` (read from the provider's cache) and ``cache_write_tokens`` are among the prompt's,
    ``reasoning_tokens`` (thoughts) among the completion's.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )


class Finish(StrEnum):
    """Why the model stopped. ``STOP`` also stands for reasons that say nothing: the answer itself decides.

    ``FAILED``: the provider broke off.
    """

    STOP = "stop"
    LENGTH = "length"
    FILTERED = "content_filter"
    REFUSED = "refusal"
    FAILED = "error"


@dataclass(frozen=True)
class ModelReply:
    """The model's answer. ``text`` may be empty when ``tool_calls`` is not.

    ``refusal``: the words of the model or the provider with which it declined or broke off. ``problem``: what
    the server itself finds wrong with the answer.
    """

    text: str
    finish: Finish
    usage: Usage
    model: str
    tool_calls: Sequence[ToolCall] = ()
    refusal: str = ""
    problem: str = ""


@dataclass(frozen=True)
class RateLimits:
    """Limits per minute; None: unlimited. ``burst_seconds``: how much of the rate is available at once after
    a pause.

    ``max_wait`` seconds: a call that would wait longer is left to a retry instead of sleeping.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    burst_seconds: float = 10.0
    max_wait: float = 60.0

    @property
    def rates(self) -> dict[str, int]:
        """Unit → limit per minute, always in this order, so that two callers cannot deadlock."""
        named = {"requests": self.requests_per_minute, "tokens": self.tokens_per_minute}
        return {unit: rate for unit, rate in named.items() if rate is not None}


class MoreRoomNeeded(Exception):
    """What was learned meanwhile gives an answer more tokens than are held for it: nothing was sent."""


class TextModel(Protocol):
    """A chat model behind one connection.

    ``connection`` names the connection: the unit of the shared rate limit. ``facts``: what determines its
    answers besides model and request.
    ``complete`` raises TransientError, ConfigurationError or PermanentError, never a foreign error, and
    MoreRoomNeeded.
    """

    connection: str
    model: str

    @property
    def facts(self) -> Mapping[str, Any]: ...

    async def complete(self, request: ModelRequest) -> ModelReply: ...

    async def most_tokens(self, request: ModelRequest) -> int:
        """The tokens that an answer may take at most, thoughts included, by what is known now."""
        ...


class BatchedModel(TextModel, Protocol):
    """A chat model whose provider may answer in batches."""

    async def knows(self) -> bool: ...

    async def takes_batches(self) -> bool: ...

    async def has_no_batches(self) -> None: ...


class Dialects(Protocol):
    """Keeps what is learned of servers, by connection, address and model."""

    async def recall(self, connection: str, server: str, model: str) -> Mapping[str, Any] | None:
        """What was learned; None when no call has got through yet."""
        ...

    async def learn(self, connection: str, server: str, model: str, learned: Mapping[str, Any]) -> None:
        """Keep what is new, besides what is known."""
        ...


ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
"""The states in which a provider changes nothing of a batch any more."""


@dataclass(frozen=True)
class ProviderBatch:
    """A batch at its provider. ``files``: the ids of its results, so far as there are any; ``reason``: why it
    failed, in the provider's words.
    """

    id: str
    status: str
    files: Sequence[str] = ()
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing of it changes any more."""
        return self.status in ENDED


@dataclass(frozen=True)
class BatchResult:
    """What became of one request: the reply, or the provider's words; both empty when it was not begun."""

    reply: ModelReply | None
    error: str = ""


class BatchEndpoint(Protocol):
    """A provider's batches, behind one connection and for one model.

    Every method raises TransientError, ConfigurationError or PermanentError; ``submit`` raises
    NoBatchEndpoint where there is none, and UnknownOutcome when the batch may have been made.
    """

    async def upload(self, mark: str, requests: Mapping[str, ModelRequest]) -> str:
        """Bring the requests there, by their keys. Returns the id of the file. Nothing is spent."""
        ...

    async def submit(self, mark: str, file: str) -> ProviderBatch:
        """Make a batch of the file. ``mark`` is left with it."""
        ...

    async def find(self, mark: str) -> ProviderBatch | None:
        """The batch with this mark; None when the provider has none."""
        ...

    async def look(self, batch: str) -> ProviderBatch | None:
        """The batch as it is now; None when the provider has none of this id."""
        ...

    async def cancel(self, batch: str) -> ProviderBatch | None:
        """Ask the provider to do no more of it, and look. One that has ended stays as it is."""
        ...

    async def results(self, batch: ProviderBatch) -> Mapping[str, BatchResult] | None:
        """What became of the requests, by their keys, in whatever order the provider tells it; None when the
        provider has deleted it.
        """
        ...


@dataclass(frozen=True)
class ImageRequest:
    """A picture to draw. Sizes in pixels. ``colors``: the brand's, as #rrggbb."""

    prompt: str
    title: str
    width: int
    height: int
    colors: Sequence[str] = field(default_factory=tuple)
    label: str = ""


@dataclass(frozen=True)
class ImageResult:
    """The encoded picture. ``cents``: what the provider charged, 0 when local."""

    data: bytes
    media_type: str
    width: int
    height: int
    model: str
    cents: Decimal = Decimal(0)


class ImageProvider(Protocol):
    """Draws pictures. ``connection`` is the unit of the shared rate limit; '' means local and unlimited."""

    connection: str
    model: str

    async def draw(self, request: ImageRequest) -> ImageResult: ...


class MediaStore(Protocol):
    """Keeps media by content hash, so that the same bytes are stored once."""

    def put(self, data: bytes, media_type: str) -> str:
        """Store and return the URL. Raises TransientError (no space, unreachable) and ConfigurationError."""
        ...

    def get(self, url: str) -> bytes:
        """The bytes at a URL of ``put``. Raises PermanentError when they are missing, TransientError."""
        ...

    def public_url(self, url: str) -> str:
        """The public http(s) URL of what is stored at ``url``. Raises ConfigurationError."""
        ...


@dataclass(frozen=True)
class Prompt:
    """A stage's prompt. ``max_tokens`` bounds the answer. ``temperature``: None for the workflow's."""

    name: str
    system: str
    user: str
    max_tokens: int = 1024
    temperature: float | None = None


@dataclass(frozen=True)
class Tool(Generic[Answer]):
    """A tool that the model may choose. ``arguments``: the type of its arguments."""

    name: str
    description: str
    arguments: type[Answer]


@dataclass(frozen=True)
class Choice:
    """A tool that the model chose, with its validated arguments."""

    tool: str
    arguments: BaseModel


class Text(Protocol):
    """The AI engine as a stage sees it: bound to one item, to which its costs are booked.

    ``generate`` raises TransientError, ConfigurationError, BudgetError, or an AnswerError.
    """

    model: str

    async def generate(self, prompt: Prompt, output_type: type[Answer]) -> Answer: ...

    async def choose(self, prompt: Prompt, tools: Sequence[Tool[Any]]) -> list[Choice]:
        """The tools that the model chooses, at least one, with validated arguments. Raises as
        ``generate``.
        """
        ...

    def estimate(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """The cost of a call of this size, in cents."""
        ...


@dataclass(frozen=True)
class Embedded:
    """The vectors of texts, in their order and all of one length. ``usage``: what the server says it used."""

    vectors: Sequence[Sequence[float]]
    usage: Usage = Usage()


class Embedder(Protocol):
    """An embedding model behind one connection, which is the unit of the shared rate limit."""

    connection: str
    model: str

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Raises TransientError, ConfigurationError or PermanentError, never a foreign error."""
        ...


class Similarity(Protocol):
    """How close texts are in meaning. It knows the texts that it was asked for, and these alone."""

    def matrix(self, left: Sequence[str], right: Sequence[str]) -> Sequence[Sequence[float]]:
        """Cosine similarity, -1 to 1: a row for each of ``left``, a column for each of ``right``."""
        ...


class Embeddings(Protocol):
    """The embeddings as a stage sees them: bound to one item, to which their costs are booked."""

    async def similarity(self, texts: Sequence[str]) -> Similarity:
        """How close any of these texts are to each other.

        Raises TransientError, ConfigurationError, PermanentError or BudgetError.
        """
        ...
