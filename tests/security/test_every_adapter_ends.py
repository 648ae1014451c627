"""Every adapter that speaks to the outside, against a server whose answers never end: each call ends.

The adapters are found by a walk of the source: what makes a client of the network, or stands on one, has a
call here.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

import pressroom
from pressroom.adapters import airflow_api
from pressroom.adapters.http import service
from pressroom.adapters.http.stranger import Limits, SafeHttp
from pressroom.adapters.models import openai_client
from pressroom.adapters.models.openai_batches import OpenAIBatches
from pressroom.adapters.models.openai_embeddings import OpenAIEmbeddings
from pressroom.adapters.models.openai_images import OpenAIImages
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.adapters.sources import registry as sources
from pressroom.adapters.targets.registry import HANDLERS
from pressroom.domain.errors import PressroomError
from pressroom.domain.fetching import FetchSettings, FilesFetch
from pressroom.domain.model import ImageRequest, Message, ModelRequest, ProviderBatch
from tests.support.every_service import SERVICES
from tests.support.served import served
from tests.unit.test_service_bounds import BOMB, Endless

PACKAGE = Path(pressroom.__file__).parent
PAUSE = 0.02
SECONDS = 0.6
"""Of a whole call, about: the adapters' own bounds are minutes, and made small here."""
PATIENCE = 120.0
"""Seconds in which all calls end on a slow machine. None of them would end by itself."""
MOST_SENT = 100_000_000
"""Bytes of a flood that are sent at most: an answer's bound, and what was under way."""

RAW = {
    "AsyncClient", "Client", "AsyncHTTPTransport", "HTTPTransport", "AsyncOpenAI", "OpenAI",
    "AsyncAzureOpenAI", "DefaultAsyncHttpxClient", "urlopen", "create_connection", "open_connection",
    "ClientSession", "Session",
}  # fmt: skip
"""What makes a client without bounds of ours."""
BOUNDED = {
    "adapters/airflow_api.py", "adapters/http/service.py", "adapters/http/stranger.py",
    "adapters/models/openai_client.py", "adapters/models/whole_answers.py",
}  # fmt: skip
"""Where the bounds are: nothing else makes a client of its own."""
WITHIN = {"orchestration/server/airflow.py"}
"""Asks the app that it is a part of, over no network."""
LIBRARIES = {
    "aiohttp", "apprise", "boto3", "ftplib", "grpc", "http.client", "imaplib", "paramiko", "requests",
    "smtplib", "socket", "ssl", "telnetlib", "urllib.request", "urllib3", "websockets", "xmlrpc",
}  # fmt: skip
"""What speaks to others in its own way."""
IN_ITS_OWN_WAY = {
    "adapters/http/addresses.py": "resolves names",
    "adapters/http/certificates.py": "has what TLS trusts",
    "adapters/http/stranger_answer.py": "reads why TLS failed",
    "adapters/notices/mail.py": "ended by deliver_notices: test_endless_mail",
    "adapters/notices/said.py": "reads apprise's log",
    "adapters/notices/slack.py": "ended by deliver_notices: test_endless_mail",
}
STANDS_ON = {"Service", "SafeHttp", "OpenAIModel"}
MADE_ELSEWHERE = {"orchestration/tools/toolbox.py"}
"""Makes the client of flows' sources, and asks nothing itself."""

Call = Callable[[str], Awaitable[object]]
"""Takes how the server answers, as in ``drip/200``."""


