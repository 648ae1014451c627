"""Links for people without a login: the page that a link opens, and who comes by it.

The secret is behind the ``#`` of the link, which browsers send to no server. The page's script sends it in a
form, and it stays with the browser as a cookie for the pages of that link alone. Each request with it is
looked up, so a link that was revoked opens nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from starlette._utils import get_route_path

from pressroom.api.kit.callers import Caller, admission_of, announced_size, by_secret, identify, plane_of
from pressroom.api.kit.limits.rates import address_of
from pressroom.api.kit.problems import Problem
from pressroom.domain.public_ids import ARTICLE, CONTENT, GATE, LINK, public_id, workflow_path
from pressroom.engine import links
from pressroom.engine.links import Link, Opens
from pressroom.page.kit import tokens
from pressroom.page.kit.pages import rendered, shared_page

LANDING = "/link"
COOKIE = "pressroom_link"
SECRET = "secret"
PAGES = "/shared/{link}"
"""Before the paths of a link's pages: one may have several links open at once."""
SHOWS: dict[str, tuple[Opens, ...]] = {
    "review": ("queue", "piece"),
    "content": ("queue", "piece"),
    "reports": ("report",),
}
"""Which links open the pages below each path."""
PIECES = {"article": ARTICLE, "post": CONTENT, "gate": GATE}


class LinkOver(Problem):
    """The link opens nothing, or nothing any more."""

    def __init__(self) -> None:
        super().__init__(
            401, "this link is not known, has expired, or was revoked",
            remedy="ask the person who sent it for another one",
        )  # fmt: skip


async def viewer_of(request: Request) -> Caller:
    """Who sends a request: a visitor on a link's page, elsewhere somebody with a login. Raises Problem."""
    path = get_route_path(request.scope)
    page = shared_page(path)
    if page is None and not path.startswith("/shared/"):
        return await identify(request)
    caller = None if page is None else await _visitor(request, request.cookies.get(COOKIE, ""))
    link = None if caller is None else caller.link
    if page is None or caller is None or link is None or public_id(LINK, link.id) != page[1]:
        raise LinkOver
    if link.opens not in SHOWS.get(page[2], ()):
        raise Problem(404, "this link does not open this page")
    admission_of(request).rates.count(caller.purse, announced_size(request))
    return caller


async def _visitor(request: Request, secret: str) -> Caller | None:
    plane = plane_of(request)

    def find() -> Caller | None:
        with plane.store().transaction() as tx:
            link = links.find(tx, secret)
        if link is None:
            return None
        return Caller(link.recipient, account_id=link.account_id, role=link.role, link=link)

    secret_hash = links.hash_of_link(secret)
    return await by_secret(admission_of(request), secret_hash, address_of(request), find)


# The page that a link opens --------------------------------------------------------------------------


async def landing(request: Request) -> Response:
    """The page that has the browser send what is behind the ``#``, and the answer to that."""
    if request.method != "POST":
        return rendered(request, "link.html.j2")
    secret = (await tokens.sent(request)).text(SECRET)
    caller = await _visitor(request, secret)
    if caller is None or caller.link is None:
        raise LinkOver
    pages = f"{request.scope.get('root_path', '')}/shared/{public_id(LINK, caller.link.id)}"
    answer = RedirectResponse(pages + place_of(caller.link), 303)
    answer.set_cookie(
        COOKIE, secret, path=pages, httponly=True, samesite="strict", secure=request.url.scheme == "https",
        expires=caller.link.expires_at,
    )  # fmt: skip
    return answer


def place_of(link: Link) -> str:
    """Where a link leads, below its pages."""
    return PLACES[link.opens](link)


def _piece(link: Link) -> str:
    return f"/review?piece={public_id(PIECES[link.kind or ''], link.number or 0)}"


def _report(link: Link) -> str:
    return f"/reports/{workflow_path(link.kind or '', link.number or 0)}"


PLACES: dict[Opens, Callable[[Link], str]] = {
    "queue": lambda link: "/review",
    "piece": _piece,
    "report": _report,
}
