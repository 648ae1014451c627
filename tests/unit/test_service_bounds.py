"""Answers without an end, over a real connection: a call of a service is bounded in bytes and in time."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from types import SimpleNamespace

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pressroom.adapters import airflow_api
from pressroom.adapters.airflow_api import AirflowApi
from pressroom.adapters.http.service import PATIENCE, WORDS_BYTES, Service
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.outside import SLOWEST_UPLOAD
from tests.support.served import served

SECONDS = 0.2
PAUSE = SECONDS / 4
BOMB = gzip.compress(b" " * 20_000_000)


class Endless:
    """Answers by the path: ``/<how>/<status>``. ``sent``: bytes of the last body."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, how, status = Request(scope).url.path.rsplit("/", 2)
        headers = {"content-encoding": "gzip"} if how == "bomb" else {}
        answer: Response = StreamingResponse(self.body(how), int(status), headers, "application/json")
        await answer(scope, receive, send)

    async def body(self, how: str) -> AsyncIterator[bytes]:
        self.sent = 0
        piece = BOMB if how == "bomb" else b" " * (1 if how == "drip" else 65_536)
        while True:
            self.sent += len(piece)
            yield piece
            await asyncio.sleep(PAUSE if how == "drip" else 0)


@pytest.fixture(scope="module")
def server() -> Iterator[SimpleNamespace]:
    app = Endless()
    with served(app) as url:
        yield SimpleNamespace(app=app, url=url)


def service(url: str, most_bytes: int = 1_000_000) -> Service:
    settings = SimpleNamespace(connection="mine", base_url=url, timeout_seconds=SECONDS, secrets=["SECRET"])
    return Service("It", settings, most_bytes=most_bytes)


async def error_of(url: str, path: str, *, changes: bool = False) -> PressroomError:
    api = service(url)
    started = time.monotonic()
    with pytest.raises(PressroomError) as caught:
        await api.request("POST" if changes else "GET", path, changes=changes)
    await api.close()
    assert time.monotonic() - started < 4 * PATIENCE * SECONDS
    return caught.value


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_byte_now_and_then_is_no_answer(server: SimpleNamespace, status: int) -> None:
    assert type(await error_of(server.url, f"/drip/{status}")) is TransientError
    error = await error_of(server.url, f"/drip/{status}", changes=True)
    assert type(error) is UnknownOutcome
    assert "no whole answer" in str(error)


@pytest.mark.parametrize("how", ["flood", "bomb"])
async def test_an_answer_has_a_size(server: SimpleNamespace, how: str) -> None:
    error = await error_of(server.url, f"/{how}/200")
    assert type(error) is PermanentError
    assert "'mine': It's answer: larger than 1,000,000 bytes" in str(error)
    assert type(await error_of(server.url, f"/{how}/200", changes=True)) is UnknownOutcome


@pytest.mark.parametrize(
    ("status", "kind"), [(400, PermanentError), (403, ConfigurationError), (503, TransientError)]
)
async def test_of_a_refusal_only_the_beginning_is_read(
    server: SimpleNamespace, status: int, kind: type[PressroomError]
) -> None:
    assert type(await error_of(server.url, f"/flood/{status}")) is kind


@pytest.mark.parametrize(
    ("status", "kind"), [(400, PermanentError), (401, ConfigurationError), (429, TransientError)]
)
async def test_a_refusal_whose_words_are_unreadable_goes_by_its_status(
    status: int, kind: type[PressroomError]
) -> None:
    async def packed() -> AsyncIterator[bytes]:
        yield b"?"

    def handler(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"Content-Encoding": "br"}, content=packed())

    settings = SimpleNamespace(connection="mine", base_url="https://x.test", timeout_seconds=1, secrets=[])
    api = Service("It", settings, transport=httpx.MockTransport(handler))
    with pytest.raises(PressroomError, match=f"It answered {status}") as caught:
        await api.request("POST", "/", changes=True)
    assert type(caught.value) is kind
    assert (await api.request("POST", "/", allow=(status,))).content == b""
    await api.close()


