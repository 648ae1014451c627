"""Pictures from OpenAI's images API, or a server that speaks it.

Servers differ in what they take (``quality``, ``size``, ``response_format``) and in the form of the picture:
base64, with line breaks or as a ``data:`` address, or a URL. What a server refuses by name is left out from
then on, by all workers. A drawn picture is paid for: an error after that says what it cost.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import openai

from pressroom.adapters.http.stranger import Limits, SafeHttp
from pressroom.adapters.models.image_data import inspect
from pressroom.adapters.models.openai_errors import said, translate
from pressroom.adapters.models.openai_model import OpenAIModel
from pressroom.adapters.models.settings import OPENAI_URL, ConnectionSettings, image_price
from pressroom.domain.errors import FilteredAnswer, PressroomError, TransientError
from pressroom.domain.model import Dialects, ImageRequest, ImageResult
from pressroom.domain.outside import URL_CHARS
from pressroom.domain.prices import FINEST, ImagePrice

_GPT_SIZES = ((1024, 1024), (1536, 1024), (1024, 1536))
_DALLE_SIZES = ((1024, 1024), (1792, 1024), (1024, 1792))
_STEP = 16
_MIN_PIXELS = 655_360
_WIDEST = 3.0
_PICTURE_BYTES = 64_000_000
_OPTIONAL = ("response_format", "quality", "size")
_DATA_ADDRESS = re.compile(r"data:[^,]{0,200},")
TICKS_A_CENT = 10**8
"""xAI says the cost of an answer in ticks: 10,000,000,000 are a dollar."""


class OpenAIImages(OpenAIModel):
    """An ImageProvider. The connection's ``options`` may name the quality."""

    kind = "image"

    def __init__(
        self, settings: ConnectionSettings, model: str | None = None, dialects: Dialects | None = None
    ) -> None:
        super().__init__(settings, model, dialects)
        self.limits = settings.limits
        price = image_price(settings, self.model)
        self.priced = price is not None
        self._price = price or ImagePrice()
        self._name = self.model.rpartition("/")[2]
        self._dalle = self._name.startswith("dall-e")
        self._options = dict(settings.options)
        self.quality = str(self._options.pop("quality", "standard" if self._dalle else "medium"))
        self._refused: frozenset[str] | None = None

    def estimate(self, request: ImageRequest) -> Decimal:
        """The price of a picture of this size, in cents."""
        return self._price.picture(self.quality, self.size(request))

    def size(self, request: ImageRequest) -> str:
        """The size to request, "WIDTHxHEIGHT": the nearest one that the model can draw."""
        if self._name.startswith("gpt-image-2"):
            width, height = free_size(request.width, request.height)
        else:
            width, height = nearest_size(request, _DALLE_SIZES if self._dalle else _GPT_SIZES)
        return f"{width}x{height}"

    async def draw(self, request: ImageRequest) -> ImageResult:
        """One picture. Raises TransientError, ConfigurationError, PermanentError or FilteredAnswer."""
        answer = await self._answer(request)
        cents = self._cents(answer, request)
        try:
            data = await self._data(answer)
            media_type, width, height = await asyncio.to_thread(inspect, data, connection=self.connection)
        except PressroomError as error:
            error.cents = cents
            raise
        return ImageResult(data, media_type, width, height, self.model, cents)

    async def _answer(self, request: ImageRequest) -> Any:
        """The server's answer, asked for without what it has refused."""
        known = await self._known_refusals()
        refused = set(known)
        optional = {"quality": self.quality, "size": self.size(request)}
        if self._dalle or not self.settings.is_openai:  # OpenAI's later models refuse it
            optional["response_format"] = "b64_json"
        while True:
            asked = {name: value for name, value in optional.items() if name not in refused}
            try:
                answer = await self._openai().images.generate(
                    model=self.model,
                    prompt=request.prompt,
                    n=1,
                    extra_body=self._options or None,
                    **cast(Any, asked),
                )
            except (openai.OpenAIError, json.JSONDecodeError, UnicodeDecodeError) as error:
                ours = translate(error, connection=self.connection, secret=self._secret)
                named = _named(error, asked)
                if named is None or isinstance(ours, FilteredAnswer):
                    raise ours from None
                refused.add(named)
            else:
                await self._keep(refused - known)
                return answer

    async def _known_refusals(self) -> frozenset[str]:
        """What the server is known to refuse."""
        if self._refused is None:
            learned = await self._recall() or {}
            self._refused = frozenset(name for name in _OPTIONAL if learned.get(name) is False)
        return self._refused

    async def _keep(self, refused: set[str]) -> None:
        """Keep what was refused before the server drew: only then was it what the server suffered from."""
        self._refused = (self._refused or frozenset()) | refused
        if refused:
            await self._learn(dict.fromkeys(sorted(refused), False))

    async def _data(self, answer: Any) -> bytes:
        """The picture's bytes. Raises TransientError when there is none."""
        entries = getattr(answer, "data", None)
        first = entries[0] if isinstance(entries, list) and entries else None
        text = _text(first, "b64_json") or _text(first, "url")
        if not text:
            raise TransientError(f"connection {self.connection!r}: the server's answer holds no picture")
        if text.startswith(("http://", "https://", "/")) and not _looks_like_base64(text):
            return await self._fetched(urljoin(self.settings.base_url or OPENAI_URL, text))
        return _decoded(text, self.connection)

    async def _fetched(self, url: str) -> bytes:
        """The picture at an address that the server names. Its own host may be private."""
        limits = Limits(bytes=_PICTURE_BYTES, seconds=self.settings.timeout_seconds)
        async with SafeHttp(allow_hosts=[urlsplit(self.settings.base_url).netloc], limits=limits) as http:
            try:
                return (await http.get(url)).body
            except PressroomError as error:
                raise TransientError(
                    f"connection {self.connection!r}: the picture cannot be fetched: {error}"
                ) from None

    def _cents(self, answer: Any, request: ImageRequest) -> Decimal:
        """What the answer says that it cost, or what its tokens cost, or else the estimate."""
        usage = getattr(answer, "usage", None)
        if ticks := _number(usage, "cost_in_usd_ticks"):
            return (Decimal(ticks) / TICKS_A_CENT).quantize(FINEST)
        given, made = _number(usage, "input_tokens"), _number(usage, "output_tokens")
        if made and self._price.output:
            return self._price.cents(input_tokens=given, output_tokens=made)
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


