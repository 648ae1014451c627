"""Pictures from OpenAI's images API, or a server that speaks it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from decimal import Decimal
from typing import Any, Self

import openai

from pressroom.adapters.models.image_data import inspect
from pressroom.adapters.models.offered import check_offered
from pressroom.adapters.models.openai_client import open_client
from pressroom.adapters.models.openai_errors import translate
from pressroom.adapters.models.settings import ConnectionSettings, image_price
from pressroom.domain.errors import TransientError
from pressroom.domain.model import ImageRequest, ImageResult
from pressroom.domain.prices import ImagePrice

_GPT_SIZES = ((1024, 1024), (1536, 1024), (1024, 1536))
_DALLE_SIZES = ((1024, 1024), (1792, 1024), (1024, 1792))
_STEP = 16
_MIN_PIXELS = 655_360
_WIDEST = 3.0


class OpenAIImages:
    """An ImageProvider. The connection's ``options`` may name the quality.

    ``model`` replaces the connection's. Raises ConfigurationError without a model or a required key.
    """

    def __init__(self, settings: ConnectionSettings, model: str | None = None) -> None:
        self.connection = settings.name
        self.model = settings.chosen(model)
        self.limits = settings.limits
        self._settings = settings
        self._secret = settings.key(required=settings.is_openai)
        price = image_price(settings, self.model)
        self.priced = price is not None
        self._price = price or ImagePrice()
        self._dalle = self.model.startswith("dall-e")
        self._options = dict(settings.options)
        self.quality = str(self._options.pop("quality", "standard" if self._dalle else "medium"))
        self._client: openai.AsyncOpenAI | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def estimate(self, request: ImageRequest) -> Decimal:
        """The price of a picture of this size, in cents."""
        return self._price.picture(self.quality, self.size(request))

    def size(self, request: ImageRequest) -> str:
        """The size to request, "WIDTHxHEIGHT": the nearest one that the model can draw."""
        if self.model.startswith("gpt-image-2"):
            width, height = free_size(request.width, request.height)
        else:
            width, height = nearest_size(request, _DALLE_SIZES if self._dalle else _GPT_SIZES)
        return f"{width}x{height}"

    async def draw(self, request: ImageRequest) -> ImageResult:
        """One picture. Raises TransientError, ConfigurationError, PermanentError or FilteredAnswer."""
        size = self.size(request)
        asked: dict[str, Any] = {"model": self.model, "prompt": request.prompt, "n": 1, "size": size}
        asked["quality"] = self.quality
        if self._dalle:  # later models always answer base64, and refuse the parameter
            asked["response_format"] = "b64_json"
        try:
            answer: Any = await self._openai().images.generate(**asked, extra_body=self._options or None)
        except (openai.OpenAIError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise translate(error, connection=self.connection, secret=self._secret) from None
        data = _decoded(answer, self.connection)
        media_type, width, height = await asyncio.to_thread(inspect, data, connection=self.connection)
        return ImageResult(data, media_type, width, height, self.model, self._cents(answer, request))

    async def check(self) -> str:
        """See that the key is taken and the model is offered; see ``check_offered``."""
        return await check_offered(
            self._openai(), self.model, connection=self.connection, secret=self._secret
        )

    def _openai(self) -> openai.AsyncOpenAI:
        if self._client is None:
            self._client = open_client(self._settings, self._secret)
        return self._client

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _cents(self, answer: Any, request: ImageRequest) -> Decimal:
        usage = answer.usage
        if usage is not None and self._price.output:
            return self._price.cents(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        return self.estimate(request)


def nearest_size(request: ImageRequest, sizes: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """The one whose shape is closest to the request's."""
    wanted = request.width / request.height
    return min(sizes, key=lambda size: abs(size[0] / size[1] - wanted))


def free_size(width: int, height: int) -> tuple[int, int]:
    """Width and height that a model with free sizes takes: multiples of 16, not too long, not too small."""
    ratio = min(max(width / height, 1 / _WIDEST), _WIDEST)
    if width / height > ratio:
        height = round(width / ratio)
    elif width / height < ratio:
        width = round(height * ratio)
    grow = max((_MIN_PIXELS / (width * height)) ** 0.5, 1.0)
    # Rounded up along the shorter side and down along the longer, so that neither bound is passed.
    wide = width >= height
    made = [_stepped(width * grow, up=not wide), _stepped(height * grow, up=wide)]
    while made[0] * made[1] < _MIN_PIXELS:
        made[made.index(min(made))] += _STEP
    return made[0], made[1]


def _stepped(pixels: float, *, up: bool) -> int:
    steps = -(-pixels // _STEP) if up else pixels // _STEP
    return max(int(steps), 1) * _STEP


def _decoded(answer: Any, connection: str) -> bytes:
    try:
        return base64.b64decode(answer.data[0].b64_json, validate=True)
    except (AttributeError, IndexError, TypeError, binascii.Error):
        raise TransientError(f"connection {connection!r}: the server's answer holds no picture") from None
