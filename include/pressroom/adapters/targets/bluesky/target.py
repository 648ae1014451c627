"""Bluesky as a target: a piece is one record, however often it is sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC
from typing import Annotated, Any, ClassVar

import httpx
import regex
from pydantic import AfterValidator, Field

from pressroom.adapters.http.service import Json
from pressroom.adapters.targets.bluesky.account import (
    BlueskyClient,
    BlueskySession,
    BlueskySettings,
    NoRecord,
)
from pressroom.adapters.targets.pictures import Fitted, fitted
from pressroom.adapters.targets.service import ServiceTarget
from pressroom.adapters.targets.text import cut, is_web_link, post_of, web_link
from pressroom.domain.errors import PermanentError
from pressroom.domain.markup.cutting import SIGN
from pressroom.domain.publishing import NO_SETTINGS, Content, Piece, Placed, TargetArguments, TargetLimits

LINK = 2048
POST = "app.bsky.feed.post"
# What our record keys are made of: no vowels and nothing like one, for servers refuse a key in which they
# read a slur.
_LETTERS = "2567bcdfghjkmnpqrstvwxz"
_KEY_LENGTH = 13
# Language, script and region. Servers refuse a post whose language is no such tag (BCP 47).
_LANGUAGE = r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?"

GRAPHEMES, BYTES = 300, 3000
_TAG_GRAPHEMES, _TAG_BYTES = 64, 640

_LINK = regex.compile(r"(?<![\w@])https?://[^\s<>\"]+", regex.IGNORECASE)
# What servers take for an address. They refuse a whole post for a link that is none.
_ADDRESS = regex.compile(r"https?://[^\s/]", regex.IGNORECASE)
_TAG = regex.compile(r"(?<!\S)[#＃](?!\ufe0f)(?=\S*[^\d\s\p{P}])[^\s#＃\u00ad\u2060\u200a-\u200d\u20e2]+")
_LAST = ".,;:!?'\"…"
_PAIRS = {")": "(", "]": "[", "}": "{"}


def record_key(key: str) -> str:
    """The record key of a piece: of the form of a timestamp (13 characters), as Bluesky asks of a post's.

    Beginning with 2, it reads as a time before 2005, which no server takes for one to come. 54 bits of it are
    the key's: among 100,000 posts of an account two are the same with a chance of one in four million.
    """
    number = int.from_bytes(hashlib.sha256(key.encode()).digest(), "big")
    letters = ["2"]
    for _ in range(_KEY_LENGTH - 1):
        number, place = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[place])
    return "".join(letters)


def _length(text: str) -> int:
    """Graphemes, or more when the bytes are nearer to their limit."""
    return max(graphemes(text), -(-len(text.encode()) * GRAPHEMES // BYTES))


class BlueskyArguments(TargetArguments):
    """A post."""

    limits: ClassVar = TargetLimits(
        text_chars=GRAPHEMES,
        length=_length,
        counted=f"characters (every {BYTES // GRAPHEMES} bytes count for one at least)",
        pictures=4,
        picture_bytes=1_000_000,
        picture_types=("image/jpeg", "image/png", "image/webp", "image/gif"),
    )

    text: str = Field(
        min_length=1,
        description=f"the post, hashtags and links in it; at most {GRAPHEMES} characters",
        json_schema_extra={"maxLength": GRAPHEMES},
    )
    link: Annotated[str, AfterValidator(is_web_link)] = Field(
        default="",
        max_length=LINK,
        description="a web page shown as a card below the text, with the first picture on it",
    )
    link_title: str = Field(default="", max_length=300, description="the card's title")
    link_description: str = Field(default="", max_length=1000, description="the card's text")
    language: str = Field(
        default="en",
        pattern=f"^{_LANGUAGE}$",
        description="the text's language, as in en or pt-BR",
    )


class BlueskyTarget(ServiceTarget[BlueskySettings, BlueskyClient]):
    """A Target."""

    handler = "bluesky"
    description = "A post on Bluesky: a short text with hashtags, up to four pictures or a card for a link."
    arguments = BlueskyArguments

    @staticmethod
    def _client(settings: BlueskySettings, transport: httpx.AsyncBaseTransport | None) -> BlueskyClient:
        return BlueskyClient(settings, transport=transport)

    def from_content(self, content: Content) -> BlueskyArguments:
        """Title and beginning of the content; its link as a card."""
        link = web_link(content.link) if len(content.link) <= LINK else ""
        language = re.match(rf"{_LANGUAGE}(?![^\W_])", content.language)
        return BlueskyArguments(
            text=post_of(content, GRAPHEMES, _length, link=False),
            link=link,
            link_title=cut(content.title, 300) if link else "",
            link_description=cut(content.excerpt, 300) if link else "",
            language=language.group() if language else "en",
        )

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """Raises ConfigurationError when the server does not let the account in."""
        await self._api.sign_in()

    async def publish(self, piece: Piece[BlueskyArguments]) -> Placed:
        """Write the post's record; a record that is there keeps its time, and takes the new text.

        Readers' apps may go on showing the first text of a post that was changed.
        """
        key = record_key(piece.key)
        before = await self._record(key)
        value = before.get("value") if before else None
        created = value.get("createdAt") if isinstance(value, dict) else None
        record: Json = {
            "$type": POST,
            "text": piece.arguments.text,
            "createdAt": created or self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "langs": [piece.arguments.language],
        }
        spans = facets(piece.arguments.text)
        record |= {"facets": spans} if spans else {}
        embed = await self._embed(piece)
        record |= {"embed": embed} if embed else {}
        session = await self._api.session()
        body = {"repo": session.did, "collection": POST, "rkey": key, "record": record}
        answer = await self._api.call("POST", "com.atproto.repo.putRecord", changes=True, json=body)
        if not answer.get("uri"):
            raise self._api.strange(changes=True)
        return self._placed(str(answer["uri"]), session, key)

    async def find(self, piece: Piece[BlueskyArguments]) -> Placed | None:
        """The record under the piece's key."""
        key = record_key(piece.key)
        record = await self._record(key)
        if record is None:
            return None
        return self._placed(str(record["uri"]), await self._api.session(), key)

    async def unpublish(self, external_id: str) -> bool:
        """Delete the record. True too when it is not there. ``external_id``: its at:// address."""
        session = await self._api.session()
        key = external_id.removeprefix(f"at://{session.did}/{POST}/")
        if key == external_id or not key or "/" in key:
            raise PermanentError(f"{self._where}: {external_id[:80]!r} is not a post of this account")
        body = {"repo": session.did, "collection": POST, "rkey": key}
        await self._api.call("POST", "com.atproto.repo.deleteRecord", json=body)
        return True

    async def _record(self, key: str) -> Json | None:
        session = await self._api.session()
        params = {"repo": session.did, "collection": POST, "rkey": key}
        try:
            record = await self._api.call("GET", "com.atproto.repo.getRecord", params=params)
        except NoRecord:
            return None
        if not record.get("uri"):
            raise self._api.strange()
        return record

    async def _embed(self, piece: Piece[BlueskyArguments]) -> Json | None:
        """The card of the link, with the first picture; else the pictures."""
        arguments = piece.arguments
        pictures = piece.pictures[:1] if arguments.link else piece.pictures
        ready = [await fitted(picture, BlueskyArguments.limits) for picture in pictures]
        blobs = [await self._upload(picture) for picture in ready]
        if arguments.link:
            card: Json = {
                "uri": arguments.link,
                "title": arguments.link_title or arguments.link,
                "description": arguments.link_description,
            }
            card |= {"thumb": blobs[0]} if blobs else {}
            return {"$type": "app.bsky.embed.external", "external": card}
        if not blobs:
            return None
        images = [
            {"image": blob, "alt": image.alt, "aspectRatio": {"width": image.width, "height": image.height}}
            for blob, image in zip(blobs, ready, strict=True)
        ]
        return {"$type": "app.bsky.embed.images", "images": images}

    async def _upload(self, picture: Fitted) -> Json:
        """The picture's blob. The server drops one that no record names, so trying again does no harm."""
        answer = await self._api.call(
            "POST",
            "com.atproto.repo.uploadBlob",
            content=picture.data,
            headers={"Content-Type": picture.media_type},
        )
        blob = answer.get("blob")
        if not isinstance(blob, dict):
            raise self._api.strange()
        return blob

    def _placed(self, uri: str, session: BlueskySession, key: str) -> Placed:
        # A handle can change hands or be invalid; then the account's lasting name does.
        whose = session.handle if session.handle and session.handle != "handle.invalid" else session.did
        return Placed(uri, f"{self._settings.app_url.rstrip('/')}/profile/{whose}/post/{key}")


