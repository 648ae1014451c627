"""Pictures from Runware's REST API: one POST with a list of tasks, the answer with the picture and its cost.

Source: the public documentation, pages "Image inference" and "Errors".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import uuid
from decimal import Decimal
from typing import Any, Self

import httpx

from pressroom.adapters.http.retry_after import retry_after
from pressroom.adapters.http.scrub import scrub
from pressroom.adapters.models.image_data import inspect
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.domain.errors import (
    ConfigurationError,
    FilteredAnswer,
    PermanentError,
    PressroomError,
    TransientError,
)
from pressroom.domain.model import ImageRequest, ImageResult

BASE_URL = "https://api.runware.ai/v1"

# What a usual picture costs; the answer says the true cost, this only holds money for it beforehand.
USUAL_CENTS = Decimal(1)

_STEP, _SMALLEST, _LARGEST = 64, 128, 2048
_PROMPT_LIMIT = 3000
_SETUP_WORDS = ("apikey", "api_key", "credit", "balance", "payment", "model", "permission", "unauthor")
_FILTER_WORDS = ("moderat", "nsfw", "safety", "contentpolicy", "content_policy")
_PASSING_WORDS = ("timeout", "ratelimit", "rate_limit", "concurren", "unavailable", "internal", "server")


class RunwareImages:
    """An ImageProvider. The connection's ``options`` (steps, CFGScale, …) go with every task.

    ``transport``: in place of the network, for tests.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        model: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.connection = settings.name
        self.model = settings.chosen(model)
        self.limits = settings.limits
        self._settings = settings
        self._secret = settings.key(required=True)
        self.priced = True  # each answer says its cost
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def estimate(self, request: ImageRequest) -> Decimal:
        """What to hold for one picture, in cents."""
        own = self._settings.prices
        return USUAL_CENTS if own is None or own.cents_per_image is None else own.cents_per_image

    async def draw(self, request: ImageRequest) -> ImageResult:
        """One picture. Raises TransientError, ConfigurationError, PermanentError or FilteredAnswer."""
        task = {
            "outputFormat": "PNG",
            "numberResults": 1,
            **self._settings.options,
            "taskType": "imageInference",
            "taskUUID": str(uuid.uuid4()),
            "model": self.model,
            "positivePrompt": request.prompt[:_PROMPT_LIMIT],
            "width": _side(request.width),
            "height": _side(request.height),
            "outputType": "base64Data",
            "includeCost": True,
        }
        found = await self._post(task)
        data = await self._data(found)
        media_type, width, height = await asyncio.to_thread(inspect, data, connection=self.connection)
        return ImageResult(data, media_type, width, height, self.model, self._cents(found, request))

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _post(self, task: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._http().post(
                self._settings.base_url or BASE_URL,
                json=[task],
                headers={"Authorization": f"Bearer {self._secret}"},
            )
        except httpx.TransportError as error:
            reason = type(error).__name__
            raise TransientError(f"connection {self.connection!r}: not reachable: {reason}") from None
        try:
            body = answer.json()
        except ValueError:
            body = {}
        if not isinstance(body, dict):
            body = {}
        problems = body.get("errors") or ([body["error"]] if body.get("error") else [])
        if problems or answer.status_code >= 400:
            raise self._error(answer, problems[0] if problems else {})
        for found in body.get("data") or []:
            if isinstance(found, dict) and found.get("taskUUID") == task["taskUUID"]:
                return found
        raise TransientError(f"connection {self.connection!r}: the answer lacks the task that was sent")

    async def _data(self, found: dict[str, Any]) -> bytes:
        try:
            if found.get("imageBase64Data"):
                return base64.b64decode(found["imageBase64Data"], validate=True)
            # The picture's own address takes no key.
            answer = await self._http().get(found["imageURL"])
            answer.raise_for_status()
            return answer.content
        except (KeyError, binascii.Error, httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransientError(
                f"connection {self.connection!r}: the picture could not be fetched: {type(error).__name__}"
            ) from None

    def _error(self, answer: httpx.Response, problem: object) -> PressroomError:
        status = answer.status_code
        code = str(problem.get("code", "")) if isinstance(problem, dict) else ""
        words = str(problem.get("message", "")) if isinstance(problem, dict) else str(problem)
        where = f"connection {self.connection!r}"
        text = scrub(f"{where}: Runware answered {status} {code}: {words}", self._secret)
        name = code.lower()
        if status in (408, 409, 429) or status >= 500 or any(word in name for word in _PASSING_WORDS):
            return TransientError(text, retry_after=retry_after(answer.headers))
        if any(word in name for word in _FILTER_WORDS):
            return FilteredAnswer(text)
        if status in (401, 402, 403, 404) or any(word in name for word in _SETUP_WORDS):
            return ConfigurationError(text)
        return PermanentError(text)

    def _cents(self, found: dict[str, Any], request: ImageRequest) -> Decimal:
        cost = found.get("cost")  # in US dollars
        if isinstance(cost, int | float):
            return (Decimal(str(cost)) * 100).quantize(Decimal("0.000001"))
        return self.estimate(request)

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            timeout = self._settings.timeout_seconds
            self._client = httpx.AsyncClient(timeout=timeout, transport=self._transport)
        return self._client


def _side(pixels: int) -> int:
    """The nearest size the models take: a multiple of 64."""
    return min(max(round(pixels / _STEP) * _STEP, _SMALLEST), _LARGEST)
