"""The page over a real database, as a browser sees it: a session, its cookies, and forms with their token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from pressroom.api.kit.limits.admission import Admission
from pressroom.page.app import build_page_app
from pressroom.page.kit.tokens import COOKIE
from tests.support.control_world import Control

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
        data = {"form_token": self.client.cookies[COOKIE], **fields}
        answer = await self.answer("POST", path, user, data=data)
        assert answer.status_code == expect, (answer.status_code, answer.text[:2000])
        return answer.text

    async def answer(self, method: str, path: str, user: str | None = "ed", **more: Any) -> httpx.Response:
        """Any answer."""
        headers = {"X-Cookie": "1", "Sec-Fetch-Site": "same-origin", **more.pop("headers", {})}
        if user is not None:
            headers["X-User"] = user
        return await self.client.request(method, path, headers=headers, **more)


@asynccontextmanager
async def page_world(control: Control) -> AsyncIterator[Browser]:
    """The page beside that API: the same accounts, the same stand-in for Airflow."""
    APP.state.plane, APP.state.admission = control.plane, Admission("100000/minute")
    transport = httpx.ASGITransport(app=APP)
    async with httpx.AsyncClient(transport=transport, base_url="http://pressroom") as client:
        yield Browser(client, control)
