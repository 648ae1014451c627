"""A server with Metricool's API, for running without an account. Nothing is posted anywhere.

Posts are published when the simulated clock reaches their time, and a model of an audience reacts to them.
The API is served at the root and under /api; the simulator's own routes are under /simulator and /media. A
header in every answer says that it is simulated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pressroom.domain.social import Platform
from pressroom_dev.simulator.answers import FOLLOWER_METRICS, Results, scheduled_post
from pressroom_dev.simulator.audience import Audience
from pressroom_dev.simulator.control import control_routes
from pressroom_dev.simulator.faults import Faults, act
from pressroom_dev.simulator.requests import Refused, moment, new_post, number, zone
from pressroom_dev.simulator.scheduler import Post, SimulatedScheduler

HEADER = b"x-pressroom-simulator"
DEFAULT_TOKEN = "simulator"
DAY = timedelta(days=1)
_MOST_DAYS = 1000  # of a timeline
_OWN = ("/simulator", "/media")

Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(
    scheduler: SimulatedScheduler,
    audience: Audience,
    *,
    token: str = DEFAULT_TOKEN,
    media_root: Path | None = None,
    networks: Sequence[Platform] = tuple(Platform),
) -> ASGIApp:
    """The server. ``token``: the one that it accepts. ``networks``: those that its brands are
    connected to.
    """
    faults = Faults()
    api = Api(scheduler, Results(audience), token, networks)
    app = Starlette(
        routes=[*api.routes(), *control_routes(scheduler, faults, media_root)],
        exception_handlers={Refused: _refused},
    )
    return _Front(ServerErrorMiddleware(app), faults)


class _Front:
    """Middleware that applies faults and labels every answer as simulated."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (HEADER, b"true")]}
            await send(message)

        path = re.sub(r"^/api(?=/)", "", scope["path"])
        scope = {**scope, "path": path, "raw_path": path.encode()}
        fault = None if path.startswith(_OWN) else self._faults.draw(scope["method"], path)
        if fault is None:
            await self._app(scope, receive, labelled)
        else:
            await act(fault, self._app, scope, receive, labelled)


async def _refused(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Refused) else 400
    return JSONResponse({"status": status, "message": str(error)}, status)


