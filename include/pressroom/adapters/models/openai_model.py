"""What text and image models behind the SDK share: the client, and what is learned of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import openai

from pressroom.adapters.http.errors import scrub
from pressroom.adapters.models.dialect import ProcessDialects
from pressroom.adapters.models.offered import check_offered
from pressroom.adapters.models.openai_client import open_client
from pressroom.adapters.models.settings import ConnectionSettings, ending
from pressroom.domain.model import Dialects
from pressroom.domain.prices import ModelKind


class OpenAIModel:
    """A model of a connection. An async context manager, for the event loop that uses it.

    ``model`` replaces the connection's; ``dialects`` keeps what is learned, None: as long as the model is
    open. Raises ConfigurationError without a model or a required key.
    """

    kind: ClassVar[ModelKind]

    def __init__(
        self, settings: ConnectionSettings, model: str | None = None, dialects: Dialects | None = None
    ) -> None:
        self.settings = settings
        self.connection = settings.name
        self.model = settings.chosen(model)
        self._secret = settings.key(required=settings.is_openai)
        self._dialects = dialects or ProcessDialects()
        self._client: openai.AsyncOpenAI | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def check(self) -> str:
        """See that the key is taken, and that the model is offered and lasts; see ``check_offered``."""
        note = await check_offered(
            self._openai(), self.model, connection=self.connection, secret=self._secret
        )
        return "; ".join(filter(None, (ending(self.settings, self.kind, self.model), note)))

    @property
    def client(self) -> openai.AsyncOpenAI:
        """The SDK's client."""
        return self._openai()

    @property
    def secret(self) -> str:
        """The key, which no text may show."""
        return self._secret

    def hidden(self, text: str) -> str:
        """A text of the server, fit to be shown."""
        return scrub(text, self._secret)

    def _openai(self) -> openai.AsyncOpenAI:
        if self._client is None:
            self._client = open_client(self.settings, self._secret)
        return self._client

    async def _recall(self) -> Mapping[str, Any] | None:
        """What is known of the server; None when no call has got through yet."""
        return await self._dialects.recall(self.connection, self.settings.base_url, self.model)

    async def _learn(self, learned: Mapping[str, Any]) -> None:
        await self._dialects.learn(self.connection, self.settings.base_url, self.model, learned)
