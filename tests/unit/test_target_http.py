"""What the adapters of publishing services share: settings, requests, texts, pictures."""

from __future__ import annotations

import io
import random
import time
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pressroom.adapters.http.service import Service, until
from pressroom.adapters.targets.pictures import fitted, is_public
from pressroom.adapters.targets.pinterest import PinterestSettings
from pressroom.adapters.targets.text import cut, post_of
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
from pressroom.domain.publishing import Content, Picture, TargetLimits
from tests.support.strict_server import Refused, StrictServer, served
from tests.support.target_errors import UNANSWERED, answering, leaves, picture

SECRET = "SECRETTOKEN"


def settings(**changes: Any) -> PinterestSettings:
    return PinterestSettings.from_connection("mine", **{"password": SECRET, **changes})


def test_every_transport_error_is_in_the_table() -> None:
    assert set(UNANSWERED) == set(leaves(httpx.RequestError))


@pytest.mark.parametrize(
    ("host", "schema", "port", "url"),
    [
        (None, None, None, "https://api.pinterest.com/v5"),
        ("api-sandbox.pinterest.com", None, None, "https://api-sandbox.pinterest.com/v5"),
        ("https://api.pinterest.com/v5/", None, None, "https://api.pinterest.com/v5"),
        ("127.0.0.1", "http", 8090, "http://127.0.0.1:8090"),
        ("notpinterest.com", None, None, "https://notpinterest.com"),
        ("https://proxy.example/pins", None, None, "https://proxy.example/pins"),
    ],
)
def test_a_host_becomes_a_base_url(host: str | None, schema: str | None, port: int | None, url: str) -> None:
    assert settings(host=host, schema=schema, port=port).base_url == url


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": ""}, "password: .*is empty"),
        ({"password": None}, "password: .*is empty"),
        ({"password": f"{SECRET}\nX-Evil: 1"}, "password: .*no header carries"),
        ({"password": f"{SECRET}ß"}, "password: .*no header carries"),
        ({"host": f"https://ann:{SECRET}@pinterest.test"}, "not in the host"),
        ({"host": "ftp://pinterest.test"}, "host is not a web address"),
        ({"extra": {"bord": "x"}}, "did you mean 'board'"),
        ({"extra": {"password": SECRET}}, "'password'"),
        ({"extra": {"timeout_seconds": 0}}, "timeout_seconds"),
        ({"extra": {"settle_seconds": "soon"}}, "settle_seconds"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_shown(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^connection 'mine'.*{words}") as caught:
        settings(**changes)
    assert SECRET not in f"{caught.value!r} {caught.value}"


def test_secrets_are_not_shown() -> None:
    assert SECRET not in f"{settings()!r} {settings().model_dump_json()}"
    assert settings().secrets == [SECRET]


async def told(status: int, body: Any, headers: dict[str, str] | None = None, *hidden: str) -> Exception:
    transport = httpx.MockTransport(answering(status, body, headers))
    api = Service(
        "It", settings(), resets=("x-rate-limit-reset", "x-user-limit-24hour-reset"), transport=transport
    )
    api.hide(*hidden)
    with pytest.raises((PermanentError, TransientError)) as caught:
        await api.request("GET", "/")
    await api.close()
    return caught.value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"code": 1, "message": "too long"}, "It answered 400: too long"),
        ({"title": "Invalid", "detail": "no text", "type": "x"}, "It answered 400: no text"),
        (
            {"detail": "several", "errors": [{"message": "one"}, {"detail": "two"}, "three"]},
            "several; one; two; three",
        ),
        ({"error": "InvalidRequest"}, "It answered 400: InvalidRequest"),
        ("plain words", "It answered 400: plain words"),
        ("<html>page</html>", "It answered 400"),
        ([1, 2], "It answered 400: [1, 2]"),
    ],
)
async def test_a_refusal_has_the_servers_words(body: Any, words: str) -> None:
    text = str(await told(400, body))
    assert text.endswith(words)


async def test_a_refusal_shows_no_secret() -> None:
    words = f"{SECRET} Bearer {SECRET} and JWTJWT and JWTJWTLONGER"
    text = str(await told(400, {"message": words}, None, "JWTJWT", "JWTJWTLONGER"))
    assert SECRET not in text
    assert "JWT" not in text
    assert "LONGER" not in text