def graphemes(text: str) -> int:
    """What its readers count as characters."""
    return len(SIGN.findall(text))


def facets(text: str) -> list[dict[str, Any]]:
    """Links and hashtags of a text, in order."""
    spans: list[tuple[int, int, dict[str, str]]] = []
    for match in _LINK.finditer(text):
        uri = _trimmed(match.group())
        if not _ADDRESS.match(uri):  # of a text about links: "begins with https://."
            continue
        feature = {"$type": "app.bsky.richtext.facet#link", "uri": uri}
        spans.append((match.start(), match.start() + len(uri), feature))
    for match in _TAG.finditer(text):
        tag = regex.sub(r"\p{P}+$", "", match.group()[1:])
        if tag and graphemes(tag) <= _TAG_GRAPHEMES and len(tag.encode()) <= _TAG_BYTES:
            feature = {"$type": "app.bsky.richtext.facet#tag", "tag": tag}
            spans.append((match.start(), match.start() + 1 + len(tag), feature))
    return [
        {
            "$type": "app.bsky.richtext.facet",
            "index": {"byteStart": _bytes(text, start), "byteEnd": _bytes(text, end)},
            "features": [feature],
        }
        for start, end, feature in sorted(spans, key=lambda facet: facet[0])
    ]


def _trimmed(uri: str) -> str:
    """A link without the punctuation of the sentence around it."""
    while uri:
        last = uri[-1]
        unpaired = last in _PAIRS and uri.count(last) > uri.count(_PAIRS[last])
        if last not in _LAST and not unpaired:
            break
        uri = uri[:-1]
    return uri


def _bytes(text: str, end: int) -> int:
    return len(text[:end].encode())
