"""Answers without an end, of every service that runs call: each call ends, with an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from starlette.types import Receive, Scope, Send

from pressroom.adapters.http.notify import NotifySettings, notify
from pressroom.adapters.models import openai_client
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.domain.errors import TransientError, UnknownOutcome
from pressroom.domain.model import Message, ModelRequest
from tests.support.served import served
from tests.unit.test_service_bounds import SECONDS, Endless


class AtAnyPath(Endless):
    """Answers by the beginning of the path: a model's client adds to it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": "/".join(scope["path"].split("/")[:3])}
        await super().__call__(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> Iterator[SimpleNamespace]:
    app = AtAnyPath()
    with served(app) as url:
        yield SimpleNamespace(app=app, url=url)


@pytest.mark.parametrize("how", ["drip", "flood", "bomb"])
async def test_a_models_answer_has_an_end(
    server: SimpleNamespace, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_client, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(openai_client, "PATIENCE", 4.0)
    settings = ConnectionSettings.from_connection(
        "text", host=f"{server.url}/{how}/200", password=None,
        extra={"model": "m", "timeout_seconds": SECONDS if how == "drip" else 20},
    )  # fmt: skip
    async with OpenAIText(settings) as model:
        with pytest.raises(UnknownOutcome, match=r"no whole answer within|larger than 1,000,000 bytes"):
            await model.complete(ModelRequest([Message("user", "hello")], max_tokens=9))
    assert server.app.sent < 400_000_000


@pytest.mark.parametrize("how", ["drip", "flood", "bomb"])
@pytest.mark.parametrize("status", [200, 500])
async def test_a_receivers_answer_is_not_waited_for(server: SimpleNamespace, how: str, status: int) -> None:
    settings = NotifySettings.from_connection(
        "hook", host=f"{server.url}/{how}/{status}", password="a-long-secret",
        extra={"timeout_seconds": SECONDS},
    )  # fmt: skip
    if status == 200:
        await notify(settings, "ping", {})
    else:
        with pytest.raises(TransientError):
            await notify(settings, "ping", {})
