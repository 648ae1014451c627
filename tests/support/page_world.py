"""The page over a real database, as a browser sees it: a session, its cookies, and forms with their token."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from pressroom.api.kit.limits.admission import Admission
from pressroom.page.app import build_page_app
from pressroom.page.kit.tokens import COOKIE, FIELD
from tests.support.control_world import Control, StandInPlane
from tests.support.served import served

NOTHING: Any = None
APP = build_page_app(NOTHING, Admission())


class Browser:
    """A browser in which somebody is logged in to Airflow."""

    def __init__(self, client: httpx.AsyncClient, control: Control) -> None:
        self.client, self.control = client, control

    async def open(self, path: str, user: str | None = "ed", *, expect: int = 200) -> str:
        """The page's HTML."""
        answer = await self.answer("GET", path, user)
        assert answer.status_code == expect, (answer.status_code, answer.text[:2000])
        return answer.text

    async def send(
        self, page: str, path: str, user: str | None = "ed", *, expect: int = 200, **fields: Any
    ) -> str:
        """Send a form of the page to a path, as the browser does."""
        await self.open(page, user)
        answer = await self.post(path, user, **fields)
        assert answer.status_code == expect, (answer.status_code, answer.text[:2000])
        return answer.text

    async def post(
        self, path: str, user: str | None = "ed", *, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        """Any answer to a form, sent with the token that the browser got with a page."""
        data = {FIELD: self.client.cookies[COOKIE], **fields}
        return await self.answer("POST", path, user, data=data, headers=headers or {})

    async def follow(self, link: str) -> str:
        """Open a shared link as somebody without a login. Returns where it leads, or the page that refuses
        it.
        """
        address, _, secret = link.partition("#")
        assert address.endswith("/link")
        await self.open("/link", None)
        answer = await self.post("/link", None, secret=secret)
        return answer.headers["Location"] if answer.status_code == 303 else answer.text

    async def answer(self, method: str, path: str, user: str | None = "ed", **more: Any) -> httpx.Response:
        """Any answer."""
        headers = {"X-Cookie": "1", "Sec-Fetch-Site": "same-origin", **more.pop("headers", {})}
        if user is not None:
            headers["X-User"] = user
        return await self.client.request(method, path, headers=headers, **more)


def _app_over(plane: StandInPlane) -> FastAPI:
    APP.state.plane, APP.state.admission = plane, Admission("100000/minute")
    return APP


@asynccontextmanager
async def page_world(control: Control) -> AsyncIterator[Browser]:
    """The page beside that API: the same accounts, the same stand-in for Airflow."""
    transport = httpx.ASGITransport(app=_app_over(control.plane))
    async with httpx.AsyncClient(transport=transport, base_url="http://pressroom") as client:
        yield Browser(client, control)


@contextmanager
def served_page(plane: StandInPlane) -> Iterator[str]:
    """The page behind a real port, for real browsers. Yields its URL."""
    with served(_app_over(plane)) as url:
        yield url


def main_text(html: str) -> str:
    """The text of a page's main part, white space squeezed."""
    main = html[html.index("<main") : html.index("</main>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main))


def content_hash_in(html: str) -> str:
    """The version of a piece that a page shows, as its forms send it."""
    found = re.search(r'name="content_hash" value="([0-9a-f]{64})"', html)
    assert found, html[:2000]
    return found[1]
