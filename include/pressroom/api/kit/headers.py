"""Headers of every answer: nothing is kept on the way, and no browser guesses what it got."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EVERY_ANSWER = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Unless a route says something else. Answers belong to one account, and some hold a secret."""


class SafeHeaders:
    """Adds the headers that an answer lacks. ``also``: further ones of this app's answers."""

    def __init__(self, app: ASGIApp, also: Mapping[str, str] | None = None) -> None:
        self.app, self._headers = app, EVERY_ANSWER | dict(also or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)
