"""X as a target: how a piece becomes a post, and is found again."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
from pydantic import Field

from pressroom.adapters.http.errors import ErrorRow
from pressroom.adapters.http.service import Json, Service
from pressroom.adapters.targets.pictures import Fitted, fitted
from pressroom.adapters.targets.service import ServiceTarget
from pressroom.adapters.targets.text import plain, post_of
from pressroom.adapters.targets.x.account import XSettings
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
from pressroom.domain.platforms import length_of
from pressroom.domain.publishing import NO_SETTINGS, Content, Piece, Placed, TargetArguments, TargetLimits
from pressroom.domain.social import Platform

TEXT = 280

_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_OWN_MEDIA = re.compile(r"/status/\d+/(photo|video)/\d+$")

ALT = 1000
_PAGE = 100
_CHECKS = 20

_FIELDS = ("post.fields", "tweet.fields")
"""How X calls the fields of a post, in its present specification and in earlier ones."""


def weight(text: str) -> int:
    """How long X takes a text to be: a link counts 23, emoji and CJK 2."""
    return length_of(Platform.TWITTER, text)


def comparable(text: str) -> str:
    """A text as two copies of it are compared: links without what X adds to them or leaves out."""
    return _LINK.sub(
        lambda link: re.sub(r"^https?://", "", link.group(), flags=re.I).rstrip("/"), plain(text)
    )


def expanded(post: Mapping[str, Any]) -> str:
    """A post's text with the links that its author wrote, and without the ones to its own pictures."""
    text = html.unescape(str(post.get("text") or ""))
    entities = post.get("entities")
    urls = entities.get("urls") if isinstance(entities, dict) else None
    for url in urls if isinstance(urls, list) else []:
        short, long = (str(url.get(name) or "") for name in ("url", "expanded_url"))
        own = bool(url.get("media_key")) or bool(_OWN_MEDIA.search(long))
        text = text.replace(short, "" if own else long) if short and (own or long) else text
    return text


class _Duplicate(PermanentError):
    """The account has posted this text already."""


# X answers 403 for the application (its rights, its plan), with a type of its own, and for one post.
_ROWS = (
    ErrorRow(_Duplicate, {403}, words="duplicate", changes=True),
    ErrorRow(ConfigurationError, {403}, code=".*/problems/.*", changes=True),
    ErrorRow(PermanentError, {403}, changes=True),
)


class XArguments(TargetArguments):
    """A post."""

    limits: ClassVar = TargetLimits(
        text_chars=TEXT,
        length=weight,
        counted="characters (links count 23, emoji and CJK 2)",
        pictures=4,
        picture_bytes=5_000_000,
        picture_types=("image/jpeg", "image/png", "image/webp"),
        requests_per_minute=6,
    )

    # By characters the schema is a little stricter than X, which counts a long link for less.
    text: str = Field(
        min_length=1,
        description=f"the whole post, links and hashtags in it; at most {TEXT}, where emoji and CJK count 2",
        json_schema_extra={"maxLength": TEXT},
    )


