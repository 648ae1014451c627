"""The SDK's HTTP client, which reads answers whole: bounded in bytes, and each call in time.

The SDK's own bounds each wait, so a server that sends a byte now and then, or never ends, holds a call for
ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

import openai

from pressroom.adapters.http.bodies import BoundedBody
from pressroom.domain.errors import PressroomError

_OF_THE_BODY = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class NoWholeAnswer(openai.APIConnectionError):
    """The answer has no end, or is too large. What was asked may have been done."""


class WholeAnswers(openai.DefaultAsyncHttpxClient):
    """``most_bytes``: of an answer, unpacked; ``seconds``: of a call, from its beginning to the last byte.

    Raises NoWholeAnswer beyond these. Of a refusal as much is kept as could be read.
    """

    def __init__(self, *, most_bytes: int, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self._most_bytes = most_bytes
        self._seconds = seconds

    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """The answer, read whole, whether or not a stream is asked for."""
        request.headers["Accept-Encoding"] = "gzip"
        try:
            async with asyncio.timeout(self._seconds):
                answer = await super().send(request, stream=True, **options)
                try:
                    content = await self._content(answer)
                finally:
                    await answer.aclose()
        except TimeoutError:
            message = f"no whole answer within {self._seconds:g} s"
            raise NoWholeAnswer(message=message, request=request) from None
        headers = [(name, value) for name, value in answer.headers.items() if name not in _OF_THE_BODY]
        return type(answer)(
            answer.status_code, headers=headers, content=content, request=answer.request,
            history=answer.history,
        )  # fmt: skip

    async def _content(self, answer: Any) -> bytes:
        refused = answer.status_code >= 400
        try:
            body = BoundedBody(answer.headers, self._most_bytes, cut=refused)
            async for chunk in answer.aiter_raw():
                if body.feed(chunk):
                    break
            return body.finish()
        except PressroomError as error:
            if refused:
                return b""
            message = f"its answer cannot be read: {error}"
            raise NoWholeAnswer(message=message, request=answer.request) from None
