"""Every way a call to a service can fail, and which error it is: for a change, and for what only reads.

None: it is not an error.
"""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pytest
from PIL import Image

from pressroom.domain.errors import (
    ConfigurationError,
    OutOfMoney,
    PermanentError,
    PressroomError,
    ServiceDown,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Picture

Kinds = tuple[type[PressroomError] | None, type[PressroomError] | None]
Handler = Callable[[httpx.Request], httpx.Response]

LOST: Kinds = (UnknownOutcome, TransientError)
PASSING: Kinds = (TransientError, TransientError)
DOWN: Kinds = (ServiceDown, ServiceDown)
UNPAID: Kinds = (OutOfMoney, OutOfMoney)
SETUP: Kinds = (ConfigurationError, ConfigurationError)
FINAL: Kinds = (PermanentError, PermanentError)

UNANSWERED: dict[type[Exception], Kinds] = {
    httpx.ConnectError: DOWN,
    httpx.ConnectTimeout: DOWN,
    httpx.PoolTimeout: DOWN,
    httpx.ProxyError: DOWN,
    httpx.ReadTimeout: LOST,
    httpx.WriteTimeout: LOST,
    httpx.ReadError: LOST,
    httpx.WriteError: LOST,
    httpx.CloseError: LOST,
    httpx.RemoteProtocolError: LOST,
    httpx.DecodingError: LOST,
    httpx.TooManyRedirects: SETUP,
    httpx.LocalProtocolError: SETUP,
    httpx.UnsupportedProtocol: SETUP,
}

ANSWERS: list[tuple[int, Any, Kinds]] = [
    (301, "", SETUP),
    (400, {"message": "bad"}, FINAL),
    (401, {"message": "who?"}, SETUP),
    (402, "", SETUP),
    (403, {"error": {"message": "no"}}, SETUP),
    (404, "", FINAL),
    (408, "", LOST),
    (409, "", FINAL),
    (410, "", FINAL),
    (413, "", FINAL),
    (418, "<html>teapot</html>", FINAL),
    (422, {"detail": "no"}, FINAL),
    (425, "", LOST),
    (429, "", PASSING),
    (500, {"error": "oops"}, LOST),
    (502, "<html>bad</html>", LOST),
    (503, "", LOST),
    (504, "", LOST),
    (200, "not json", LOST),
    (200, "[1]", LOST),
]
"""What all services answer alike. A service's tests add what it says in ways of its own."""


def leaves(kind: type[Exception]) -> list[type[Exception]]:
    """The errors below one that have none below them."""
    below = [leaf for sub in kind.__subclasses__() for leaf in leaves(sub)]
    return below or [kind]


def failing(kind: type[Exception], words: str) -> Handler:
    """A network on which every request fails like this; the error repeats ``words`` and the address."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise cast("Any", kind)(f"{words} {request.url}", request=request)

    return handler


def answering(status: int, body: Any, headers: dict[str, str] | None = None) -> Handler:
    """A network on which everything is answered alike."""
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/html" if text.startswith("<") else "application/json"
    return lambda _: httpx.Response(status, text=text, headers={"content-type": kind, **(headers or {})})


async def fails(
    call: Awaitable[object], kind: type[PressroomError] | None, *secrets: str, where: str = "'mine'"
) -> None:
    """The call fails as ``check_caught`` wants it; without a kind it does not."""
    if kind is None:
        await call
        return
    with pytest.raises(PressroomError) as caught:
        await call
    check_caught(caught, kind, *secrets, where=where)


def check_caught(
    caught: pytest.ExceptionInfo[PressroomError],
    kind: type[PressroomError] | None,
    *secrets: str,
    where: str = "'mine'",
) -> None:
    """The error is exactly of this class, names its connection, shows no secret and has no foreign cause."""
    assert type(caught.value) is kind
    assert where in str(caught.value)
    assert caught.value.__cause__ is None
    assert not any(secret in f"{caught.value!r} {caught.value}" for secret in secrets)


def picture(width: int = 40, height: int = 30, kind: str = "PNG", **changes: Any) -> Picture:
    """A small picture."""
    out = io.BytesIO()
    Image.new("RGBA" if kind == "PNG" else "RGB", (width, height), "teal").save(out, kind)
    return Picture(**{"data": out.getvalue(), "media_type": f"image/{kind.lower()}", **changes})