def _named(error: Exception, asked: dict[str, str]) -> str | None:
    """The parameter that a refusal is about, None when it names none that was sent."""
    if not isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
        return None
    text = f"{error.param or ''} {said(error)}".lower()
    return next((name for name in _OPTIONAL if name in asked and re.search(rf"\b{name}\b", text)), None)


def _field(of: Any, name: str) -> Any:
    """The SDK gives a dict or an object of its own."""
    return of.get(name) if isinstance(of, dict) else getattr(of, name, None)


def _text(entry: Any, name: str) -> str:
    """A text of an entry of the answer, in which a server may put anything; '' when it has none."""
    value = _field(entry, name)
    return value.strip() if isinstance(value, str) else ""


def _number(usage: Any, name: str) -> int:
    """A count of the answer's usage; 0 when it has none."""
    value = _field(usage, name)
    return round(value) if isinstance(value, int | float) and 0 < value < 1e18 else 0


def _looks_like_base64(text: str) -> bool:
    return len(text) > URL_CHARS  # JPEG in base64 begins with a slash, as a path does


def _decoded(text: str, connection: str) -> bytes:
    """Base64, also with line breaks, as a ``data:`` address, or in the alphabet of URLs."""
    coded = "".join(_DATA_ADDRESS.sub("", text, count=1).split()).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except binascii.Error:
        raise TransientError(f"connection {connection!r}: the server's picture is not base64") from None
