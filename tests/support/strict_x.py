"""X's API v2 as far as posts and their pictures go, by the rules of its OpenAPI description and guides."""

from __future__ import annotations

import html
import io
import re
import time
from datetime import UTC, datetime
from typing import Any

from PIL import Image, UnidentifiedImageError
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pressroom.domain.markup.weighted import parse_tweet
from tests.support.strict_server import Refused, StrictServer, json_of, only

TOKEN = "x-SECRETTOKEN"
USER = "4242"
_POST = {
    "card_uri": str, "community_id": str, "direct_message_deep_link": str, "edit_options": dict,
    "for_super_followers_only": bool, "geo": dict, "made_with_ai": bool, "media": dict, "nullcast": bool,
    "paid_partnership": bool, "poll": dict, "quote_tweet_id": str, "reply": dict, "reply_settings": str,
    "share_with_followers": bool, "text": str,
}  # fmt: skip
_URL = re.compile(r"https?://[^\s]+")
INVALID = "https://api.x.com/2/problems/invalid-request"


class StrictX(StrictServer):
    """``fields``: the name of the query parameter for a post's fields. Posts are kept latest first.

    ``pending``: how often a picture is said to be in work before it is ready.
    """

    def __init__(self, *, fields: str = "post.fields", pending: int = 0, now: datetime | None = None) -> None:
        super().__init__()
        self.fields, self.pending = fields, pending
        self.now = now or datetime(2026, 11, 24, 10, tzinfo=UTC)
        self.posts: list[dict[str, Any]] = []
        self.media: dict[str, dict[str, Any]] = {}
        self._made = 0

    def error(self, refused: Refused) -> Any:
        return {
            "title": "Forbidden" if refused.status == 403 else "Invalid Request",
            "detail": refused.words,
            "type": refused.code or "about:blank",
            "status": refused.status,
        }

    def limit_headers(self) -> dict[str, str]:
        reset = str(int(time.time()) + 300)
        return {"x-rate-limit-limit": "100", "x-rate-limit-remaining": "0", "x-rate-limit-reset": reset}

    async def answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Unauthorized")
        path = request.url.path
        one = re.fullmatch(r"/2/tweets/(\d{1,19})", path)
        match request.method, path:
            case "GET", "/2/users/me":
                return JSONResponse({"data": {"id": USER, "name": "Ann", "username": "ann"}})
            case "POST", "/2/tweets":
                return JSONResponse({"data": self._create(await json_of(request))}, 201)
            case "POST", "/2/media/upload":
                return JSONResponse({"data": await self._upload(request)})
            case "GET", "/2/media/upload":
                return JSONResponse({"data": self._state(request)})
            case "POST", "/2/media/metadata":
                return JSONResponse({"data": self._describe(await json_of(request))})
        if request.method == "GET" and path == f"/2/users/{USER}/tweets":
            return JSONResponse(self._timeline(request))
        if request.method == "DELETE" and one:
            left = [post for post in self.posts if post["id"] != one.group(1)]
            if len(left) == len(self.posts):
                raise Refused(404, "no such post")
            self.posts = left
            return JSONResponse({"data": {"deleted": True}})
        raise Refused(404, "no such path")

    def _create(self, body: Any) -> dict[str, Any]:
        told = only(body, _POST)
        text = told.get("text", "")
        if not text.strip() and "media" not in told:
            raise Refused(400, "text is missing", INVALID)
        if parse_tweet(text).weightedLength > 280:
            raise Refused(400, "the text is too long", INVALID)
        media = only(told.get("media", {}), {"media_ids": list, "tagged_user_ids": list}, at="media.")
        ids = media.get("media_ids", [])
        if "media" in told and not 1 <= len(ids) <= 4:
            raise Refused(400, "media_ids must be one to four", INVALID)
        if any(id not in self.media or not self.media[id]["ready"] for id in ids):
            raise Refused(400, "Your media IDs are invalid.", INVALID)
        if any(post["written"] == text for post in self.posts):
            raise Refused(403, "You are not allowed to create a Tweet with duplicate content.")
        self._made += 1
        id = str(1_900_000_000_000_000_000 + self._made)
        post = {"id": id, **self._shown(text, id if ids else ""), "media": ids}
        self.posts.insert(0, {**post, "written": text, "at": self.now, "ai": told.get("made_with_ai", False)})
        return {"id": id, "text": post["text"], "edit_history_post_ids": [id]}

    def _shown(self, text: str, pictured: str) -> dict[str, Any]:
        """The text as X gives it back: escaped, every link shortened, one to its pictures at the end."""
        urls: list[dict[str, Any]] = []

        def shortened(found: re.Match[str]) -> str:
            urls.append({"url": f"https://t.co/{self._made:04}{len(urls):06}", "expanded_url": found.group()})
            return str(urls[-1]["url"])

        text = _URL.sub(shortened, text)
        if pictured:
            own = {"url": f"https://t.co/{self._made:04}pict", "media_key": f"3_{pictured}"}
            urls.append({**own, "expanded_url": f"https://x.com/ann/status/{pictured}/photo/1"})
            text = f"{text} {own['url']}"
        return {"text": html.escape(text, quote=False), "entities": {"urls": urls}}

    def _timeline(self, request: Request) -> dict[str, Any]:
        query = dict(request.query_params)
        known = {
            "max_results",
            "pagination_token",
            "start_time",
            "end_time",
            "since_id",
            "until_id",
            "exclude",
        }
        for name in query:
            if name not in known | {self.fields, "expansions"}:
                raise Refused(400, f"The query parameter [{name}] is not one of [{self.fields},…]", INVALID)
        size, start = query.get("max_results", "10"), query.get("pagination_token", "0")
        if not size.isdecimal() or not 5 <= int(size) <= 100 or not start.isdecimal():
            raise Refused(400, "max_results is not between 5 and 100", INVALID)
        since = datetime.fromisoformat(query.get("start_time", "2010-11-06T00:00:01Z"))
        posts = [post for post in self.posts if post["at"] >= since]
        end = int(start) + int(size)
        shown = ("id", "text", "entities") if query.get(self.fields) == "entities" else ("id", "text")
        data = [{name: post[name] for name in shown} for post in posts[int(start) : end]]
        meta: dict[str, Any] = {"result_count": len(data)}
        meta |= {"next_token": str(end)} if end < len(posts) else {}
        return {"data": data, "meta": meta} if data else {"meta": meta}

    async def _upload(self, request: Request) -> dict[str, Any]:
        if not request.headers.get("content-type", "").startswith("multipart/form-data; boundary="):
            raise Refused(400, "not a form", INVALID)
        async with request.form() as form:
            if set(form) != {"media", "media_category"} or form["media_category"] != "tweet_image":
                raise Refused(400, "a field is unknown or missing", INVALID)
            media = form["media"]
            data = await media.read() if isinstance(media, UploadFile) else b""
        try:
            with Image.open(io.BytesIO(data)) as image:
                kind = image.format
        except UnidentifiedImageError:
            kind = None
        if len(data) > 5_000_000 or kind not in ("JPEG", "PNG", "WEBP", "GIF"):
            raise Refused(400, "the media cannot be used", INVALID)
        id = str(700 + len(self.media))
        self.media[id] = {"ready": not self.pending, "left": self.pending, "alt": ""}
        return {"id": id, "expires_after_secs": 86400, "size": len(data), **self._info(id)}

    def _info(self, id: str) -> dict[str, Any]:
        media = self.media[id]
        return {} if media["ready"] else {"processing_info": {"state": "pending", "check_after_secs": 0.01}}

    def _state(self, request: Request) -> dict[str, Any]:
        query = dict(request.query_params)
        if set(query) != {"command", "media_id"} or query["command"] != "STATUS":
            raise Refused(400, "a query parameter is unknown or missing", INVALID)
        media = self.media[query["media_id"]]
        media["left"] -= 1
        media["ready"] = media["left"] <= 0
        return {"id": query["media_id"], **self._info(query["media_id"])}

    def _describe(self, body: Any) -> dict[str, Any]:
        told = only(body, {"id": str, "metadata": dict}, "id", "metadata")
        alt = only(told["metadata"], {"alt_text": dict}, "alt_text", at="metadata.")["alt_text"]
        text = only(alt, {"text": str}, "text", at="metadata.alt_text.")["text"]
        if told["id"] not in self.media or len(text) > 1000:
            raise Refused(400, "no such media, or the text is too long", INVALID)
        self.media[told["id"]]["alt"] = text
        return {"id": told["id"]}
