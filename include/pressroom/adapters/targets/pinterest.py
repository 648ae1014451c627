"""Pinterest: pins on a board, through its API v5.

Needs: an access token in password; the board for pins that name none in extra (see ``PinterestSettings``).
A pin has no room for a key of ours. So ``find`` reads the board's pins and takes the one with the same title,
description and link: pins must differ in one of these.

Fails as ``adapters.http.errors`` says; a board that the user does not have is a PermanentError.
"""

from __future__ import annotations

import base64
import difflib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import httpx
from pydantic import AfterValidator, Field

from pressroom.adapters.connection import ApiSettings, HeaderSecret
from pressroom.adapters.http.service import Json, Service
from pressroom.adapters.targets.pictures import fitted, is_public
from pressroom.adapters.targets.service import ServiceTarget
from pressroom.adapters.targets.text import cut, is_web_link, plain, web_link
from pressroom.domain.errors import ConfigurationError, PermanentError
from pressroom.domain.publishing import (
    NO_SETTINGS,
    Content,
    Picture,
    Piece,
    Placed,
    TargetArguments,
    TargetLimits,
)

TITLE, DESCRIPTION, LINK, ALT = 100, 800, 2048, 500
_PAGE = 250


class PinterestSettings(ApiSettings):
    """One connection. ``password``: an access token with boards:read, boards:write, pins:read, pins:write.

    ``board``: name or id, for pins that name none.
    """

    home: ClassVar[str] = "https://api.pinterest.com/v5"

    password: HeaderSecret
    board: str = Field(default="", max_length=180)


class PinterestArguments(TargetArguments):
    """A pin, without its picture."""

    limits: ClassVar = TargetLimits(
        title_chars=TITLE,
        text_chars=DESCRIPTION,
        text_field="description",
        pictures=5,
        picture_bytes=20_000_000,
        picture_types=("image/jpeg", "image/png"),
        picture_required=True,
    )

    settable: ClassVar[frozenset[str]] = frozenset({"board"})
    places: ClassVar = ("board",)

    title: str = Field(min_length=1, max_length=TITLE, description="what people read first")
    description: str = Field(default="", max_length=DESCRIPTION, description="what the pin is about")
    link: Annotated[str, AfterValidator(is_web_link)] = Field(
        default="", max_length=LINK, description="the web page that the pin leads to"
    )
    alt_text: str = Field(
        default="", max_length=ALT, description="what the picture shows, for people who do not see it"
    )
    board: str = Field(
        default="", max_length=180, description="name or id of the board; empty: the usual one"
    )


