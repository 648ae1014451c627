"""Sample documents of sources, as a server would answer with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.http.stranger_answer import Fetched
from pressroom.domain.packets import FindClaimed
from tests.support.web_server import Web

SAMPLES = Path(__file__).parents[1] / "data" / "sources"
HOST = "site.test"


def sample(name: str) -> bytes:
    """A document of tests/data/sources."""
    return (SAMPLES / name).read_bytes()


def answered(body: bytes | str, url: str = "https://site.test/feed", media_type: str = "") -> Fetched:
    """A body as it was fetched."""
    return Fetched(url, 200, media_type, "", body if isinstance(body, bytes) else body.encode())


def reaching(web: Web) -> SafeHttp:
    """A client for which site.test is the test server."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    return SafeHttp(resolve=resolve, allow_hosts={f"{HOST}:{web.port}", f"www.{HOST}:{web.port}"})


def knowing(*claimed: str) -> FindClaimed:
    """A flow that has taken up these."""

    async def known(ids: Sequence[str], also: Sequence[str] = ()) -> Collection[str]:
        return set(claimed) & {*ids, *also}

    return known
