"""A server of the AT protocol as far as an account's posts go, by the rules of its lexicons."""

from __future__ import annotations

import hashlib
import re
import time
from datetime import datetime
from typing import Any

import regex
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.support.strict_server import Refused, StrictServer, json_of, only

LOGIN, PASSWORD, DID = "ann.example", "abcd-SECRET-word", "did:plc:abcdefghijklmnop"
POST = "app.bsky.feed.post"
_TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
_RECORD = {
    "$type": str, "text": str, "createdAt": str, "langs": list, "facets": list, "embed": dict, "reply": dict,
    "labels": dict, "tags": list,
}  # fmt: skip
# The protocol's string formats "uri" and "language" (BCP 47).
_URI = re.compile(r"\w+:(//)?[^\s/]\S*")
_LANGUAGE = re.compile(
    r"([A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8})(-[A-Za-z]{4})?(-([A-Za-z]{2}|\d{3}))?"
    r"(-([A-Za-z0-9]{5,8}|\d[A-Za-z0-9]{3}))*(-[0-9A-WY-Za-wy-z](-[A-Za-z0-9]{2,8})+)*(-x(-[A-Za-z0-9]{1,8})+)?"
)
_FEATURES = {"app.bsky.richtext.facet#link": "uri", "app.bsky.richtext.facet#tag": "tag"}