class PinterestTarget(ServiceTarget[PinterestSettings, Service]):
    """A Target."""

    handler = "pinterest"
    description = (
        "A pin on a Pinterest board: a picture with a title, a description and a link to a web page."
    )
    arguments = PinterestArguments

    _boards: list[Json] | None = None

    @staticmethod
    def _client(settings: PinterestSettings, transport: httpx.AsyncBaseTransport | None) -> Service:
        token = settings.password.get_secret_value()
        return Service(
            "Pinterest",
            settings,
            headers={"Authorization": f"Bearer {token}"},
            resets=("x-ratelimit-reset",),
            transport=transport,
        )

    def from_content(self, content: Content) -> PinterestArguments:
        """The content's title, what it says and its link, on the usual board."""
        title = cut(content.title or content.excerpt or content.text, TITLE)
        link = web_link(content.link)
        return PinterestArguments(
            title=title,
            description=cut(content.excerpt or content.text, DESCRIPTION),
            link=link if len(link) <= LINK else "",
        )

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """Check the token, and the board of the settings or else of the connection."""
        self._boards = None
        await self._all_boards()
        if named := settings.get("board") or self._settings.board:
            try:
                await self._board(named)
            except ConfigurationError:
                raise
            except PermanentError as error:
                raise ConfigurationError(str(error)) from None

    async def publish(self, piece: Piece[PinterestArguments]) -> Placed:
        """Create the pin. Raises UnknownOutcome when it may have been created: ``find`` tells.

        A pin already there is left alone: without a key, one that says something else is another one.
        """
        pin = piece.arguments
        media = await _media(piece.pictures)
        body: Json = {"board_id": await self._board(pin.board), "title": pin.title, "media_source": media}
        alt = pin.alt_text or cut(next((picture.alt for picture in piece.pictures), ""), ALT)
        optional = {"description": pin.description, "link": pin.link, "alt_text": alt}
        body |= {name: value for name, value in optional.items() if value}
        answer = await self._api.call("POST", "/pins", changes=True, json=body)
        if not answer.get("id"):
            raise self._api.strange(changes=True)
        return _placed(answer)

    async def find(self, piece: Piece[PinterestArguments]) -> Placed | None:
        """The board's pin with this title, description and link; the oldest, should there be several."""
        board = await self._board(piece.arguments.board)
        pins = [pin async for pin in self._listed(f"/boards/{board}/pins") if _is(pin, piece.arguments)]
        oldest = min(pins, key=lambda pin: str(pin.get("created_at") or ""), default=None)
        return _placed(oldest) if oldest else None

    async def unpublish(self, external_id: str) -> bool:
        """Delete the pin. True too when it is not there."""
        if not external_id.isdecimal():
            raise PermanentError(f"{self._where}: {external_id[:40]!r} is no id of a pin")
        await self._api.request("DELETE", f"/pins/{external_id}", allow=(404,))
        return True

    async def _board(self, named: str) -> str:
        """The id of a board, by id or name. Raises PermanentError when the user has none like that."""
        named = named or self._settings.board
        if not named:
            raise PermanentError(
                f"{self._where}: board: the pin names no board, and extra has none for such pins"
            )
        boards = await self._all_boards()
        if any(str(board.get("id")) == named for board in boards):
            return named
        wanted = plain(named).casefold()
        names = {str(board.get("id")): str(board.get("name") or "") for board in boards}
        ids = [id for id, name in names.items() if plain(name).casefold() == wanted]
        if len(ids) == 1:
            return ids[0]
        if ids:
            raise PermanentError(
                f"{self._where}: board: several are named {named!r}; use an id: {', '.join(ids)}"
            )
        near = difflib.get_close_matches(named, names.values(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PermanentError(f"{self._where}: board: the user has none named {named!r}{hint}")

    async def _all_boards(self) -> list[Json]:
        if self._boards is None:
            self._boards = [board async for board in self._listed("/boards")]
        return self._boards

    def _listed(self, path: str) -> AsyncIterator[Json]:
        async def page(bookmark: str) -> tuple[Any, str]:
            place = {"bookmark": bookmark} if bookmark else {}
            answer = await self._api.call("GET", path, params={"page_size": _PAGE, **place})
            return answer.get("items"), str(answer.get("bookmark") or "")

        return self._api.pages(page)


async def _media(pictures: Sequence[Picture]) -> Json:
    """One picture, or several that people leaf through; by address where Pinterest can fetch them all."""
    if all(is_public(picture.url) for picture in pictures):
        kind, items = "url", [{"url": picture.url} for picture in pictures]
    else:
        kind, items = "base64", [await _encoded(picture) for picture in pictures]
    if len(items) == 1:
        return {"source_type": f"image_{kind}", **items[0]}
    several = {"url": "multiple_image_urls", "base64": "multiple_image_base64"}
    return {"source_type": several[kind], "items": items}


async def _encoded(picture: Picture) -> dict[str, str]:
    ready = await fitted(picture, PinterestArguments.limits)
    return {"content_type": ready.media_type, "data": base64.b64encode(ready.data).decode("ascii")}


def _is(pin: Json, sought: PinterestArguments) -> bool:
    texts = (sought.title, sought.description, sought.link)
    theirs = (pin.get("title"), pin.get("description"), pin.get("link"))
    return [plain(text) for text in texts] == [plain(str(text or "")) for text in theirs]


def _placed(pin: Json) -> Placed:
    return Placed(str(pin["id"]), f"https://www.pinterest.com/pin/{pin['id']}/")


Settings, Target = PinterestSettings, PinterestTarget
