"""An account on X: what a connection says, and how its requests prove their right."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar, Self

import httpx
from authlib.oauth1 import ClientAuth
from pydantic import Field, model_validator

from pressroom.adapters.connection import ApiSettings, HeaderSecret


class _OAuth1(httpx.Auth):
    """OAuth 1.0a: signs method, address and query of each request. No body of X's API is a form.

    authlib's own class for httpx drops such a body, or signs a hash of it that X does not ask for.
    """

    def __init__(self, keys: ClientAuth) -> None:
        self._keys = keys

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with its Authorization."""
        _, signed, _ = self._keys.sign(request.method, str(request.url), {}, b"")
        request.headers.update(signed)
        yield request


class XSettings(ApiSettings):
    """One connection. ``password``: the user's access token.

    With consumer_key, consumer_secret and token_secret in extra it is one of OAuth 1.0a, which does not
    expire; without, a bearer token of OAuth 2.0 with tweet.read, tweet.write, users.read and media.write,
    which X ends after two hours. ``look_back_days``: how far ``find`` looks; X charges for what it reads.
    """

    home: ClassVar[str] = "https://api.x.com"

    password: HeaderSecret
    consumer_key: str = ""
    consumer_secret: HeaderSecret | None = None
    token_secret: HeaderSecret | None = None
    made_with_ai: bool = Field(default=False, description="tell readers that media are made by AI")
    look_back_days: int = Field(default=7, ge=1, le=3650)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        secrets = [bool(secret) for secret in (self.consumer_key, self.consumer_secret, self.token_secret)]
        if any(secrets) and not all(secrets):
            raise ValueError("consumer_key, consumer_secret and token_secret in extra belong together")
        if all(secrets) and not self.base_url.startswith("https:"):
            raise ValueError("requests are signed for https only: host must be an https address")
        return self

    @property
    def headers(self) -> dict[str, str]:
        """The token, where requests are not signed."""
        return {} if self.auth else {"Authorization": f"Bearer {self.password.get_secret_value()}"}

    @property
    def auth(self) -> httpx.Auth | None:
        """What signs requests; None: the token alone is sent."""
        if self.consumer_secret is None or self.token_secret is None:
            return None
        secrets = (self.consumer_secret, self.password, self.token_secret)
        consumer, token, user = (secret.get_secret_value() for secret in secrets)
        return _OAuth1(ClientAuth(self.consumer_key, consumer, token=token, token_secret=user))
