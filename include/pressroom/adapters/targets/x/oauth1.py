"""OAuth 1.0a (RFC 5849) for requests whose body is not signed: JSON, multipart, or none."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote

import httpx


@dataclass(frozen=True)
class Keys:
    """What an application and a user prove themselves with."""

    consumer_key: str
    consumer_secret: str = field(repr=False)
    token: str = field(repr=False)
    token_secret: str = field(repr=False)


class OAuth1(httpx.Auth):
    """Signs each request with HMAC-SHA1, which is what the services that use this protocol take."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with its Authorization."""
        request.headers["Authorization"] = authorization(
            self._keys, request.method, request.url, secrets.token_hex(16), int(time.time())
        )
        yield request


def authorization(keys: Keys, method: str, url: httpx.URL, nonce: str, timestamp: int) -> str:
    """The header's value. ``timestamp``: seconds since 1970."""
    own = {
        "oauth_consumer_key": keys.consumer_key,
        "oauth_nonce": nonce,
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(timestamp),
        "oauth_token": keys.token,
        "oauth_version": "1.0",
    }
    query = parse_qsl(url.query.decode("ascii"), keep_blank_values=True)
    pairs = sorted((_quoted(name), _quoted(value)) for name, value in [*own.items(), *query])
    base = "&".join(
        [
            method.upper(),
            _quoted(str(url.copy_with(query=None, fragment=None))),
            _quoted("&".join(f"{name}={value}" for name, value in pairs)),
        ]
    )
    key = f"{_quoted(keys.consumer_secret)}&{_quoted(keys.token_secret)}"
    digest = hmac.new(key.encode("ascii"), base.encode("ascii"), hashlib.sha1).digest()
    own["oauth_signature"] = base64.b64encode(digest).decode("ascii")
    return "OAuth " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in sorted(own.items()))


def _quoted(text: str) -> str:
    return quote(text, safe="-._~")
