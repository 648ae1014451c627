"""Pictures from servers that speak OpenAI's images API in ways of their own, through the real SDK."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from pressroom.adapters.models.dialect import ProcessDialects, described
from pressroom.adapters.models.openai_images import OpenAIImages
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.domain.errors import FilteredAnswer, PermanentError, TransientError
from pressroom.domain.model import ImageRequest
from tests.support.served import served

REQUEST = ImageRequest("a garden in spring", "Spring", 1200, 672)
MODEL = "some-image-model"
PRICES = {"input_cents_per_million": 500, "output_cents_per_million": 3000, "cents_per_image": 5}


def encoded(kind: str, size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(out, kind)
    return out.getvalue()


PNG, JPEG = encoded("PNG"), encoded("JPEG")
B64 = base64.b64encode(PNG).decode()
LINES = "\r\n".join(B64[at : at + 76] for at in range(0, len(B64), 76))


class ImageServer:
    """Answers with ``answer``, refuses the parameters in ``refuses``, serves a PNG at /files/x.png."""

    def __init__(self) -> None:
        self.answer: Any = {}
        self.refuses: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.file_status = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await (await self.answered(Request(scope, receive)))(scope, receive, send)

    async def answered(self, request: Request) -> Response:
        if request.url.path == "/files/x.png":
            assert "authorization" not in request.headers
            return Response(PNG, self.file_status, media_type="image/png")
        body = await request.json()
        self.asked.append(body)
        for name, refusal in self.refuses.items():
            if name in body:
                return JSONResponse({"error": refusal}, refusal.get("status", 400))
        return JSONResponse(self.answer)


@pytest.fixture(scope="module")
def running() -> Iterator[SimpleNamespace]:
    app = ImageServer()
    with served(app) as url:
        yield SimpleNamespace(app=app, url=url)


@pytest.fixture
def server(running: SimpleNamespace) -> SimpleNamespace:
    running.app.__init__()
    return running


@pytest.fixture
async def images(server: SimpleNamespace) -> AsyncIterator[OpenAIImages]:
    async with OpenAIImages(settings_for(server), MODEL) as provider:
        yield provider


def settings_for(server: SimpleNamespace) -> ConnectionSettings:
    return ConnectionSettings.from_connection(
        "pictures",
        host=f"{server.url}/v1",
        password="k-secret-123456",
        extra={"prices": PRICES, "timeout_seconds": 5},
    )


def one(**entry: Any) -> dict[str, Any]:
    return {"created": 1, "data": [entry]}


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"b64_json": B64}, id="base64"),
        pytest.param({"b64_json": LINES}, id="line breaks"),
        pytest.param({"b64_json": f"data:image/png;base64,{B64}"}, id="a data address"),
        pytest.param({"b64_json": f"data:image/png;base64,\n{LINES}\n"}, id="a data address with breaks"),
        pytest.param({"url": f"data:image/png;base64,{B64}"}, id="a data address as URL"),
        pytest.param({"b64_json": B64.rstrip("=")}, id="without padding"),
        pytest.param({"b64_json": B64.replace("+", "-").replace("/", "_")}, id="the alphabet of URLs"),
        pytest.param({"b64_json": None, "url": "/files/x.png"}, id="a path"),
        pytest.param({"b64_json": base64.b64encode(JPEG).decode()}, id="a JPEG, which begins with a slash"),
    ],
)  # fmt: skip
async def test_a_picture_in_any_form_is_taken(
    server: SimpleNamespace, images: OpenAIImages, entry: dict[str, Any]
) -> None:
    server.app.answer = one(**entry)
    result = await images.draw(REQUEST)
    assert result.data in (PNG, JPEG)
    assert (result.width, result.height, result.cents) == (64, 48, Decimal(5))
    assert len(server.app.asked) == 1


async def test_a_picture_at_an_address_is_fetched_without_the_key(
    server: SimpleNamespace, images: OpenAIImages
) -> None:
    server.app.answer = one(url=f"{server.url}/files/x.png")
    assert (await images.draw(REQUEST)).data == PNG


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (one(url="http://127.0.0.1:1/x.png"), "cannot be fetched"),
        (one(url="http://10.0.0.7/x.png"), "cannot be fetched"),
        (one(url="file:///etc/passwd"), "not base64"),
        (one(), "holds no picture"),
        ({"created": 1, "data": []}, "holds no picture"),
        ({"created": 1, "data": None}, "holds no picture"),
        ({"created": 1, "data": ["x"]}, "holds no picture"),
        (one(b64_json=["x"]), "holds no picture"),
        (one(b64_json="%%%"), "not base64"),
        (one(b64_json=base64.b64encode(b"no picture at all").decode()), "not a picture"),
    ],
)
async def test_a_picture_that_is_lost_is_paid_for(
    server: SimpleNamespace, images: OpenAIImages, answer: dict[str, Any], words: str
) -> None:
    server.app.answer = answer
    with pytest.raises(TransientError, match=words) as caught:
        await images.draw(REQUEST)
    assert caught.value.cents == Decimal(5)
    assert "k-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("usage", "cents"),
    [
        ({"input_tokens": 20, "output_tokens": 1000, "total_tokens": 1020}, Decimal("3.01")),
        ({"input_tokens": None, "output_tokens": 1000}, Decimal(3)),
        ({"input_tokens": 20.0, "output_tokens": 1000.0}, Decimal("3.01")),
        ({"cost_in_usd_ticks": 600_000_000}, Decimal(6)),
        ({}, Decimal(5)),
        (None, Decimal(5)),
        ([], Decimal(5)),
        ({"input_tokens": -5, "output_tokens": "many"}, Decimal(5)),
    ],
)
async def test_a_picture_costs_what_its_answer_says(
    server: SimpleNamespace, images: OpenAIImages, usage: Any, cents: Decimal
) -> None:
    server.app.answer = {**one(b64_json=B64), "usage": usage}
    assert (await images.draw(REQUEST)).cents == cents


REFUSALS = {
    "xAI": {"size": {"message": "Argument not supported: size", "code": "invalid"}},
    "a parameter that is named": {"quality": {"message": "Invalid value", "param": "quality"}},
    "LiteLLM": {"quality": {"message": "x does not support parameters: ['quality']", "status": 422}},
    "Azure": {"response_format": {"message": "Unknown parameter: 'response_format'."}},
    "all of them": {
        name: {"message": f"Extra inputs are not permitted: {name}"}
        for name in ("size", "quality", "response_format")
    },
}  # fmt: skip


@pytest.mark.parametrize("refuses", REFUSALS.values(), ids=REFUSALS)
async def test_what_a_server_refuses_is_left_out_from_then_on(
    server: SimpleNamespace, images: OpenAIImages, refuses: dict[str, Any]
) -> None:
    server.app.answer, server.app.refuses = one(b64_json=B64), refuses
    assert (await images.draw(REQUEST)).data == PNG
    assert len(server.app.asked) == 1 + len(refuses)
    assert (await images.draw(REQUEST)).data == PNG
    assert len(server.app.asked) == 2 + len(refuses)
    assert not refuses.keys() & server.app.asked[-1].keys()


async def test_what_a_server_refuses_is_kept_where_the_provider_says(server: SimpleNamespace) -> None:
    server.app.answer, server.app.refuses = one(b64_json=B64), REFUSALS["all of them"]
    dialects = ProcessDialects()
    async with OpenAIImages(settings_for(server), MODEL, dialects) as first:
        await first.draw(REQUEST)
    learned = await dialects.recall("pictures", f"{server.url}/v1", MODEL)
    assert learned == {"size": False, "quality": False, "response_format": False}
    assert "no size of pictures" in described(learned)
    server.app.asked.clear()
    async with OpenAIImages(settings_for(server), MODEL, dialects) as second:
        await second.draw(REQUEST)
    assert len(server.app.asked) == 1


async def test_what_was_not_to_blame_is_not_kept(server: SimpleNamespace) -> None:
    dialects = ProcessDialects()
    server.app.refuses = {
        "size": {"message": "size: invalid"}, "prompt": {"message": "this account may not draw"},
    }  # fmt: skip
    async with OpenAIImages(settings_for(server), MODEL, dialects) as images:
        with pytest.raises(PermanentError):
            await images.draw(REQUEST)
        assert await dialects.recall("pictures", f"{server.url}/v1", MODEL) is None
        server.app.answer, server.app.refuses = one(b64_json=B64), {}
        await images.draw(REQUEST)
    assert "size" in server.app.asked[-1]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ({"message": "the prompt is too long"}, PermanentError),
        ({"message": "size of the request", "param": "prompt", "code": "moderation_blocked"}, FilteredAnswer),
    ],
)
async def test_a_refusal_of_something_else_is_an_error_at_once(
    server: SimpleNamespace, images: OpenAIImages, refusal: dict[str, Any], kind: type[Exception]
) -> None:
    server.app.refuses = {"prompt": refusal}
    with pytest.raises(kind):
        await images.draw(REQUEST)
    assert len(server.app.asked) == 1


@pytest.mark.parametrize("model", ["gpt-image-2", "openai/gpt-image-2.6-flare", "gpt-image-2.5-sunburst"])
def test_models_with_free_sizes_are_asked_for_the_size(model: str) -> None:
    settings = ConnectionSettings.from_connection("c", host=None, password="k", extra={})
    assert OpenAIImages(settings, model).size(REQUEST) == "1200x672"
