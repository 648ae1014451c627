"""Forms that only this page can send: each carries the token that a cookie of the browser also has.

The control API refuses writes by session that come from another site, by what the browser says of them
(``caller_of``). The token holds where a browser says nothing.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request, Response

from pressroom.api.kit.problems import Problem

COOKIE = "pressroom_form"
FIELD = "form_token"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
MOST_FIELDS = 2000
FORM = "application/x-www-form-urlencoded"


class PostedForm:
    """The fields of a form."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str, default: str = "") -> str:
        """The last value of a field, without the space around it."""
        return self._fields.get(name, [default])[-1].strip()

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return self._fields.get(name, [])

    def has(self, name: str) -> bool:
        """Whether the field was sent: a box that is not ticked is not."""
        return name in self._fields


def of(request: Request) -> tuple[str, bool]:
    """The browser's token, and whether it is new."""
    kept = request.cookies.get(COOKIE, "")
    return (kept, False) if _TOKEN.fullmatch(kept) else (secrets.token_urlsafe(32), True)


def keep(answer: Response, request: Request, token: str) -> None:
    """Leave the token with the browser, for as long as it is open."""
    answer.set_cookie(
        COOKIE, token, path=request.scope.get("root_path") or "/", httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip


async def sent(request: Request) -> PostedForm:
    """The fields of a form of this page. Raises Problem 403 without its token, and 400 for no form."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM:
        raise Problem(400, "this is not a form of the page")
    try:
        body = (await request.body()).decode("ascii")
        fields = parse_qs(body, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Problem(400, "this form cannot be read") from None
    kept, token = request.cookies.get(COOKIE, ""), fields.pop(FIELD, [""])[-1]
    if not _TOKEN.fullmatch(kept) or not hmac.compare_digest(kept.encode(), token.encode("utf-8", "replace")):
        raise Problem(
            403, "this form has expired, or was not sent by this page",
            remedy="load the page again and repeat it",
        )  # fmt: skip
    return PostedForm(fields)


SentForm = Annotated[PostedForm, Depends(sent)]