async def test_a_secret_is_hidden_in_words_that_are_json() -> None:
    secret = 'quo"ted\\secret'
    settings = SimpleNamespace(
        connection="mine", base_url="https://x.test", timeout_seconds=1, secrets=[secret, ""]
    )
    api = Service(
        "It",
        settings,
        transport=httpx.MockTransport(lambda _: httpx.Response(400, json={"sent": {"key": secret}})),
    )
    with pytest.raises(PermanentError, match=r'"sent": \{"key": "\[hidden\]"'):
        await api.request("POST", "/")
    await api.close()


async def test_where_only_the_status_counts_a_success_is_one_without_its_end(server: SimpleNamespace) -> None:
    api = service(server.url)
    for how in ("flood", "bomb", "drip"):
        answer = await api.request("POST", f"/{how}/200", changes=True, status_only=True)
        assert len(answer.content) <= WORDS_BYTES
    with pytest.raises(UnknownOutcome):
        await api.request("POST", "/drip/500", changes=True, status_only=True)
    await api.close()


async def test_others_wait_their_turn_and_that_is_no_failure(server: SimpleNamespace) -> None:
    settings = SimpleNamespace(connection="mine", base_url=server.url, timeout_seconds=SECONDS, secrets=[])
    api = Service("It", settings, at_once=1)
    calls = [api.request("GET", "/drip/200", status_only=True) for _ in range(3)]
    started = time.monotonic()
    answers = await asyncio.gather(*calls)
    await api.close()
    assert [answer.status_code for answer in answers] == [200] * 3
    assert time.monotonic() - started > 2.5 * PATIENCE * SECONDS


def test_airflow_is_bounded_too(server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "TIMEOUT_SECONDS", SECONDS)
    monkeypatch.setattr(airflow_api, "ANSWER_BYTES", 1_000_000)
    monkeypatch.setattr(AirflowApi, "_log_in", lambda _: "t")
    with AirflowApi(server.url, "ann", "SECRET") as api:
        with pytest.raises(TransientError, match="no whole answer"):
            api._call("GET", "drip/200")
        with pytest.raises(PermanentError, match="larger than 1,000,000 bytes"):
            api._call("GET", "flood/200")


@pytest.mark.parametrize(("size", "kind"), [(0, UnknownOutcome), (SLOWEST_UPLOAD, None)])
async def test_what_is_sent_has_time_by_its_size(size: int, kind: type[PressroomError] | None) -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(2 * PATIENCE * 0.05)
        return httpx.Response(200, json={})

    settings = SimpleNamespace(connection="mine", base_url="https://x.test", timeout_seconds=0.05, secrets=[])
    api = Service("It", settings, transport=httpx.MockTransport(handler))
    with pytest.raises(kind) if kind else nullcontext():
        await api.request("POST", "/", changes=True, files={"media": ("picture", b"x" * size, "image/png")})
    await api.close()


async def test_a_list_is_read_over_all_its_pages() -> None:
    rest = {"": ([{"id": 1}], "b"), "b": ([{"id": 2}, {"id": 3}], "c"), "c": ([], "")}

    async def page(place: str) -> tuple[object, str]:
        return rest[place]

    assert [entry["id"] async for entry in service("https://x.test").pages(page)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("entries", "ends", "words"),
    [
        ([{}], False, "a list of It's does not end"),
        ("none", True, "not what It's API promises"),
        ([{}, 7], True, "not what It's API promises"),
    ],
)
async def test_a_list_that_cannot_be_read_whole_is_an_error(entries: object, ends: bool, words: str) -> None:
    async def repeated(place: str) -> tuple[object, str]:
        return entries, "" if ends else "again"

    async def endless(place: str) -> tuple[object, str]:
        return entries, "" if ends else f"{place}x"

    for page in (repeated, endless):
        with pytest.raises(TransientError, match=words):
            [entry async for entry in service("https://x.test").pages(page, most=5)]
