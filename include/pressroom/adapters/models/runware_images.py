"""Pictures from Runware's REST API: one POST with a list of tasks, the answer with the picture and its cost.

Needs: an API key in password, a model; host is Runware's own when empty. Runware names what is wrong by a
code, also in a success: such a refusal goes by the code, all others as ``adapters.http.errors`` says.
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

from pressroom.adapters.http import errors
from pressroom.adapters.http.errors import OWN_ADDRESS, ErrorRow
from pressroom.adapters.http.service import Service
from pressroom.adapters.models.image_data import inspect
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.domain.errors import (
    ConfigurationError,
    FilteredAnswer,
    OutOfMoney,
    PressroomError,
    ServiceDown,
    TransientError,
)
from pressroom.domain.model import ImageRequest, ImageResult

BASE_URL = "https://api.runware.ai/v1"

# What a usual picture costs; the answer says the true cost, this only holds money for it beforehand.
USUAL_CENTS = Decimal(1)

_STEP, _SMALLEST, _LARGEST = 64, 128, 2048
_PROMPT_LIMIT = 3000
_PICTURE_BYTES = 64_000_000
_ROWS = (
    ErrorRow(TransientError, {408, 409, 429}),
    ErrorRow(ServiceDown, range(500, 600)),
    ErrorRow(OutOfMoney, {402}),
    ErrorRow(TransientError, code=".*(timeout|rate_?limit|concurren|unavailable|internal|server).*"),
    ErrorRow(FilteredAnswer, code=".*(moderat|nsfw|safety|content_?policy).*"),
    OWN_ADDRESS,
    ErrorRow(OutOfMoney, code=".*(credit|balance|payment).*"),
    ErrorRow(ConfigurationError, code=".*(api_?key|model|permission|unauthor).*"),
)


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
        self._api = Service(
            "Runware", settings, rows=_ROWS, said=said, most_bytes=_PICTURE_BYTES, transport=transport
        )

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
        done = await self._post(task)
        data = await self._data(done)
        media_type, width, height = await asyncio.to_thread(inspect, data, connection=self.connection)
        return ImageResult(data, media_type, width, height, self.model, self._cents(done, request))

    async def check(self) -> str:
        """See that the key is taken, by a task that draws nothing. Raises what ``draw`` raises."""
        await self._answer([{"taskType": "authentication", "apiKey": self._secret}])
        return ""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _post(self, task: dict[str, Any]) -> dict[str, Any]:
        body = await self._answer([task])
        tasks = body.get("data")
        for done in tasks if isinstance(tasks, list) else []:
            if isinstance(done, dict) and done.get("taskUUID") == task["taskUUID"]:
                return done
        raise self._api.strange()

    async def _answer(self, tasks: list[dict[str, Any]]) -> dict[str, Any]:
        answer = await self._api.request(
            "POST",
            self._settings.base_url or BASE_URL,
            json=tasks,
            headers={"Authorization": f"Bearer {self._secret}"},
        )
        body = self._api.json(answer)
        if isinstance(body, dict) and (body.get("errors") or body.get("error")):
            raise self._api.refused(*said(body))
        if not isinstance(body, dict):
            raise self._api.strange()
        return body

    async def _data(self, done: dict[str, Any]) -> bytes:
        try:
            if done.get("imageBase64Data"):
                return base64.b64decode(done["imageBase64Data"], validate=True)
            # The picture's own address takes no key.
            return (await self._api.request("GET", str(done["imageURL"]))).content
        except (KeyError, TypeError, binascii.Error, PressroomError) as error:
            raise TransientError(
                f"connection {self.connection!r}: the picture could not be fetched: {type(error).__name__}"
            ) from None

    def _cents(self, done: dict[str, Any], request: ImageRequest) -> Decimal:
        cost = done.get("cost")  # in US dollars
        if isinstance(cost, int | float):
            return (Decimal(str(cost)) * 100).quantize(Decimal("0.000001"))
        return self.estimate(request)


def said(body: Any) -> tuple[str, str]:
    """Code and words of a refusal. Its ``type`` is that of a parameter, and says nothing of the error."""
    _, words = errors.said(body)
    problems = body.get("errors") or [body.get("error")] if isinstance(body, dict) else []
    first = problems[0] if isinstance(problems, list) and problems else None
    code = str(first.get("code") or "") if isinstance(first, dict) else ""
    return code, " ".join(filter(None, (code, words)))


def _side(pixels: int) -> int:
    """The nearest size the models take: a multiple of 64."""
    return min(max(round(pixels / _STEP) * _STEP, _SMALLEST), _LARGEST)
