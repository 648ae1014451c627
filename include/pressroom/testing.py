"""Stand-ins for a stage's collaborators: no network, no files, everything they were asked kept for a look."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel

from pressroom.domain.definitions import Account, BrandContext, Site
from pressroom.domain.kinds import Workflow
from pressroom.domain.model import (
    Choice,
    Embeddings,
    ImageProvider,
    ImageRequest,
    ImageResult,
    MediaStore,
    Prompt,
    Text,
    Tool,
)
from pressroom.domain.publishing import Placed
from pressroom.domain.run import OfWorkflow
from pressroom.domain.social import Measured, Platform
from pressroom.domain.text import normalize
from pressroom.pipelines.tools import Outside, Social
from pressroom.testing_flows import FakeNetworks, FakeOutside

Answer = TypeVar("Answer", bound=BaseModel)
Script = Any
"""An answer (a dict, or a model), an error to raise, a list of these for one call after another (the last
one stays), or a function of the prompt that returns one of them."""

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)
"""A PNG of one pixel."""


class FakeText:
    """A text model that answers by script, found under the prompt's name or the name of the output type.

    Without a script it answers with the least that the type's schema allows, its strings made from the
    prompt's name and the number of the call. ``prompts`` holds every prompt in order, ``offered`` the names
    of the tools of every choice.
    """

    def __init__(self, script: Mapping[str, Script] | None = None, *, model: str = "fake-text") -> None:
        self.model = model
        self.prompts: list[Prompt] = []
        self.offered: list[list[str]] = []
        self._script: dict[str, Script] = {
            name: list(answer) if isinstance(answer, list) else answer
            for name, answer in (script or {}).items()
        }

    async def choose(self, prompt: Prompt, tools: Sequence[Tool[Any]]) -> list[Choice]:
        """The scripted calls, (tool name, arguments) under the prompt's name; else the first tool."""
        self.prompts.append(prompt)
        self.offered.append([tool.name for tool in tools])
        script: Script = self._script.get(prompt.name)
        if callable(script):
            script = script(prompt)
        if isinstance(script, BaseException):
            raise script
        by_name = {tool.name: tool for tool in tools}
        if script is None:
            schema = tools[0].arguments.model_json_schema()
            script = [
                (tools[0].name, least(schema, schema.get("$defs", {}), f"{prompt.name} {len(self.prompts)}"))
            ]
        return [Choice(name, by_name[name].arguments.model_validate(arguments)) for name, arguments in script]

    def estimate(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """A cent for a thousand tokens."""
        return Decimal(prompt_tokens + completion_tokens) / 1000

    async def generate(self, prompt: Prompt, output_type: type[Answer]) -> Answer:
        """The scripted answer, as ``output_type``. Raises the scripted error, or ValidationError."""
        self.prompts.append(prompt)
        script: Script = self._script.get(prompt.name, self._script.get(output_type.__name__))
        if isinstance(script, list):
            script = script.pop(0) if len(script) > 1 else script[0]
        if callable(script):
            script = script(prompt)
        if isinstance(script, BaseException):
            raise script
        if script is None:
            schema = output_type.model_json_schema()
            script = least(schema, schema.get("$defs", {}), f"{prompt.name} {len(self.prompts)}")
        if isinstance(script, BaseModel):
            script = script.model_dump()
        return output_type.model_validate(script)


def least(schema: Mapping[str, Any], known: Mapping[str, Any], text: str) -> Any:
    """The least value a JSON schema allows. ``known``: its ``$defs``; ``text``: what strings are made of."""
    if "$ref" in schema:
        return least(known[schema["$ref"].rsplit("/", 1)[-1]], known, text)
    for choice in ("const", "default"):
        if choice in schema:
            return schema[choice]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return least(schema["anyOf"][0], known, text)
    match schema.get("type"):
        case "object":
            properties: Mapping[str, Any] = schema.get("properties", {})
            return {name: least(part, known, f"{text} {name}") for name, part in properties.items()}
        case "array":
            number = range(1, schema.get("minItems", 1) + 1)
            return [least(schema["items"], known, f"{text} {index}") for index in number]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength", 600)]


class FakeImages:
    """An image provider that draws one pixel. ``requests`` holds what it was asked."""

    connection = ""

    def __init__(self, model: str = "fake-images", error: Exception | None = None) -> None:
        self.model = model
        self.error = error
        self.requests: list[ImageRequest] = []

    async def draw(self, request: ImageRequest) -> ImageResult:
        """One pixel, said to be of the size asked for; or the error, when there is one."""
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return ImageResult(PIXEL, "image/png", request.width, request.height, self.model)


class MemoryMedia:
    """A media store in a dict: URL → bytes."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def put(self, data: bytes, media_type: str) -> str:
        """Store under the content's hash."""
        url = f"memory://media/{hashlib.sha256(data).hexdigest()[:16]}.{media_type.rsplit('/', 1)[-1]}"
        self.stored[url] = data
        return url

    def get(self, url: str) -> bytes:
        """What was put there."""
        return self.stored[url]

    def public_url(self, url: str) -> str:
        """The same name on an example host."""
        return url.replace("memory://", "https://cdn.example/")


class FakeSimilarity:
    """Closeness as the share of words that two texts have in common, 0 to 1."""

    def matrix(self, left: Sequence[str], right: Sequence[str]) -> Sequence[Sequence[float]]:
        """A row for each of ``left``, a column for each of ``right``."""
        return [[self._share(text, other) for other in right] for text in left]

    @staticmethod
    def _share(left: str, other: str) -> float:
        left_words, theirs = set(normalize(left).split()), set(normalize(other).split())
        return len(left_words & theirs) / len(left_words | theirs) if left_words | theirs else 0.0


class FakeEmbeddings:
    """The closeness of a ``FakeSimilarity``. ``asked``: the texts of each call."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def similarity(self, texts: Sequence[str]) -> FakeSimilarity:
        """How close they are."""
        self.asked.append(list(texts))
        return FakeSimilarity()


class FixedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    async def now(self) -> datetime:
        """Where it stands."""
        return self.at


class FakeMetrics:
    """What became of posts, as it was put in. ``scheduled``: by external id."""

    simulated = True

    def __init__(self, measured: Sequence[Measured] = ()) -> None:
        self.measured = list(measured)
        self.scheduled: dict[str, Placed] = {}

    async def status(self, start: datetime, end: datetime) -> Mapping[str, Placed]:
        """All of them."""
        return self.scheduled

    async def posts(self, platform: Platform, start: datetime, end: datetime) -> Sequence[Measured]:
        """Those of the platform that were published between the two times."""
        return [
            post for post in self.measured if post.platform == platform and start <= post.published_at <= end
        ]


def connected(at: datetime) -> Social:
    """What is read of the platforms, all of it fakes, at a time."""
    return Social(FakeMetrics(), FixedClock(at))


@dataclass(frozen=True)
class FakeTools(OfWorkflow):
    """A stage's collaborators."""

    text: Text
    images: ImageProvider
    media: MediaStore
    embeddings: Embeddings
    social: Social
    outside: Outside
    run_id: int = 1


def tools(
    account: Account | None = None,
    site: Workflow | None = None,
    brand: BrandContext | None = None,
    text: FakeText | None = None,
    images: FakeImages | None = None,
    media: MemoryMedia | None = None,
    social: Social | None = None,
    outside: Outside | None = None,
) -> FakeTools:
    """A stage's collaborators, all of them fakes unless given."""
    social = social or connected(datetime(2027, 1, 1, tzinfo=UTC))
    return FakeTools(
        account=account or Account(slug="acme", name="Acme"),
        workflow=site or Site(account="acme", slug="acme-blog", name="Acme Blog", subject="everything"),
        brand=brand,
        text=text or FakeText(),
        images=images or FakeImages(),
        media=media or MemoryMedia(),
        embeddings=FakeEmbeddings(),
        social=social,
        outside=outside or FakeOutside(networks=FakeNetworks(social.clock)),
    )
