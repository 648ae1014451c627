"""An account at a server of the AT protocol: its settings, its session, and calls in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import httpx
from pydantic import AfterValidator, Field

from pressroom.adapters.connection import ApiSettings, HeaderSecret
from pressroom.adapters.http.errors import ErrorRow
from pressroom.adapters.http.service import Json, Service, ServiceClient
from pressroom.adapters.targets.text import is_web_link
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError


class NoRecord(PermanentError):
    """There is no record under the key."""


class _SessionOver(TransientError):
    """The session's token is not taken any more."""


# The protocol answers much with 400, and says by a name what it is.
_ROWS = (
    ErrorRow(_SessionOver, code="ExpiredToken|InvalidToken"),
    ErrorRow(ConfigurationError, code="AccountTakedown|AccountDeactivated|AccountSuspended"),
    ErrorRow(NoRecord, code="RecordNotFound"),
)


class BlueskySettings(ApiSettings):
    """One connection. ``login``: the account's handle or e-mail address; ``password``: an app password.

    The host is that of the account's server (PDS), empty for Bluesky's own. ``app_url``: where people read.
    """

    home: ClassVar[str] = "https://bsky.social"

    login: str = Field(min_length=1)
    password: HeaderSecret
    app_url: Annotated[str, AfterValidator(is_web_link)] = "https://bsky.app"


@dataclass(frozen=True)
class BlueskySession:
    """``did``: the account's lasting name; ``handle``: the one that people read."""

    did: str
    handle: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What a request proves its right with."""
        return {"Authorization": f"Bearer {self.access}"}


class BlueskyClient(ServiceClient):
    """Calls as the account. ``transport`` takes the network's place in tests."""

    def __init__(
        self, settings: BlueskySettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._api = Service("Bluesky", settings, rows=_ROWS, resets=("ratelimit-reset",), transport=transport)
        self.where = self._api.where
        self.strange = self._api.strange
        self._session: BlueskySession | None = None
        self._signing_in = asyncio.Lock()

    async def sign_in(self) -> None:
        """Begin a new session. Raises ConfigurationError when the server does not let the account in."""
        self._session = None
        await self.session()

    async def session(self, over: BlueskySession | None = None) -> BlueskySession:
        """The session; another one when there is none yet, or it is the one that is ``over``.

        Servers permit few sign-ins (Bluesky: 30 in five minutes), so calls side by side share one.
        """
        async with self._signing_in:
            if self._session is None or self._session is over:
                self._session = await (self._renewed(over) if over else self._created())
            return self._session

    async def call(self, method: str, name: str, **options: Any) -> Json:
        """The answer to one of the protocol's methods; a session that is over is renewed once.

        ``options`` as ``Service.request`` has them. Raises NoRecord where the record asked for is not there.
        """
        session = await self.session()
        try:
            return await self._in(session, method, name, **options)
        except _SessionOver:
            session = await self.session(over=session)
        try:
            return await self._in(session, method, name, **options)
        except _SessionOver as error:
            self._session = None
            raise TransientError(str(error)) from None

    async def _in(
        self,
        session: BlueskySession,
        method: str,
        name: str,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Json:
        own = {**(headers or {}), **session.headers}
        return await self._api.call(method, f"/xrpc/{name}", headers=own, **options)

    async def _renewed(self, over: BlueskySession) -> BlueskySession:
        own = {"Authorization": f"Bearer {over.refresh}"}
        try:
            answer = await self._api.call("POST", "/xrpc/com.atproto.server.refreshSession", headers=own)
        except (_SessionOver, PermanentError):
            return await self._created()
        return self._read(answer)

    async def _created(self) -> BlueskySession:
        password = self._settings.password.get_secret_value()
        body = {"identifier": self._settings.login, "password": password}
        try:
            answer = await self._api.call("POST", "/xrpc/com.atproto.server.createSession", json=body)
        except _SessionOver as error:
            raise ConfigurationError(str(error)) from None
        return self._read(answer)

    def _read(self, answer: Json) -> BlueskySession:
        names = ("did", "handle", "accessJwt", "refreshJwt")
        did, handle, access, refresh = (str(answer.get(name) or "") for name in names)
        if not (did and access and refresh):
            raise self.strange()
        self._api.hide(access, refresh)
        if answer.get("active") is False:  # it can sign in, and do little else
            raise ConfigurationError(f"{self.where}: login: the account is not active at its server")
        return BlueskySession(did, handle, access, refresh)