async def test_a_429_says_how_long_to_wait() -> None:
    def wait(error: Exception) -> float | None:
        assert isinstance(error, TransientError)
        return error.retry_after

    assert wait(await told(429, "", {"Retry-After": "17", "x-rate-limit-reset": "5"})) == 17
    assert wait(await told(429, "", {"x-rate-limit-reset": "5"})) == 5
    assert wait(await told(429, "")) is None
    at = str(int(time.time()) + 600)
    day = {"x-user-limit-24hour-reset": at, "x-user-limit-24hour-remaining": "0"}
    left = {"x-rate-limit-reset": "5000", "x-rate-limit-remaining": "3"}
    assert wait(await told(429, "", day | left)) == pytest.approx(600, abs=5)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [("42", 42), ("1800000030", 30), ("1700000000", 0), ("99999999999", 86400), ("", None), ("soon", None)],
)
def test_a_reset_is_a_time_or_a_number_of_seconds(reset: str, seconds: float | None) -> None:
    assert until(reset, now=1_800_000_000) == seconds


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("short", 10, "short"),
        ("one two three", 9, "one two…"),
        ("one two three", 8, "one two…"),
        ("one, two", 6, "one…"),
        ("abcdefghijkl", 6, "abcde…"),
        ("a  b\t c", 5, "a b c"),
        ("first\n \n\nsecond", 20, "first\n\nsecond"),
        ("see https://example.com/long/path now", 20, "see…"),
        ("👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧", 12, "👨‍👩‍👧👨‍👩‍👧…"),
        ("word", 0, ""),
    ],
)
def test_texts_are_cut_between_words(text: str, most: int, kept: str) -> None:
    assert cut(text, most) == kept
    assert len(cut(text, most)) <= most


def test_a_cut_text_fits_whatever_its_words() -> None:
    dice = random.Random(7)
    words = ["a", "wörter", "日本語", "🎉", "https://example.com/x", "end.", "\n\n"]
    for _ in range(200):
        text = " ".join(dice.choices(words, k=dice.randint(1, 40)))
        most = dice.randint(1, 60)
        assert len(cut(text, most)) <= most


def test_a_post_has_title_text_and_link() -> None:
    content = Content(title="Bread", text="Flour and water. " * 30, link="https://example.com/bread")
    text = post_of(content, 100)
    assert text.startswith("Bread\n\nFlour and water")
    assert text.endswith("…\n\nhttps://example.com/bread")
    assert len(text) <= 100
    assert post_of(content, 100, link=False).endswith("…")
    assert post_of(Content(title="Bread", text="Bread is good"), 100) == "Bread is good"
    assert post_of(Content(title="Bread", text="Long", excerpt="Short"), 100) == "Bread\n\nShort"
    assert post_of(Content(title="Bread", text="", link="https://example.com/" + "x" * 100), 100) == "Bread"
    assert post_of(Content(title="", text="", link="https://example.com"), 30) == "https://example.com"


def limits(most: int, *types: str) -> TargetLimits:
    return TargetLimits(picture_types=types, picture_bytes=most)


async def test_pictures_are_made_to_fit() -> None:
    small = picture(alt="a square")
    same = await fitted(small, limits(1_000_000, "image/png"))
    assert (same.data, same.media_type, same.width, same.height, same.alt) == (
        small.data,
        "image/png",
        40,
        30,
        "a square",
    )
    other = await fitted(picture(kind="WEBP"), limits(1_000_000, "image/jpeg", "image/png"))
    assert other.media_type == "image/jpeg"
    noise = Image.frombytes("RGB", (400, 300), random.Random(1).randbytes(360_000))
    path = picture()
    noisy = Picture(_png(noise), path.media_type)
    less = await fitted(noisy, limits(40_000, "image/png"))
    assert len(less.data) <= 40_000
    assert less.media_type == "image/jpeg"
    assert 64 < less.width < 400


async def test_what_is_no_picture_is_refused() -> None:
    for data in (b"", b"<svg/>", picture().data[:60]):
        with pytest.raises(PermanentError, match="no picture"):
            await fitted(
                Picture(data, "image/png"),
                limits(1_000_000, "image/png"),
            )
    with pytest.raises(PermanentError, match="smaller"):
        await fitted(picture(), limits(10, "image/png"))


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://cdn.example.com/1.png", True),
        ("http://93.184.216.34/1.png", True),
        ("", False),
        ("file:///media/1.png", False),
        ("http://localhost:8000/1.png", False),
        ("http://media/1.png", False),
        ("http://10.0.0.7/1.png", False),
        ("http://127.0.0.1/1.png", False),
        ("http://nas.local/1.png", False),
        ("http://[::1/1.png", False),
    ],
)
def test_where_others_can_fetch_a_picture(url: str, public: bool) -> None:
    assert is_public(url) is public


class Echo(StrictServer):
    async def answer(self, request: Request) -> Response:
        if request.url.path == "/no":
            raise Refused(418, "teapot")
        return JSONResponse({"path": request.url.path, "token": request.headers.get("authorization")})

    def error(self, refused: Refused) -> Any:
        return {"message": refused.words}


async def test_over_a_real_connection() -> None:
    with served(Echo()) as url:
        api = Service("It", settings(host=url), headers={"Authorization": "Bearer x"})
        assert await api.call("GET", "/yes") == {"path": "/yes", "token": "Bearer x"}
        with pytest.raises(PermanentError, match="teapot"):
            await api.call("GET", "/no")
        await api.close()


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