class XTarget(ServiceTarget[XSettings, Service]):
    """A Target."""

    handler = "x"
    description = "A post on X (Twitter): one short text, seen at once, with up to four pictures."
    arguments = XArguments

    _user = ""
    _fields = _FIELDS[0]

    @staticmethod
    def _client(settings: XSettings, transport: httpx.AsyncBaseTransport | None) -> Service:
        return Service(
            "X",
            settings,
            headers=settings.headers,
            auth=settings.auth,
            rows=_ROWS,
            resets=("x-rate-limit-reset", "x-user-limit-24hour-reset", "x-app-limit-24hour-reset"),
            transport=transport,
        )

    def from_content(self, content: Content) -> XArguments:
        """Title and beginning of the content, with its link."""
        return XArguments(text=post_of(content, TEXT, weight))

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """Raises ConfigurationError when the token is refused."""
        self._user = ""
        await self._me()

    async def publish(self, piece: Piece[XArguments]) -> Placed:
        """Post. Raises UnknownOutcome when it may be out: ``find`` tells.

        A text that X refuses as a duplicate is there already, and that post is the answer.
        """
        ready = [await fitted(picture, XArguments.limits) for picture in piece.pictures]
        media = [await self._upload(picture) for picture in ready]
        body: Json = {"text": piece.arguments.text}
        if media:
            body["media"] = {"media_ids": media}
            body |= {"made_with_ai": True} if self._settings.made_with_ai else {}
        try:
            answer = await self._api.call("POST", "/2/tweets", changes=True, json=body)
        except _Duplicate as error:
            # However old: X has it, which is what counts.
            existing = await self._search(piece.arguments.text, since=None)
            if existing is None:
                raise PermanentError(f"{error}; and it is not among the account's posts") from None
            return existing
        data = answer.get("data")
        if not isinstance(data, dict) or not data.get("id"):
            raise self._api.strange(changes=True)
        return _placed(data)

    async def find(self, piece: Piece[XArguments]) -> Placed | None:
        """The account's latest post with this text, of the last ``look_back_days``."""
        since = self._now() - timedelta(days=self._settings.look_back_days)
        return await self._search(piece.arguments.text, since)

    async def unpublish(self, external_id: str) -> bool:
        """Delete the post. True too when it is not there."""
        if not external_id.isdecimal():
            raise PermanentError(f"{self._where}: {external_id[:40]!r} is not the id of a post")
        answer = await self._api.request("DELETE", f"/2/tweets/{external_id}", allow=(404,))
        if answer.status_code == 404:
            return True
        try:
            deleted = answer.json()["data"]["deleted"]
        except (ValueError, LookupError, TypeError):
            raise self._api.strange() from None
        if deleted is not True:
            raise TransientError(f"{self._where}: X has not deleted post {external_id}")
        return True

    async def _me(self) -> str:
        """The user's id. Raises ConfigurationError when X does not let the token see it."""
        if not self._user:
            try:
                answer = await self._api.call("GET", "/2/users/me")
            except ConfigurationError:
                raise
            except PermanentError as error:
                raise ConfigurationError(str(error)) from None
            data = answer.get("data")
            if not isinstance(data, dict) or not str(data.get("id", "")).isdecimal():
                raise self._api.strange()
            self._user = str(data["id"])
        return self._user

    async def _search(self, text: str, since: datetime | None) -> Placed | None:
        sought = comparable(text)
        async for post in self._posts(since):
            if comparable(expanded(post)) == sought:
                return _placed(post)
        return None

    async def _posts(self, since: datetime | None) -> AsyncIterator[Json]:
        """The user's own posts, latest first: all that X still lists."""
        path = f"/2/users/{await self._me()}/tweets"
        params: dict[str, Any] = {"max_results": _PAGE, "exclude": "retweets"}
        if since is not None:
            params["start_time"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

        async def page(token: str) -> tuple[Any, str]:
            answer = await self._page(path, params | ({"pagination_token": token} if token else {}))
            posts = answer.get("data", [])  # left out when there are none
            if not posts and answer.get("errors"):
                # With status 200. Read as an empty timeline, it would have the post sent a second time.
                raise TransientError(f"{self._where}: X does not show the account's posts")
            meta = answer.get("meta")
            return posts, str((meta.get("next_token") if isinstance(meta, dict) else "") or "")

        async for post in self._api.pages(page):
            if "id" not in post:
                raise self._api.strange()
            yield post

    async def _page(self, path: str, params: Mapping[str, Any]) -> Json:
        try:
            return await self._api.call("GET", path, params={**params, self._fields: "entities"})
        except PermanentError as error:
            other = _FIELDS[1 - _FIELDS.index(self._fields)]
            if isinstance(error, ConfigurationError) or self._fields not in str(error):
                raise
            self._fields = other
            return await self._api.call("GET", path, params={**params, other: "entities"})

    async def _upload(self, picture: Fitted) -> str:
        """The picture's id at X. It shows nowhere until it is in a post, so trying again does no harm."""
        answer = await self._api.call(
            "POST",
            "/2/media/upload",
            data={"media_category": "tweet_image"},
            files={"media": ("picture", picture.data, picture.media_type)},
        )
        data = answer.get("data")
        if not isinstance(data, dict) or not str(data.get("id", "")).isdecimal():
            raise self._api.strange()
        media = str(data["id"])
        await self._processed(media, data.get("processing_info"))
        if picture.alt.strip():
            body = {"id": media, "metadata": {"alt_text": {"text": picture.alt.strip()[:ALT]}}}
            await self._api.call("POST", "/2/media/metadata", json=body)
        return media

    async def _processed(self, media: str, info: Any) -> None:
        """Wait until X has worked on a picture that it does not take at once."""
        for _ in range(_CHECKS):
            state = info.get("state") if isinstance(info, dict) else "succeeded"
            if state == "failed":
                raise PermanentError(f"{self._where}: X cannot use one of the pictures")
            if state not in ("pending", "in_progress"):
                return
            wait = info.get("check_after_secs") if isinstance(info, dict) else None
            await asyncio.sleep(min(float(wait or 1), 10.0))
            params = {"command": "STATUS", "media_id": media}
            data = (await self._api.call("GET", "/2/media/upload", params=params)).get("data")
            info = data.get("processing_info") if isinstance(data, dict) else None
        raise TransientError(f"{self._where}: X is still working on a picture")


def _placed(post: Json) -> Placed:
    return Placed(str(post["id"]), f"https://x.com/i/web/status/{post['id']}")
