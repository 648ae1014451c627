"""The simulator without a network: for tests and benchmarks, which give this transport to a client."""

from __future__ import annotations

import httpx
from starlette.types import ASGIApp

from pressroom_dev.simulator.faults import Dropped


class InProcess(httpx.AsyncBaseTransport):
    """Hands requests to the simulator's app. A dropped connection is the error that a network would give."""

    def __init__(self, app: ASGIApp) -> None:
        self._inner = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The app's answer. Raises RemoteProtocolError when it drops the connection."""
        try:
            return await self._inner.handle_async_request(request)
        except Dropped as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from None