class EndlessBody(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body without an end, where a handler takes the network's place."""

    def __init__(self, how: str) -> None:
        self._how = how

    def _piece(self) -> bytes:
        return BOMB if self._how == "bomb" else b" " * (1 if self._how == "drip" else 65_536)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        sent = 0
        while True:
            sent += len(self._piece())
            assert sent < MOST_SENT
            yield self._piece()
            await asyncio.sleep(PAUSE if self._how == "drip" else 0)

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        while True:
            sent += len(self._piece())
            assert sent < MOST_SENT
            yield self._piece()


def handler(ending: str) -> Callable[[httpx.Request], httpx.Response]:
    """A network on which every answer is endless."""
    how, status = ending.split("/")
    headers = {"content-type": "application/json", **({"content-encoding": "gzip"} if how == "bomb" else {})}
    return lambda _: httpx.Response(int(status), headers=headers, stream=EndlessBody(how))


class Outside(Endless):
    """Answers without an end, whatever is asked below ``/<how>/<status>``. ``/picture/<how>/<status>`` names
    a picture whose answer has none.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        parts = scope["path"].split("/")
        if parts[1] == "picture":
            address = str(Request(scope).url.replace(path=f"/{parts[2]}/{parts[3]}/x.png"))
            await JSONResponse({"data": [{"url": address}]})(scope, receive, send)
            return
        await super().__call__({**scope, "path": "/".join(parts[:3])}, receive, send)


# The calls ----------------------------------------------------------------------------------------------


def by_service(name: str, changes: bool) -> Call:
    called = SERVICES[name]
    call = called.change if changes else called.read
    assert call is not None
    return lambda ending: call(handler(ending))


def settings(url: str) -> ConnectionSettings:
    return ConnectionSettings.from_connection(
        "mine", host=url, password=None, extra={"model": "m", "timeout_seconds": SECONDS}
    )


ASKED = ModelRequest([Message("user", "hello")], max_tokens=9)
PICTURE = ImageRequest("a garden", "Garden", 1024, 1024)


def by_model(kind: Any, ask: Callable[[Any], Awaitable[object]], url: str) -> Call:
    async def call(ending: str) -> object:
        async with kind(settings(f"{url}/{ending}")) as model:
            return await ask(model)

    return call


MODELS: dict[str, tuple[str, Any, Callable[[Any], Awaitable[object]]]] = {
    "a text": ("openai_text", OpenAIText, lambda model: model.complete(ASKED)),
    "whether a model is offered": ("offered", OpenAIText, lambda model: model.check()),
    "a picture": ("openai_images", OpenAIImages, lambda model: model.draw(PICTURE)),
    "embeddings": ("openai_embeddings", OpenAIEmbeddings, lambda model: model.embed(["a"])),
    "a batch's upload": (
        "openai_batches", OpenAIText, lambda model: OpenAIBatches(model).upload("m", {"a": ASKED})
    ),
    "a batch": ("openai_batches", OpenAIText, lambda model: OpenAIBatches(model).submit("m", "f")),
    "a batch by its mark": ("openai_batches", OpenAIText, lambda model: OpenAIBatches(model).find("m")),
    "a batch's state": ("openai_batches", OpenAIText, lambda model: OpenAIBatches(model).look("b")),
    "a batch's end": ("openai_batches", OpenAIText, lambda model: OpenAIBatches(model).cancel("b")),
    "a batch's results": (
        "openai_batches", OpenAIText,
        lambda model: OpenAIBatches(model).results(ProviderBatch("b", "completed", ["f"])),
    ),
}  # fmt: skip
FETCHED: dict[str, type[Any]] = {
    kind.model_fields["type"].annotation.__args__[0]: kind
    for kind in get_args(get_args(FetchSettings)[0])
    if kind is not FilesFetch  # which reads through Airflow's object stores, and speaks to nobody itself
}
PLACES = {"notify": "http/notify", "runware": "models/runware_images", "airflow": "airflow_api"}
"""Where services are that are no targets."""


def by_source(kind: str, url: str, **more: Any) -> Call:
    async def call(ending: str) -> object:
        source = FETCHED[kind](type=kind, url=f"{url}/{ending}", **more)
        host = httpx.URL(url).netloc.decode()
        async with SafeHttp(allow_hosts=[host], limits=Limits(seconds=SECONDS)) as http:
            return await sources.fetch(source, http, lambda _: pytest.fail("a source without folders"))

    return call


def calls(url: str) -> dict[str, tuple[str, Call]]:
    """Every call: (where its adapter is, what is called with the ending)."""
    every: dict[str, tuple[str, Call]] = {}
    for name, called in SERVICES.items():
        for changes in (True, False):
            if (called.change if changes else called.read) is not None:
                title = f"{name}, {'a change' if changes else 'a look'}"
                every[title] = (PLACES.get(name, f"targets/{name}"), by_service(name, changes))
    for name, (place, model, ask) in MODELS.items():
        every[name] = (f"models/{place}", by_model(model, ask, url))
    draw = MODELS["a picture"][2]
    every["a picture at an address"] = (
        "models/openai_images",
        by_model(OpenAIImages, draw, f"{url}/picture"),
    )
    for kind in FETCHED:
        every[f"the source {kind}"] = ("sources", by_source(kind, url))
    every["a sitemap"] = ("sources", by_source("web", url, sitemap=True))
    return every


@pytest.fixture(scope="module")
def outside() -> Iterator[tuple[Outside, str]]:
    app = Outside()
    with served(app) as url:
        yield app, url


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of the adapters, made small: those in minutes and in many megabytes."""
    monkeypatch.setattr(service, "PATIENCE", SECONDS / 30)
    monkeypatch.setattr(airflow_api, "PATIENCE", SECONDS / 30)
    monkeypatch.setattr(openai_client, "PATIENCE", 1.0)
    monkeypatch.setattr(openai_client, "MOST_BYTES", 1_000_000)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("ending", ["drip/200", "drip/500", "flood/200", "flood/400", "bomb/200"])
async def test_each_call_ends_with_an_error_of_ours(outside: tuple[Outside, str], ending: str) -> None:
    every = calls(outside[1])
    async with asyncio.timeout(PATIENCE):
        ended = await asyncio.gather(*(call(ending) for _, call in every.values()), return_exceptions=True)
    outcomes = dict(zip(every, ended, strict=True))
    foreign = {
        name: repr(each)
        for name, each in outcomes.items()
        if isinstance(each, BaseException) and not isinstance(each, PressroomError)
    }
    assert foreign == {}
    # Of these only the status counts, and of a list of models it does not matter whether there is one.
    by_status = {"webhook, a change", "webhook, a look", "notify, a look", "whether a model is offered"}
    got_through = {name for name, each in outcomes.items() if not isinstance(each, BaseException)}
    assert got_through <= by_status, ending
    gc.collect()  # what was not read to its end is closed, or warns here


# The walk -----------------------------------------------------------------------------------------------


@functools.cache
def named(path: Path) -> Mapping[str, set[str]]:
    """What a file calls, and what its classes stand on."""
    names: dict[str, set[str]] = {"called": set(), "bases": set()}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            names["called"].add(_name(node.func))
        elif isinstance(node, ast.ClassDef):
            names["bases"] |= {_name(base) for base in node.bases}
    return names


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def places(wanted: set[str], *, bases: bool = True) -> set[str]:
    files = ((path, named(path)) for path in PACKAGE.rglob("*.py"))
    return {
        path.relative_to(PACKAGE).as_posix()
        for path, names in files
        if wanted & (names["called"] | (names["bases"] if bases else set()))
    }


def test_nothing_makes_a_client_without_bounds() -> None:
    assert places(RAW) == BOUNDED | WITHIN


def test_no_library_speaks_for_an_adapter_unseen() -> None:
    seen = set()
    for path in (PACKAGE / "adapters").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
        names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        if any(name == each or name.startswith(f"{each}.") for name in names for each in LIBRARIES):
            seen.add(path.relative_to(PACKAGE).as_posix())
    assert seen == set(IN_ITS_OWN_WAY)


def test_each_adapter_has_its_call() -> None:
    speaking = places(STANDS_ON) - BOUNDED - MADE_ELSEWHERE
    assert len(speaking) >= 10
    called = {f"adapters/{place}" for place, _ in calls("http://x").values()}
    assert {place for place in speaking if not place.startswith(tuple(called))} == set()


def test_each_target_and_each_source_has_its_call() -> None:
    assert set(HANDLERS) - set(SERVICES) == {"static_site"}  # which writes to this machine
    assert {"rss", "wordpress", "web", "json"} == set(FETCHED)
