"""What the strict servers share: small imitations of services, which refuse what their documentation refuses.

A server is an ASGI application: ``transport`` gives it to a client in this process, ``served`` puts it on a
port. ``faults``: (method, beginning of the path, what) used up one by one; "lost" carries the request out and
drops the connection, a number is answered as a status.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from pressroom_dev.simulator.faults import Dropped
from pressroom_dev.simulator.in_process import InProcess


class Refused(Exception):
    """A request that the service does not take. ``code``: the service's own name or number for it."""

    def __init__(self, status: int, words: str, code: str = "") -> None:
        super().__init__(words)
        self.status, self.words, self.code = status, words, code


class StrictServer:
    """``requests_left``: how many requests are taken before a 429; None: any number."""

    def __init__(self) -> None:
        self.journal: list[tuple[str, str]] = []
        self.faults: list[tuple[str, str, str | int]] = []
        self.requests_left: int | None = None

    @property
    def transport(self) -> InProcess:
        return InProcess(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = request.url.path
        self.journal.append((request.method, path))
        fault = next(
            (one for one in self.faults if one[0] == request.method and path.startswith(one[1])), None
        )
        if fault:
            self.faults.remove(fault)
        response = await self._response(request, fault[2] if fault else None)
        if fault and fault[2] == "lost":
            raise Dropped("the connection was closed")
        await response(scope, receive, send)

    async def _response(self, request: Request, fault: str | int | None) -> Response:
        try:
            if isinstance(fault, int):
                raise Refused(fault, f"this is a {fault}")
            if self.requests_left is not None:
                if self.requests_left == 0:
                    raise Refused(429, "too many requests")
                self.requests_left -= 1
            return await self.answer(request)
        except Refused as refused:
            headers = self.limit_headers() if refused.status == 429 else {}
            return JSONResponse(self.error(refused), refused.status, headers)

    async def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def error(self, refused: Refused) -> Any:
        raise NotImplementedError

    def limit_headers(self) -> dict[str, str]:
        return {}

    def count(self, method: str, path: str) -> int:
        """How many requests of a kind there were."""
        return sum(1 for entry in self.journal if entry == (method, path))


def only(
    body: Any, known: Mapping[str, type | tuple[type, ...]], *required: str, at: str = ""
) -> dict[str, Any]:
    """The body, when it is an object of known fields of the right types."""
    if not isinstance(body, dict):
        raise Refused(400, f"{at or 'the body'} is not an object")
    for name in body:
        if name not in known:
            raise Refused(400, f"unknown field {at}{name}")
        if not isinstance(body[name], known[name]):
            raise Refused(400, f"{at}{name} is of the wrong type")
    for name in required:
        if name not in body:
            raise Refused(400, f"{at}{name} is missing")
    return body


async def json_of(request: Request) -> Any:
    if request.headers.get("content-type") != "application/json":
        raise Refused(400, "the body is not declared as JSON")
    try:
        return await request.json()
    except ValueError:
        raise Refused(400, "the body is not JSON") from None


@contextmanager
def served(server: StrictServer) -> Iterator[str]:
    """The server on a free port of this machine; its URL."""
    config = uvicorn.Config(
        server, host="127.0.0.1", port=0, log_level="critical", access_log=False, lifespan="off"
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not running.started:
        if time.monotonic() > until or not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    try:
        port = running.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join(10)
