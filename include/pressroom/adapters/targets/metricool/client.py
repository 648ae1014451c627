"""The client of Metricool's API. What Metricool says in ways of its own::

    400 for a time that is over          PastDate
    an answer of the simulator, or none  ConfigurationError when the connection says otherwise

Everything else is as ``adapters.http.errors`` says.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self, Unpack
from urllib.parse import urljoin, urlsplit

import httpx
from pydantic import Field

from pressroom.adapters.connection import ApiSettings, ConnectionFields, HeaderSecret, secret_of
from pressroom.adapters.http.errors import ErrorRow
from pressroom.adapters.http.service import Json, Service, ServiceClient
from pressroom.domain.errors import ConfigurationError, PastDate, PermanentError
from pressroom.domain.social import Platform

METRICOOL_URL = "https://app.metricool.com/api"
SIMULATOR_TOKEN = "simulator"

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


class MetricoolSettings(ApiSettings):
    """One connection. ``password``: the token, which Metricool's account settings show.

    ``user_id`` and ``blog_id``: Metricool's numbers of the user, which ``login`` can hold, and of the brand.
    """

    home: ClassVar[str] = METRICOOL_URL

    password: HeaderSecret
    user_id: int = Field(ge=1)
    blog_id: int = Field(ge=1)
    simulator: bool = Field(default=False, description="the other side is the simulator, and so is the clock")
    pinterest_board: str = Field(default="", description="id of the board for pins that name none")
    network: Platform | None = Field(default=None, description="where posts go that name no network")

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> Self:
        """As ApiSettings; the simulator needs no token."""
        extra = dict(fields.get("extra") or {})
        if (login := fields.get("login")) and "user_id" not in extra:
            extra["user_id"] = login
        if extra.get("simulator") is True and not secret_of(fields):
            fields["password"] = SIMULATOR_TOKEN
        fields["extra"] = extra
        return super().from_connection(connection_id, **fields)

    @property
    def headers(self) -> dict[str, str]:
        """What a request proves its right with: a user token, or a JWT as a bearer token."""
        token = self.password.get_secret_value()
        return {"Authorization": f"Bearer {token}"} if _JWT.fullmatch(token) else {"X-Mc-Auth": token}

    @property
    def origin(self) -> str:
        """The base URL without its path."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"


SIMULATOR_HEADER = "X-Pressroom-Simulator"

_ROWS = (ErrorRow(PastDate, {400}, words=r"\bin the past\b"),)


class MetricoolClient(ServiceClient):
    """A client of one brand. Use as an async context manager; ``transport`` takes the network's place."""

    def __init__(
        self, settings: MetricoolSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._api = Service(
            "Metricool",
            settings,
            headers={**settings.headers, "Accept": "application/json, text/plain"},
            params={"userId": settings.user_id, "blogId": settings.blog_id},
            rows=_ROWS,
            transport=transport,
        )
        self._where = self._api.where
        self.strange = self._api.strange

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON that a path answers with."""
        return self._api.json(await self._request("GET", path, params=params))

    async def text(self, path: str, **params: Any) -> str:
        """What a path answers with, as it is."""
        return (await self._request("GET", path, params=params)).text

    async def create(self, path: str, body: Json) -> Any:
        """POST, and the JSON of the answer. Raises UnknownOutcome when the server may have taken it."""
        answer = await self._request("POST", path, changes=True, json=body)
        return self._api.json(answer, changes=True)

    async def delete(self, path: str) -> Any:
        """DELETE, and the JSON of the answer; None when the server knows no such thing."""
        return await self._if_there("DELETE", path)

    async def get_if_there(self, path: str) -> Any:
        """The JSON that a path answers with; None when there is nothing."""
        return await self._if_there("GET", path)

    async def pages(self, path: str, **params: Any) -> list[Json]:
        """Every entry of a list, over all its pages. A list that cannot be read whole is an error."""

        async def page(following: str) -> tuple[list[Json], str]:
            answer = await (self.get(self._next(following)) if following else self.get(path, **params))
            place = answer.get("page") if isinstance(answer, dict) else None
            return self.listed(answer), str((place.get("next") if isinstance(place, dict) else "") or "")

        return [entry async for entry in self._api.pages(page)]

    def listed(self, answer: Any) -> list[Json]:
        """The entries of an answer that is a list, bare or as ``data``. Raises TransientError for others."""
        entries = answer.get("data") if isinstance(answer, dict) else answer
        if entries is None and isinstance(answer, dict) and "data" in answer:
            return []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self.strange()
        return list(entries)

    async def _if_there(self, method: str, path: str) -> Any:
        answer = await self._request(method, path, allow=(404,))
        return None if answer.status_code == 404 else self._api.json(answer)

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = await self._api.request(method, path, **options)
        self._check_kind(answer)
        return answer

    def _check_kind(self, answer: httpx.Response) -> None:
        """What comes from a simulator must be known to: its results are labelled, its clock is another."""
        simulated = SIMULATOR_HEADER in answer.headers
        if simulated and not self._settings.simulator:
            raise ConfigurationError(f'{self._where}: this is the simulator: put "simulator": true in extra')
        if not simulated and self._settings.simulator and answer.is_success:
            raise ConfigurationError(
                f"{self._where}: extra says that this is the simulator, and the server is not one"
            )

    def _next(self, following: str) -> str:
        """The URL of the next page. The token goes to the connection's own server only."""
        url = urljoin(f"{self._settings.base_url}/", following)
        path = following.startswith("/") or "://" in following
        if not path or urlsplit(url)[:2] != urlsplit(self._settings.base_url)[:2]:
            raise PermanentError(f"{self._where}: Metricool's list goes on at a place that is not understood")
        return url