class StrictBluesky(StrictServer):
    """``records``: record key → post. ``sign_ins``: how many sessions were begun by password. ``status``:
    why the account is not active, "" when it is; it can sign in all the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, dict[str, Any]] = {}
        self.blobs: dict[str, dict[str, Any]] = {}
        self.sign_ins = 0
        self.status = ""
        self._access: set[str] = set()
        self._refresh: set[str] = set()
        self._serial = 0

    def expire(self, *, refresh: bool = False) -> None:
        """End every session; with ``refresh`` so that none can be renewed."""
        self._access.clear()
        if refresh:
            self._refresh.clear()

    def error(self, refused: Refused) -> Any:
        named = {401: "AuthenticationRequired", 429: "RateLimitExceeded", 500: "InternalServerError"}
        return {
            "error": refused.code or named.get(refused.status, "InvalidRequest"),
            "message": refused.words,
        }

    def limit_headers(self) -> dict[str, str]:
        reset = str(int(time.time()) + 90)
        return {"ratelimit-limit": "3000", "ratelimit-remaining": "0", "ratelimit-reset": reset}

    async def answer(self, request: Request) -> Response:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        match request.method, request.url.path.removeprefix("/xrpc/"):
            case "POST", "com.atproto.server.createSession":
                return JSONResponse(self._created(await json_of(request)))
            case "POST", "com.atproto.server.refreshSession":
                if bearer not in self._refresh:
                    raise Refused(400, "Token has been revoked", "ExpiredToken")
                self._refresh.discard(bearer)
                return JSONResponse(self._session())
            case "GET", "com.atproto.repo.getRecord":
                return JSONResponse(self._get(dict(request.query_params)))
            case "POST", name:
                if not bearer:
                    raise Refused(401, "Authentication Required", "AuthMissing")
                if bearer not in self._access:
                    raise Refused(400, "Token has expired", "ExpiredToken")
                return await self._write(name, request)
        raise Refused(501, "Method Not Implemented", "MethodNotImplemented")

    def _created(self, body: Any) -> dict[str, Any]:
        told = only(
            body, {"identifier": str, "password": str, "authFactorToken": str}, "identifier", "password"
        )
        if (told["identifier"], told["password"]) != (LOGIN, PASSWORD):
            raise Refused(401, "Invalid identifier or password")
        self.sign_ins += 1
        return self._session()

    def _session(self) -> dict[str, Any]:
        self._serial += 1
        access, refresh = f"eyJ.access{self._serial}.SECRETJWT", f"eyJ.refresh{self._serial}.SECRETJWT"
        self._access.add(access)
        self._refresh.add(refresh)
        state = {"active": False, "status": self.status} if self.status else {"active": True}
        return {"did": DID, "handle": LOGIN, "accessJwt": access, "refreshJwt": refresh, **state}

    def _get(self, query: dict[str, str]) -> dict[str, Any]:
        if set(query) != {"repo", "collection", "rkey"} or query["repo"] not in (DID, LOGIN):
            raise Refused(400, "a parameter is unknown, missing or wrong")
        if query["rkey"] not in self.records:
            raise Refused(400, f"Could not locate record: {query['rkey']}", "RecordNotFound")
        return {**self._named(query["rkey"]), "value": self.records[query["rkey"]]}

    async def _write(self, name: str, request: Request) -> Response:
        known = {"repo": str, "collection": str, "rkey": str}
        match name:
            case "com.atproto.repo.uploadBlob":
                return JSONResponse({"blob": await self._upload(request)})
            case "com.atproto.repo.putRecord":
                fields = {**known, "record": dict, "validate": bool, "swapRecord": str, "swapCommit": str}
                body = only(await json_of(request), fields, *known, "record")
                self._check_place(body)
                self._check_record(body["record"])
                self.records[body["rkey"]] = body["record"]
                return JSONResponse({**self._named(body["rkey"]), "validationStatus": "valid"})
            case "com.atproto.repo.deleteRecord":
                body = only(await json_of(request), {**known, "swapRecord": str, "swapCommit": str}, *known)
                self._check_place(body)
                self.records.pop(body["rkey"], None)
                return JSONResponse({})
        raise Refused(501, "Method Not Implemented", "MethodNotImplemented")

    def _named(self, key: str) -> dict[str, str]:
        cid = hashlib.sha256(repr(self.records[key]).encode()).hexdigest()
        return {"uri": f"at://{DID}/{POST}/{key}", "cid": f"bafyrei{cid}"}

    async def _upload(self, request: Request) -> dict[str, Any]:
        data, kind = await request.body(), request.headers.get("content-type", "")
        if not data or len(data) > 5_000_000:
            raise Refused(413, "This file is too large", "PayloadTooLarge")
        link = f"bafkrei{hashlib.sha256(data).hexdigest()}"
        self.blobs[link] = {"$type": "blob", "ref": {"$link": link}, "mimeType": kind, "size": len(data)}
        return self.blobs[link]

    def _check_place(self, body: dict[str, Any]) -> None:
        if body["repo"] not in (DID, LOGIN):
            raise Refused(401, "not your repository")
        if body["collection"] != POST or not _TID.fullmatch(body["rkey"]):
            raise Refused(400, f"Invalid record key for {body['collection']}")

    def _check_record(self, record: Any) -> None:
        post = only(record, _RECORD, "$type", "text", "createdAt")
        text = post["text"]
        if post["$type"] != POST or len(regex.findall(r"\X", text)) > 300 or len(text.encode()) > 3000:
            raise Refused(400, f"Invalid {POST} record: text must not be longer than 300 graphemes")
        if datetime.fromisoformat(post["createdAt"]).tzinfo is None or len(post.get("langs", [])) > 3:
            raise Refused(400, "createdAt or langs is wrong")
        if not all(_LANGUAGE.fullmatch(language) for language in post.get("langs", [])):
            raise Refused(400, f"Invalid {POST} record: Invalid language")
        for facet in post.get("facets", []):
            _check_facet(facet, text.encode())
        if "embed" in post:
            self._check_embed(post["embed"])

    def _check_embed(self, embed: Any) -> None:
        match embed.get("$type"):
            case "app.bsky.embed.images":
                body = only(embed, {"$type": str, "images": list}, "images")
                if not 1 <= len(body["images"]) <= 4:
                    raise Refused(400, "one to four images")
                for image in body["images"]:
                    shape = {"image": dict, "alt": str, "aspectRatio": dict}
                    self._check_blob(only(image, shape, "image", "alt")["image"])
            case "app.bsky.embed.external":
                external = only(embed, {"$type": str, "external": dict}, "external")["external"]
                shape = {"uri": str, "title": str, "description": str, "thumb": dict}
                card = only(external, shape, "uri", "title", "description")
                _check_uri(card["uri"])
                if "thumb" in card:
                    self._check_blob(card["thumb"])
            case _:
                raise Refused(400, "unknown embed")

    def _check_blob(self, blob: Any) -> None:
        found = self.blobs.get(blob.get("ref", {}).get("$link"))
        if found != blob:
            raise Refused(400, "Could not find blob", "BlobNotFound")
        if not blob["mimeType"].startswith("image/") or blob["size"] > 1_000_000:
            raise Refused(400, "This file is too large, or no image")


def _check_uri(uri: str) -> None:
    if not _URI.fullmatch(uri):
        raise Refused(400, f"Invalid {POST} record: Invalid uri")


def _check_facet(facet: Any, text: bytes) -> None:
    told = only(facet, {"$type": str, "index": dict, "features": list}, "index", "features")
    index = only(told["index"], {"byteStart": int, "byteEnd": int}, "byteStart", "byteEnd")
    start, end = index["byteStart"], index["byteEnd"]
    if not 0 <= start < end <= len(text):
        raise Refused(400, "a facet lies outside of the text")
    part = text[start:end].decode()  # raises when it cuts a character in two
    for feature in told["features"]:
        name = _FEATURES.get(feature.get("$type"), "")
        value = only(feature, {"$type": str, name: str}, name)[name]
        if name == "uri":
            _check_uri(value)
        if part != (value if name == "uri" else f"#{value}"):
            raise Refused(400, "a facet is not about what it stands on")
