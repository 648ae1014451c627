"""How each service's client is called in tests of what all have in common: once to change, once to read.

A call gets a network (a handler) and ends in an error, or not. Requests that come before the one that counts,
such as a sign-in, are answered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from pressroom.adapters.airflow_api import AirflowApi
from pressroom.adapters.http.notify import NotifySettings, notify
from pressroom.adapters.models.runware_images import RunwareImages
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.adapters.targets.article import ArticleArguments, LinkedArticleArguments
from pressroom.adapters.targets.bluesky.account import BlueskySettings
from pressroom.adapters.targets.bluesky.target import BlueskyArguments, BlueskyTarget
from pressroom.adapters.targets.metricool.target import MetricoolTarget
from pressroom.adapters.targets.pinterest import PinterestArguments, PinterestSettings, PinterestTarget
from pressroom.adapters.targets.webhook import Webhook, WebhookSettings
from pressroom.adapters.targets.wordpress.settings import WordPressSettings
from pressroom.adapters.targets.wordpress.target import WordPress
from pressroom.adapters.targets.x.account import XSettings
from pressroom.adapters.targets.x.target import XArguments, XTarget
from pressroom.domain.errors import RunConflict
from pressroom.domain.model import ImageRequest
from pressroom.domain.publishing import Piece
from tests.support.metricool_world import post
from tests.support.metricool_world import settings as metricool_settings
from tests.support.target_errors import DOWN, FINAL, PASSING, SETUP, UNPAID, Handler, Kinds, picture

SECRET = "TOPSECRETVALUE"
HOOK = f"https://hooks.test/{SECRET}/in?token={SECRET}"
Call = Callable[[Handler], Awaitable[object]]


@dataclass(frozen=True)
class Called:
    """``own``: where the service's rows differ from the common table, by status; None: not an error at all.

    ``asks``: an answer that is not what the API promises is an error, too; ``where``: what errors name.
    """

    change: Call | None
    read: Call | None
    own: Mapping[int, Kinds] = field(default_factory=dict)
    asks: bool = True
    where: str = "connection 'mine'"


def network(handler: Handler, **first: httpx.Response) -> httpx.MockTransport:
    """A network on which paths that end so are answered, and all others by the handler."""

    def handle(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        return next((answer for end, answer in first.items() if path.endswith(end)), None) or handler(request)

    return httpx.MockTransport(handle)


def x(handler: Handler) -> XTarget:
    settings = XSettings.from_connection("mine", password=SECRET)
    return XTarget(settings, transport=network(handler, me=httpx.Response(200, json={"data": {"id": "42"}})))


def bluesky(handler: Handler, **first: httpx.Response) -> BlueskyTarget:
    settings = BlueskySettings.from_connection("mine", login="ann.example", password=SECRET)
    session = {"did": "did:plc:a", "handle": "ann.example", "accessJwt": SECRET, "refreshJwt": f"r{SECRET}"}
    first["createSession"] = httpx.Response(200, json=session)
    return BlueskyTarget(settings, transport=network(handler, **first))


def pinterest(handler: Handler) -> PinterestTarget:
    settings = PinterestSettings.from_connection("mine", password=SECRET, extra={"board": "Recipes"})
    boards = httpx.Response(200, json={"items": [{"id": "11", "name": "Recipes"}], "bookmark": None})
    return PinterestTarget(settings, transport=network(handler, **{"/v5/boards": boards}))


def wordpress(handler: Handler) -> WordPress:
    extra = {"rest_base": "https://blog.test/wp-json/"}
    settings = WordPressSettings.from_connection(
        "mine", host="https://blog.test", login="ann", password=SECRET, extra=extra
    )
    return WordPress(settings, transport=httpx.MockTransport(handler))


def webhook(handler: Handler) -> Webhook:
    extra = {"find_url": f"https://hooks.test/{SECRET}/{{key}}"}
    settings = WebhookSettings.from_connection("mine", host=HOOK, password=SECRET, extra=extra)
    return Webhook(settings, transport=httpx.MockTransport(handler))


def metricool(handler: Handler) -> MetricoolTarget:
    settings = metricool_settings(password=SECRET).model_copy(update={"connection": "mine"})
    return MetricoolTarget(settings, transport=httpx.MockTransport(handler))


def empty_bluesky(handler: Handler) -> BlueskyTarget:
    """An account without posts."""
    return bluesky(handler, getRecord=httpx.Response(400, json={"error": "RecordNotFound"}))


def empty_wordpress(handler: Handler) -> WordPress:
    """A site without posts."""
    return wordpress(
        lambda request: handler(request) if request.method != "GET" else httpx.Response(200, json=[])
    )


X_PIECE = Piece("post:1", XArguments(text="Bread"))
BLUESKY_PIECE = Piece("post:1", BlueskyArguments(text="Bread"))
PIN = Piece("post:1", PinterestArguments(title="Bread"), [picture()])
ARTICLE = Piece("key", ArticleArguments(title="Bread", html="<p>x</p>"))
SENT = Piece("key", LinkedArticleArguments(title="Bread", html="<p>x</p>"))


def publishes(target_of: Callable[[Handler], Any], piece: Piece[Any]) -> Call:
    """Publishes the piece on the target."""

    async def call(handler: Handler) -> None:
        async with target_of(handler) as target:
            await target.publish(piece)

    return call


def finds(target_of: Callable[[Handler], Any], piece: Piece[Any]) -> Call:
    """Looks for the piece on the target."""

    async def call(handler: Handler) -> None:
        async with target_of(handler) as target:
            await target.find(piece)

    return call


async def tell(handler: Handler) -> None:
    settings = NotifySettings.from_connection("mine", host=HOOK, password=SECRET)
    await notify(settings, "ping", {}, transport=httpx.MockTransport(handler))


async def draw(handler: Handler) -> None:
    settings = ConnectionSettings(name="mine", api_key=SecretStr(SECRET))
    async with RunwareImages(settings, "runware:100@1", transport=httpx.MockTransport(handler)) as images:
        await images.draw(ImageRequest("a garden", "Garden", 1024, 1024, (), "Guide"))


async def read_airflow(handler: Handler) -> None:
    def ask() -> None:
        token = httpx.Response(201, json={"access_token": SECRET})
        with AirflowApi("http://airflow.test", "ann", SECRET, transport=network(handler, token=token)) as api:
            api.run_state("d", "r")

    await asyncio.to_thread(ask)


CONFLICT: Kinds = (RunConflict, RunConflict)
OWN_ADDRESS = {404: SETUP, 410: SETUP}

SERVICES: dict[str, Called] = {
    # X refuses a post with 403, too.
    "x": Called(publishes(x, X_PIECE), finds(x, X_PIECE), {403: (FINAL[0], SETUP[1])}),
    "bluesky": Called(publishes(empty_bluesky, BLUESKY_PIECE), finds(bluesky, BLUESKY_PIECE)),
    "pinterest": Called(publishes(pinterest, PIN), finds(pinterest, PIN)),
    "wordpress": Called(publishes(empty_wordpress, ARTICLE), finds(wordpress, ARTICLE)),
    "metricool": Called(publishes(metricool, post()), finds(metricool, post())),
    "webhook": Called(
        publishes(webhook, SENT),
        finds(webhook, SENT),
        {404: (SETUP[0], None), 410: SETUP, 409: PASSING},
        asks=False,
    ),
    # Nobody looks whether a notification arrived: a lost one is told again.
    "notify": Called(None, tell, OWN_ADDRESS, asks=False),
    # A picture that was lost is drawn again.
    "runware": Called(
        None, draw, {**OWN_ADDRESS, 409: PASSING, 402: UNPAID, **dict.fromkeys((500, 502, 503, 504), DOWN)}
    ),
    "airflow": Called(None, read_airflow, {409: CONFLICT, 200: FINAL}, where="Airflow at airflow.test"),
}
