"""Templates, and the answers made of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import BaseModel, ValidationError
from starlette._utils import get_route_path

from pressroom.api.kit.problems import Problem, mistakes, problem_of
from pressroom.domain.errors import PressroomError
from pressroom.page.kit import tokens
from pressroom.ui.mission.changes import text
from pressroom.ui.mission.page import confidence, decimal, percent

M = TypeVar("M", bound=BaseModel)

FOLDER = Path(__file__).parent.parent
STATIC = FOLDER / "static"
SLUG_CHARS = 60
API = "/api/v1"
"""Where the control API is, below the page."""


@dataclass(frozen=True)
class Notice:
    """What came of an action. ``remedy``: what its user can do."""

    tone: Literal["good", "warn", "bad"]
    text: str
    remedy: str | None = None
    status: int = 200


@cache
def templates() -> Environment:
    """The templates. Everything in them is escaped, and an unknown name is an error."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        moment=moment,
        clock=clock,
        day=day,
        local_day=local_day,
        amount=amount,
        money=money,
        exact=exact,
        count=count,
        span=span,
        plural=plural,
        words=words,
        sureness=confidence,
        value=text,
        two=decimal,
        share=percent,
    )
    environment.globals["asset"] = asset_query
    return environment


def shared_page(path: str) -> re.Match[str] | None:
    """The link and the kind of a page that somebody without a login sees; None for every other page."""
    return re.match(r"/shared/(lnk_[0-9]+)/([a-z]+)(?:/|$)", path)


def base_of(request: Request) -> str:
    """What the addresses of a page's own pages begin with: the app's, or those of the visitor's link."""
    root = str(request.scope.get("root_path", ""))
    page = shared_page(get_route_path(request.scope))
    return root if page is None else f"{root}/shared/{page[1]}"


def rendered(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """A page or a part of one. Sets the cookie that the forms' token belongs to, when there is none yet."""
    root, base = str(request.scope.get("root_path", "")), base_of(request)
    token, fresh = tokens.of(request)
    html = templates().get_template(template).render(
        root=root, base=base, visitor=base != root, api=root + API, airflow=root.removesuffix("/pressroom"),
        token=token, path=request.url.path.removeprefix(base), htmx=HTMX, **values,
    )  # fmt: skip
    answer = HTMLResponse(html, status)
    if fresh:
        tokens.keep(answer, request, token)
    return answer


def to_page(request: Request, path: str) -> Response:
    """To another page, loaded as a whole."""
    target = f"{request.scope.get('root_path', '')}{path}"
    if "HX-Request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)


def address_of(request: Request) -> str:
    """The page's own address, as in https://airflow.example/pressroom."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def filled_in(model: type[M], values: Mapping[str, Any], refused: str) -> M:
    """A form's values as the API takes them. Raises Problem 422, which says what is refused, as in 'this
    cannot be saved', and the first reason.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        field, message = mistakes(error)[0]
        raise Problem(422, ": ".join(filter(None, (refused, field, message)))) from None


async def outcome(work: Callable[[], Awaitable[Notice]]) -> Notice:
    """What an action says, or why it was refused."""
    try:
        return await work()
    except Problem as problem:
        return refusal(problem)
    except PressroomError as error:
        return refusal(problem_of(error))


def refusal(problem: Problem) -> Notice:
    """A refusal as its user reads it."""
    return Notice("bad", problem.detail, problem.remedy, problem.status)


HTMX = json.dumps({
    # A strict content security policy permits neither.
    "allowEval": False, "includeIndicatorStyles": False,
    "historyCacheSize": 0, "selfRequestsOnly": True, "scrollIntoViewOnBoost": False,
    # A refusal is a page with a notice, to be shown like any other.
    "responseHandling": [{"code": "204", "swap": False}, {"code": "...", "swap": True}],
})  # fmt: skip


# Filters ----------------------------------------------------------------------------------------------


def moment(at: datetime | None, zone: str | None = None, nothing: str = "never") -> Markup:
    """A time in UTC that a script shows in the viewer's zone, with that of the workflow beside it."""
    if at is None:
        return Markup('<span class="soft">{}</span>').format(nothing)
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" data-zone="{}">{} UTC</time>').format(
        utc.isoformat(timespec="seconds"), zone or "", f"{utc:%d %b %H:%M}".lstrip("0")
    )


def clock(at: datetime, zone: str) -> Markup:
    """A time of a day that is shown in a zone. A script shows it in the viewer's, with that zone's beside."""
    local = at.astimezone(ZoneInfo(zone))
    return Markup('<time datetime="{}" data-zone="{}" data-day="{}">{}</time>').format(
        at.astimezone(UTC).isoformat(timespec="seconds"), zone, local.date().isoformat(), f"{local:%H:%M}"
    )


def local_day(at: datetime, zone: str) -> Markup:
    """The day of a moment in a zone, which no script changes: ``2 Mar``."""
    local = at.astimezone(ZoneInfo(zone))
    return Markup('<time class="nowrap" datetime="{}" data-local>{} {}</time>').format(
        local.date().isoformat(), local.day, f"{local:%b}"
    )


def day(value: date) -> str:
    """``Mon 2 Mar``."""
    return f"{value:%a} {value.day} {value:%b}"


def amount(value: Decimal | float | None) -> str:
    """Credits: whole where they are whole."""
    number = Decimal(str(value or 0)).quantize(Decimal("0.01"))
    return f"{number:,.0f}" if number == number.to_integral_value() else f"{number:,.2f}"


def money(cents: Decimal | float | None) -> str:
    """Cents as cents: small sums keep two places."""
    number = Decimal(str(cents or 0))
    return f"{number:,.0f} ¢" if number >= 100 or number == number.to_integral_value() else f"{number:,.2f} ¢"


def exact(value: Decimal | None) -> str:
    """An amount to its last digit, with separators; – for none."""
    if value is None:
        return "–"
    number = f"{Decimal(value):,f}"
    return number.rstrip("0").rstrip(".") if "." in number else number


def count(number: int) -> str:
    """A number with separators."""
    return f"{number:,}"


def plural(number: int, word: str, many: str | None = None) -> str:
    """``1 article``, ``2 articles``."""
    return f"{number:,} {word if number == 1 else many or word + 's'}"


def span(seconds: float | None) -> str:
    """A duration in its two largest units."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def words(name: str) -> str:
    """A name of the code as words: ``image_prompts`` → ``image prompts``."""
    return name.replace("_", " ")


@cache
def asset_query(name: str) -> str:
    """The address of a static file below the page; it changes when the file does."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"
