"""The base of targets that are services: what each keeps of its connection, and the client that it closes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, Protocol, Self, TypeVar

import httpx


class TargetSettings(Protocol):
    """What every target's connection says. ``settle_seconds`` as ``Target`` has it."""

    @property
    def connection(self) -> str: ...

    @property
    def settle_seconds(self) -> float: ...


class Closable(Protocol):
    """A client of the service."""

    async def close(self) -> None:
        """Let go of its connections."""
        ...


Settings = TypeVar("Settings", bound=TargetSettings)
Client = TypeVar("Client", bound=Closable)


class ServiceTarget(ABC, Generic[Settings, Client]):
    """A target behind one client, ``_api``. Use as an async context manager, which closes the client.

    ``transport`` takes the network's place in tests, ``now`` the clock's.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.connection = settings.connection
        self.settle_seconds = settings.settle_seconds
        self._settings = settings
        self._where = f"connection {settings.connection!r}"
        self._now = now
        self._api = self._client(settings, transport)

    @staticmethod
    @abstractmethod
    def _client(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> Client:
        """The client of the connection."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.close()
