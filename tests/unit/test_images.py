"""Image providers: the card, OpenAI's images and Runware, without any network but the loopback."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from PIL import Image

from pressroom.adapters.models.card_images import CardImages, _luminance, card
from pressroom.adapters.models.openai_images import OpenAIImages, free_size
from pressroom.adapters.models.runware_images import RunwareImages
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.domain.errors import (
    ConfigurationError,
    FilteredAnswer,
    OutOfMoney,
    PermanentError,
    RequestRefused,
    ServiceDown,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.model import ImageRequest
from tests.support.scripted_openai import ScriptedOpenAI

KEY = "rw-secret-key-1234567890"
REQUEST = ImageRequest(
    "a garden in spring", "Spring in the garden", 1200, 672, ("#1f6f4a", "#f2c14e"), "Guide"
)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


async def test_a_card_is_a_png_of_the_asked_size_and_always_the_same() -> None:
    result = await CardImages().draw(REQUEST)
    assert (result.media_type, result.width, result.height, result.cents) == (
        "image/png",
        1200,
        672,
        Decimal(0),
    )
    assert opened(result.data).size == (1200, 672)
    assert (await CardImages().draw(REQUEST)).data == result.data
    other = ImageRequest("another prompt", REQUEST.title, 1200, 672, REQUEST.colors)
    assert (await CardImages().draw(other)).data != result.data


@pytest.mark.parametrize(
    "title",
    [
        "",
        "   ",
        "x" * 500,
        "日本語のタイトル 🎉",
        "a\x00b\n\tc\u202e",
        "Ünïcode — “quotes” …",
        "\ud800 lone",
        "word " * 90,
    ],
)
@pytest.mark.parametrize("size", [(256, 256), (256, 640), (640, 256)])
def test_any_title_fits_any_size(title: str, size: tuple[int, int]) -> None:
    request = ImageRequest("p", title, *size, ("#ffffff", "#000000"), "label " * 30)
    assert opened(card(request)).size == size


@pytest.mark.parametrize("color", ["#ffffff", "#ffff00", "#000000", "#f2c14e"])
def test_the_ground_under_the_text_is_dark(color: str) -> None:
    plain = opened(card(ImageRequest("p", "", 512, 512, (color,)))).convert("RGB")
    below = plain.crop((0, 400, 512, 512)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(below, tuple)
    assert _luminance((int(below[0]), int(below[1]), int(below[2]))) < 0.18


@pytest.fixture
def server() -> Iterator[ScriptedOpenAI]:
    with ScriptedOpenAI() as running:
        yield running


def connection(url: str, **extra: Any) -> ConnectionSettings:
    return ConnectionSettings.from_connection("pictures", host=url, password=KEY, extra=extra)


@pytest.fixture
async def openai_images(server: ScriptedOpenAI) -> AsyncIterator[OpenAIImages]:
    async with OpenAIImages(connection(server.base_url, timeout_seconds=2), "gpt-image-1") as provider:
        yield provider


async def test_openai_draws_the_nearest_size_and_says_its_cost(openai_images: OpenAIImages) -> None:
    assert openai_images.size(REQUEST) == "1536x1024"
    assert openai_images.estimate(REQUEST) == Decimal("6.3")
    result = await openai_images.draw(REQUEST)
    assert (result.media_type, result.width, result.height) == ("image/png", 1536, 1024)
    assert result.cents == Decimal("4.2265")  # 5 tokens in, 1056 out, by the table


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"action": "status", "status": 429, "retry_after": 3}, TransientError),
        ({"action": "status", "status": 500}, ServiceDown),
        ({"action": "status", "status": 401}, ConfigurationError),
        ({"action": "status", "status": 400, "code": "moderation_blocked"}, FilteredAnswer),
        ({"action": "status", "status": 400}, RequestRefused),
        ({"action": "broken_body"}, TransientError),
        ({"action": "broken_json"}, TransientError),
        ({"action": "empty"}, TransientError),
        ({"action": "hang"}, UnknownOutcome),
    ],
)
async def test_openai_errors(
    server: ScriptedOpenAI, openai_images: OpenAIImages, rule: dict[str, Any], wanted: type[Exception]
) -> None:
    server.script.update({"rules": [rule]})
    with pytest.raises(wanted) as caught:
        await openai_images.draw(REQUEST)
    assert type(caught.value) is wanted
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "size", [(256, 2048), (2048, 256), (300, 300), (1200, 672), (2048, 2048), (1000, 999)]
)
def test_free_sizes_keep_the_models_rules(size: tuple[int, int]) -> None:
    width, height = free_size(*size)
    assert width % 16 == height % 16 == 0
    assert max(width, height) <= 3 * min(width, height)
    assert width * height >= 655_360


def picture() -> str:
    out = io.BytesIO()
    Image.new("RGB", (1216, 640)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def runware(answer: Callable[[httpx.Request], httpx.Response]) -> RunwareImages:
    settings = connection("", options={"steps": 4})
    return RunwareImages(settings, "runware:100@1", transport=httpx.MockTransport(answer))


async def test_runware_sends_a_task_and_reads_picture_and_cost() -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "https://api.runware.ai/v1"
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        seen.extend(json.loads(request.content))
        done = {"taskUUID": seen[0]["taskUUID"], "imageBase64Data": picture(), "cost": 0.0013}
        return httpx.Response(200, json={"data": [done]})

    async with runware(answer) as provider:
        result = await provider.draw(REQUEST)
    assert result.cents == Decimal("0.13")
    assert (result.width, result.height, result.model) == (1216, 640, "runware:100@1")
    task = seen[0]
    assert (task["taskType"], task["positivePrompt"], task["steps"]) == ("imageInference", REQUEST.prompt, 4)
    assert task["width"] % 64 == task["height"] % 64 == 0
    assert task["includeCost"] is True


async def test_runware_may_answer_with_an_address() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            assert "Authorization" not in request.headers
            return httpx.Response(200, content=base64.b64decode(picture()))
        task = json.loads(request.content)[0]
        done = {"taskUUID": task["taskUUID"], "imageURL": "https://im.example/1.png"}
        return httpx.Response(200, json={"data": [done]})

    async with runware(answer) as provider:
        assert (await provider.draw(REQUEST)).cents == provider.estimate(REQUEST)


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (
            401,
            {"errors": [{"code": "invalidApiKey", "message": f"Invalid API key {KEY}"}]},
            ConfigurationError,
        ),
        (402, {"errors": [{"code": "insufficientCredits", "message": "x"}]}, OutOfMoney),
        (200, {"errors": [{"code": "invalidModel", "message": "x"}]}, ConfigurationError),
        (400, {"errors": [{"code": "invalidModel", "message": "x", "type": "string"}]}, ConfigurationError),
        (200, {"error": {"code": "rateLimit", "message": "x", "type": "server"}}, TransientError),
        (400, {"errors": {"model": "gone"}}, PermanentError),
        (400, {"errors": [{"code": "invalidPositivePrompt", "message": "x"}]}, PermanentError),
        (400, {"errors": [{"code": "contentModeration", "message": "x"}]}, FilteredAnswer),
        (400, {"errors": [{"code": "timeoutProvider", "message": "x"}]}, TransientError),
        (429, {}, TransientError),
        (500, "<html>", ServiceDown),
        (200, {"data": []}, TransientError),
        (200, "not json", TransientError),
    ],
)
async def test_runware_errors(status: int, body: Any, wanted: type[Exception]) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        headers = {"Retry-After": "4"} if status == 429 else {}
        text = body if isinstance(body, str) else json.dumps(body)
        return httpx.Response(status, text=text, headers=headers)

    async with runware(answer) as provider:
        with pytest.raises(wanted) as caught:
            await provider.draw(REQUEST)
    assert type(caught.value) is wanted
    assert KEY not in str(caught.value)
    if status == 429:
        assert isinstance(caught.value, TransientError)
        assert caught.value.retry_after == 4


async def test_runware_out_of_reach_and_without_a_key() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with runware(answer) as provider:
        with pytest.raises(TransientError, match="ConnectError"):
            await provider.draw(REQUEST)
    with pytest.raises(ConfigurationError, match="no API key"):
        RunwareImages(ConnectionSettings(name="c"), "m")


async def test_cards_do_not_hold_up_the_event_loop() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    await CardImages().draw(ImageRequest("p", "t", 1400, 1400))
    ticking.cancel()
    assert ticks > 3
