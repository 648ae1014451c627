"""Pinterest's API v5 as far as pins and boards go, by the rules of its OpenAPI description."""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import Any
from urllib.parse import urlsplit

from PIL import Image, UnidentifiedImageError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.support.strict_server import Refused, StrictServer, json_of, only

TOKEN = "pina_SECRETTOKEN"
_PIN = {
    "alt_text": str, "board_id": str, "board_section_id": str, "dominant_color": str, "link": str,
    "media_source": dict, "parent_pin_id": str, "sponsor_id": str, "title": str, "description": str,
}  # fmt: skip
_MOST = {"alt_text": 500, "description": 800, "link": 2048, "title": 100}


class StrictPinterest(StrictServer):
    """``boards``: id → name. Pins are kept latest first."""

    def __init__(self, boards: dict[str, str] | None = None) -> None:
        super().__init__()
        self.boards = {"11": "Recipes", "12": "Tools"} if boards is None else boards
        self.pins: list[dict[str, Any]] = []
        self._made = 0

    def error(self, refused: Refused) -> Any:
        return {"code": int(refused.code or refused.status), "message": refused.words}

    def limit_headers(self) -> dict[str, str]:
        return {"x-ratelimit-limit": "10, 10;w=60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "42"}

    async def answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Authentication failed.", "2")
        path = request.url.path.removeprefix("/v5")
        pins = re.fullmatch(r"/boards/(\d+)/pins", path)
        pin = re.fullmatch(r"/pins/(\d+)", path)
        match request.method:
            case "POST" if path == "/pins":
                return JSONResponse(self._create(await json_of(request)), 201)
            case "GET" if path == "/boards":
                entries = [{"id": id, "name": name} for id, name in self.boards.items()]
                return JSONResponse(self._page(request, entries, {"privacy"}))
            case "GET" if pins:
                if pins.group(1) not in self.boards:
                    raise Refused(404, "Board not found.", "40")
                entries = [one for one in self.pins if one["board_id"] == pins.group(1)]
                return JSONResponse(self._page(request, entries, {"creative_types", "pin_metrics"}))
            case "DELETE" if pin:
                left = [one for one in self.pins if one["id"] != pin.group(1)]
                if len(left) == len(self.pins):
                    raise Refused(404, "Pin not found.", "50")
                self.pins = left
                return Response(status_code=204)
        raise Refused(404, "no such path")

    def _create(self, body: Any) -> dict[str, Any]:
        pin = only(body, _PIN, "board_id", "media_source")
        for name, most in _MOST.items():
            if len(pin.get(name, "")) > most:
                raise Refused(400, f"{name} is longer than {most}", "1")
        if pin["board_id"] not in self.boards:
            raise Refused(404, "Board not found.", "40")
        if "link" in pin:
            _web(pin["link"])
        _check_media(pin["media_source"])
        self._made += 1
        stamp = f"2026-11-24T10:{self._made // 60:02}:{self._made % 60:02}"
        made = {name: pin.get(name) for name in ("title", "description", "link", "alt_text", "board_id")}
        made |= {"id": str(1000 + self._made), "created_at": stamp, "media": {"media_type": "image"}}
        self.pins.insert(0, made)
        return made

    def _page(self, request: Request, entries: list[dict[str, Any]], also: set[str]) -> dict[str, Any]:
        query = dict(request.query_params)
        unknown = set(query) - {"page_size", "bookmark", "ad_account_id"} - also
        size, start = query.get("page_size", "25"), query.get("bookmark", "0")
        if unknown or not size.isdecimal() or not 1 <= int(size) <= 250 or not start.isdecimal():
            raise Refused(400, "a query parameter is unknown or out of bounds", "1")
        end = int(start) + int(size)
        return {"items": entries[int(start) : end], "bookmark": str(end) if end < len(entries) else None}


def _check_media(source: Any) -> None:
    kind = source.get("source_type")
    flag = {"source_type": str, "is_standard": bool}
    match kind:
        case "image_url":
            _web(only(source, {**flag, "url": str}, "url")["url"])
        case "image_base64":
            _picture(only(source, {**flag, "content_type": str, "data": str}, "content_type", "data"))
        case "multiple_image_urls" | "multiple_image_base64":
            body = only(source, {"source_type": str, "items": list, "index": int}, "items")
            if not 2 <= len(body["items"]) <= 5:
                raise Refused(400, "items must be two to five", "1")
            extra = {"title": str, "description": str, "link": str}
            for item in body["items"]:
                if kind == "multiple_image_urls":
                    _web(only(item, {**extra, "url": str}, "url")["url"])
                else:
                    _picture(only(item, {**extra, "content_type": str, "data": str}, "content_type", "data"))
        case _:
            raise Refused(400, "unknown source_type", "1")


def _web(url: str) -> None:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise Refused(400, "not a URL", "1")


def _picture(item: dict[str, Any]) -> None:
    try:
        data = base64.b64decode(item["data"], validate=True)
        with Image.open(io.BytesIO(data)) as image:
            found = Image.MIME[image.format or ""]
    except (binascii.Error, UnidentifiedImageError, KeyError):
        raise Refused(400, "the picture cannot be read", "1") from None
    if item["content_type"] not in ("image/jpeg", "image/png") or item["content_type"] != found:
        raise Refused(400, "content_type is not permitted, or not the picture's", "1")
