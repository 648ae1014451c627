"""The simulator without a network: a transport that tests and benchmarks give to a client."""

from __future__ import annotations

import httpx
from starlette.types import ASGIApp

from pressroom_dev.simulator.faults import Dropped


class InProcess(httpx.AsyncBaseTransport):
    """Passes requests to the simulator's app. A dropped connection raises the same error as on a network."""

    def __init__(self, app: ASGIApp) -> None:
        self._inner = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The app's answer. Raises RemoteProtocolError when it drops the connection."""
        try:
            return await self._inner.handle_async_request(request)
        except Dropped as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from None