class Api:
    """The endpoints of Metricool that Pressroom uses."""

    def __init__(
        self, scheduler: SimulatedScheduler, results: Results, token: str, networks: Sequence[Platform]
    ) -> None:
        self._scheduler = scheduler
        self._results = results
        self._token = token
        self._networks = networks

    def routes(self) -> list[Route]:
        """The routes of the endpoints."""
        return [
            self._route("/v2/scheduler/posts", self._create, "POST"),
            self._route("/v2/scheduler/posts", self._list),
            self._route("/v2/scheduler/posts/{id:int}", self._show),
            self._route("/v2/scheduler/posts/{id:int}", self._delete, "DELETE"),
            self._route("/v2/settings/brands", self._brands),
            self._route("/actions/normalize/image/url", self._host),
            self._route("/v2/analytics/posts/{network}", self._published),
            self._route("/stats/twitter/posts", self._tweets),
            self._route("/v2/analytics/timelines", self._followers),
            self._route("/stats/timeline/{metric}", self._followers_of_x),
        ]

    def _route(self, path: str, endpoint: Endpoint, method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            token = request.headers.get("x-mc-auth") or request.query_params.get("userToken")
            bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
            if self._token not in (token, bearer):
                raise Refused("Unauthorized", 401)
            number(request.query_params, "userId")
            number(request.query_params, "blogId")
            return await endpoint(request)

        return Route(path, guarded, methods=[method])

    async def _create(self, request: Request) -> Response:
        try:
            body = await request.json()
        except ValueError:
            raise Refused("JSON parse error") from None
        at = new_post(body, self._scheduler.clock.now())
        absent = {str(provider["network"]) for provider in body["providers"]} - set(self._networks)
        if absent:
            raise Refused(f"The brand has no {min(absent)} account connected")
        post = self._scheduler.create(_blog(request), at, body)
        own = zone(body["publicationDate"].get("timezone"))
        return JSONResponse({"data": self._shown(request, post, str(own))})

    async def _list(self, request: Request) -> Response:
        """Scheduled posts. The extended range has a day more at both ends, and also published posts."""
        params, now = request.query_params, self._scheduler.clock.now()
        timezone = zone(params.get("timezone"))
        start, end = (moment(params.get(name), name, timezone) for name in ("start", "end"))
        wide = params.get("extendedRange", "").lower() == "true"
        if wide:
            start, end = start - DAY, end + DAY
        posts = self._scheduler.between(_blog(request), start, end)
        shown = [self._shown(request, post, str(timezone)) for post in posts if wide or not post.is_out(now)]
        return JSONResponse({"data": shown})

    async def _show(self, request: Request) -> Response:
        return JSONResponse({"data": self._shown(request, self._asked(request), None)})

    async def _delete(self, request: Request) -> Response:
        """Delete a post that is not published. ``data`` of the answer says whether it was deleted."""
        post = self._asked(request)
        if post.is_out(self._scheduler.clock.now()):
            return JSONResponse({"data": False})
        self._scheduler.delete(post)
        return JSONResponse({"data": True})

    async def _brands(self, request: Request) -> Response:
        """Every brand exists, because the simulator has no accounts."""
        connected = {
            f"{network}Data": {"username": f"simulated-{network}", "providerUserId": f"simulated-{network}"}
            for network in self._networks
        }
        brand = {"id": _blog(request), "label": "Simulated brand", "timezone": "UTC"}
        return JSONResponse({"data": [{**brand, "networksData": connected}]})

    async def _host(self, request: Request) -> Response:
        """Host a picture. Returns its address as plain text; a hosted picture keeps its address."""
        url, base = request.query_params.get("url", ""), _base(request)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused("The URL is not publicly accessible")
        if url.startswith(f"{base}/media/"):
            return PlainTextResponse(url)
        suffix = PurePosixPath(parts.path).suffix
        ending = suffix if re.fullmatch(r"\.\w{1,5}", suffix) else ""
        name = f"hosted/{hashlib.sha256(url.encode()).hexdigest()[:32]}{ending}"
        self._scheduler.host(name, url)
        return PlainTextResponse(f"{base}/media/{name}")

    async def _published(self, request: Request) -> Response:
        network = request.path_params["network"]
        if network == Platform.TWITTER or network not in set(Platform):
            raise Refused("Not found", 404)
        timezone = zone(request.query_params.get("timezone"))
        start, end = (moment(request.query_params.get(name), name, timezone) for name in ("from", "to"))
        return JSONResponse({"data": self._rows(request, network, start, end)})

    async def _tweets(self, request: Request) -> Response:
        start, end = (moment(request.query_params.get(name), name, zone(None)) for name in ("start", "end"))
        return JSONResponse(self._rows(request, Platform.TWITTER, start, end + DAY))

    async def _followers(self, request: Request) -> Response:
        params = request.query_params
        network, metric = params.get("network", ""), params.get("metric", "").lower()
        if FOLLOWER_METRICS.get(network) != metric:  # type: ignore[call-overload]  # equal to its member
            raise Refused(f"Metric '{metric}' of '{network}' is not simulated")
        start, end = (moment(params.get(name), name, zone(params.get("timezone"))) for name in ("from", "to"))
        values = [
            {"dateTime": at.isoformat(timespec="seconds"), "value": float(count)}
            for at, count in self._daily(request, network, start, end)
        ]
        return JSONResponse({"data": [{"metric": metric, "values": values}]})

    async def _followers_of_x(self, request: Request) -> Response:
        if request.path_params["metric"] != "twitterFollowers":
            raise Refused("This metric is not simulated", 404)
        params = request.query_params
        start, end = (
            moment(params.get(name), name, zone(params.get("timezone"))) for name in ("start", "end")
        )
        points = self._daily(request, Platform.TWITTER, start, end + DAY)
        return JSONResponse([[str(round(at.timestamp() * 1000)), str(count)] for at, count in points])

    def _daily(
        self, request: Request, network: str, start: datetime, end: datetime
    ) -> list[tuple[datetime, int]]:
        """An account's followers in a span, once a day and at its end, or now if that is earlier."""
        now = self._scheduler.clock.now()
        end = min(end, now)
        posts = self._out(request, network, datetime.min.replace(tzinfo=now.tzinfo), end)
        days = min(_MOST_DAYS, max(0, (end - start) // DAY))
        times = [start + day * DAY for day in range(days + 1) if start + day * DAY < end]
        return [
            (at, self._results.followers((post for post in posts if post.at < at), network, at))
            for at in (*times, end)
        ]

    def _rows(self, request: Request, network: str, start: datetime, end: datetime) -> list[Any]:
        now, base = self._scheduler.clock.now(), _base(request)
        posts = self._out(request, network, start, end)
        return [self._results.row(post, network, now, base) for post in posts]

    def _out(self, request: Request, network: str, start: datetime, end: datetime) -> list[Post]:
        """The brand's posts that were published on a network in a span."""
        now = self._scheduler.clock.now()
        posts = self._scheduler.between(_blog(request), start, end)
        return [post for post in posts if post.is_out(now) and network in post.networks]

    def _asked(self, request: Request) -> Post:
        post = self._scheduler.get(request.path_params["id"])
        if post is None or post.deleted or post.blog_id != _blog(request):
            raise Refused("The post does not exist", 404)
        return post

    def _shown(self, request: Request, post: Post, timezone: str | None) -> dict[str, Any]:
        own = post.body["publicationDate"].get("timezone")
        return scheduled_post(post, self._scheduler.clock.now(), zone(timezone or own), _base(request))


def _blog(request: Request) -> int:
    return number(request.query_params, "blogId")


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
