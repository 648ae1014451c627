"""The Bluesky adapter against a real server of the AT protocol.

PRESSROOM_BLUESKY_PDS is the server's URL, PRESSROOM_BLUESKY_LOGIN and PRESSROOM_BLUESKY_PASSWORD are those of
an account. There are no tests here unless a server is named: they would have nothing to talk to.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets

import pytest

from pressroom.adapters.targets.bluesky.account import BlueskySettings
from pressroom.adapters.targets.bluesky.target import POST, BlueskyArguments, BlueskyTarget, record_key
from pressroom.domain.errors import ConfigurationError, PermanentError
from pressroom.domain.publishing import Piece
from tests.support.target_errors import picture

SERVER = os.environ.get("PRESSROOM_BLUESKY_PDS", "")


def target(password: str | None = None) -> BlueskyTarget:
    login = os.environ["PRESSROOM_BLUESKY_LOGIN"]
    password = password or os.environ["PRESSROOM_BLUESKY_PASSWORD"]
    return BlueskyTarget(BlueskySettings.from_connection("mine", host=SERVER, login=login, password=password))


if SERVER:

    async def test_a_post_is_published_once_found_changed_and_taken_back() -> None:
        key = f"test:{secrets.token_hex(8)}"
        told = BlueskyArguments(text="Grüße 🎉 #écologie https://example.com/a_(b).")
        mine = Piece(key, told, [picture(alt="a square")])
        async with target() as bluesky:
            await bluesky.check()
            assert await bluesky.find(mine) is None
            placed = await asyncio.gather(*(bluesky.publish(mine) for _ in range(4)))
            assert len(set(placed)) == 1
            assert await bluesky.find(mine) == placed[0]

            card = BlueskyArguments(text="Changed", link="https://example.com", link_title="Bread")
            assert await bluesky.publish(dataclasses.replace(mine, arguments=card)) == placed[0]
            record = await bluesky._record(record_key(key))
            assert record is not None
            assert record["value"]["text"] == "Changed"

            assert await bluesky.unpublish(placed[0].external_id)
            assert await bluesky.unpublish(placed[0].external_id)
            assert await bluesky.find(mine) is None

    async def test_a_session_that_is_not_taken_any_more_is_replaced() -> None:
        mine = Piece("test:none", BlueskyArguments(text="x"))
        async with target() as bluesky:
            await bluesky.check()
            good = await bluesky._api.session()
            for broken in ({"access": "x.y.z"}, {"access": "x.y.z", "refresh": "x.y.z"}):
                bluesky._api._session = dataclasses.replace(good, **broken)
                assert await bluesky.find(mine) is None

    async def test_what_the_server_refuses_is_told() -> None:
        async with target() as bluesky:
            repo = (await bluesky._api.session()).did
            record = {"$type": POST, "text": "x" * 301, "createdAt": "2026-01-01T00:00:00.000Z"}
            body = {"repo": repo, "collection": POST, "rkey": record_key("test:long"), "record": record}
            with pytest.raises(PermanentError, match="grapheme"):
                await bluesky._api.call("POST", "com.atproto.repo.putRecord", json=body)
        async with target("not-the-password") as stranger:
            with pytest.raises(ConfigurationError, match="Invalid identifier or password"):
                await stranger.check()
