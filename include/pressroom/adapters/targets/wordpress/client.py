"""The client of WordPress's REST API. What WordPress says in ways of its own::

    a user that may not see drafts (its 400)  ConfigurationError
    HTML in place of JSON, no such route      ConfigurationError: a guard before the API, or no API there
    an unreadable success of a write          Unreadable, an UnknownOutcome: the site shows what became of it
    an error's JSON under the status 200      the error that the JSON says: something was printed before it
    404 for a post that was there             TransientError: it went away meanwhile, so look again
    a file that WordPress refuses (its 500)   PermanentError

Everything else is as ``adapters.http.errors`` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import httpx

from pressroom.adapters.http.errors import ErrorRow
from pressroom.adapters.http.service import Json, Service, ServiceClient, is_page
from pressroom.adapters.targets.wordpress.answers import json_in
from pressroom.adapters.targets.wordpress.settings import WordPressSettings
from pressroom.adapters.targets.wordpress.wire import bare
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError, UnknownOutcome
from pressroom.domain.markup.html import line_of

API_RELATION = "https://api.w.org/"
# A site is often a small machine: more at once would only make each of them slower.
MOST_CONNECTIONS = 8
_MOST_REDIRECTS = 10

_LOGIN = (
    "the user or the application password is wrong, application passwords are off, or the server or a plugin"
    " takes the Authorization header away"
)
_PAGE = (
    "it answers with a page instead of JSON: a security, login or maintenance page stands before the API,"
    " or the API is elsewhere (rest_base in extra)"
)
_NO_API = "the REST API is switched off, or elsewhere: rest_base in extra"
_ROWS = (
    # WordPress says 500 where it means that the file is at fault.
    ErrorRow(PermanentError, code="rest_upload_unknown_error|rest_upload_sideload_error"),
    ErrorRow(TransientError, code="rest_post_invalid_id"),
    ErrorRow(ConfigurationError, {401}, hint=_LOGIN),
    ErrorRow(ConfigurationError, code="rest_forbidden_status", hint=_LOGIN),
    ErrorRow(ConfigurationError, {403}, page=True, hint=_PAGE),
    ErrorRow(ConfigurationError, code="rest_no_route|rest_disabled", hint=_NO_API),
    ErrorRow(ConfigurationError, {404}, page=True, hint=_NO_API),
)


_UNREADABLE = "WordPress says that it did what it was asked, and what else it says cannot be read"


class Unreadable(UnknownOutcome):
    """WordPress went through with a write, by its status, and its answer is not what the API promises.

    Unlike an answer that was lost, this one says that nothing is on its way any more: what the site shows now
    is what became of the write.
    """


class WordPressClient(ServiceClient):
    """A client of one site's API. ``transport`` takes the network's place in tests."""

    def __init__(
        self, settings: WordPressSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._api = Service(
            "WordPress",
            settings,
            auth=httpx.BasicAuth(settings.user, settings.secret),
            rows=_ROWS,
            said=_said,
            read=json_in,
            at_once=MOST_CONNECTIONS,
            transport=transport,
        )
        self._where = self._api.where
        self._root: httpx.URL | None = None
        self._finding = asyncio.Lock()

    async def get(self, path: str, *, allow: Collection[str] = (), **params: str | int) -> Json:
        """The object that a path answers with. ``allow``: as in ``write``."""
        return self._object(await self._call("GET", path, allow=allow, params=params))

    async def listed(self, path: str, **params: str | int) -> list[Json]:
        """The objects that a path lists, at most the first hundred."""
        entries = await self._call("GET", path, params={"per_page": 100, **params})
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self._api.strange()
        return entries

    async def write(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        file: tuple[str, bytes, str] | None = None,
        allow: Collection[str] = (),
    ) -> Json:
        """Change something.

        ``file``: name, bytes and media type, sent with ``body`` as a form; ``allow``: error codes of
        WordPress whose answer comes back like others, under ``code``.
        """
        content: dict[str, Any] = {"json": body} if body is not None and file is None else {}
        if file is not None:
            content = {"data": body or {}, "files": {"file": file}}
        answer = await self._call(method, path, changes=True, allow=allow, **content)
        return self._object(answer, changes=True)

    def unreadable(self) -> Unreadable:
        """The error for a success of a write whose answer is not what was asked for."""
        return Unreadable(f"{self._where}: {_UNREADABLE}")

    def strange(self) -> TransientError:
        """The error for what was read and is not what was asked for."""
        return self._api.strange()

    async def _call(
        self, method: str, path: str, *, changes: bool = False, allow: Collection[str] = (), **options: Any
    ) -> Any:
        url = endpoint(await self._api_root(), path)
        answer = await self._api.request(method, url, changes=changes, allow=allow, **options)
        try:
            body = json_in(answer.content)
        except (ValueError, RecursionError):
            if changes:
                raise self.unreadable() from None
            if is_page(answer):
                raise ConfigurationError(f"{self._where}: {_PAGE}") from None
            raise self._api.strange() from None
        status = _status_of(body)
        if answer.is_success and status >= 400:  # what was printed before it has sent the headers away
            code, words = _said(body)
            if code not in allow:
                raise self._api.refused(code, words, status=status, changes=changes)
        return body

    async def _api_root(self) -> httpx.URL:
        """The API's root, looked for once: where the site says it is, or where it usually is."""
        async with self._finding:
            if self._root is None:
                base = self._settings.rest_base
                self._root = httpx.URL(base) if base else await self._discover()
            return self._root

    async def _discover(self) -> httpx.URL:
        page, closed = await self._front_page()
        link = page.links.get(API_RELATION, {}).get("url")
        if link:
            return self._trusted(self._linked(page, link), page.url)
        base = page.url.copy_with(query=None, fragment=None)
        # A page that is closed to visitors says nothing of the API, which may be open all the same.
        passing = TransientError(closed) if closed else None
        for root in (endpoint(base, "/wp-json/"), base.copy_merge_params({"rest_route": "/"})):
            try:
                if await self._is_api(root, page.url):
                    return self._trusted(root, page.url)
            except TransientError as error:  # a server that cannot do the one may do the other
                passing = passing or error
        raise passing or ConfigurationError(
            f"{self._where}: no WordPress REST API at {page.url.host}: neither a Link header nor /wp-json/"
            " nor ?rest_route=/ leads to one (rest_base in extra says where it is)"
        )

    async def _is_api(self, root: httpx.URL, page: httpx.URL) -> bool:
        """Whether a WordPress answers there. One that answers users only is asked with the login."""
        answer = await self._look(root)
        if answer.has_redirect_location:
            answer = await self._look(self._linked(answer, answer.headers["location"]))
            if answer.is_success and "wp/v2" in _namespaces(answer):
                raise ConfigurationError(
                    f"{self._where}: the REST API at {root.copy_with(query=None)} is moved to"
                    f" {answer.url.copy_with(query=None)}, and a redirect loses the login: put the address"
                    " of the site as it is there into host"
                )
            return False
        if answer.status_code in (401, 403):
            answer = await self._look(self._trusted(root, page), login=True)
        # What refuses in WordPress's own words is WordPress: the call itself says what is wrong.
        return "wp/v2" in _namespaces(answer) if answer.is_success else _refuses(answer)

    async def _front_page(self) -> tuple[httpx.Response, str]:
        """The site's front page, wherever it redirects to: any page can hold the link to the API.

        And, when the page is closed at this moment, what to say if the API is not found either.
        """
        page = await self._look(httpx.URL(self._settings.site_url), status_only=True, closed=True)
        for _ in range(_MOST_REDIRECTS):
            if not page.has_redirect_location:
                closed = page.status_code >= 500
                return page, self._closed(page) if closed else ""
            target = self._linked(page, page.headers["location"])
            page = await self._look(target, status_only=True, closed=True)
        raise ConfigurationError(f"{self._where}: WordPress redirects in circles")

    def _closed(self, page: httpx.Response) -> str:
        return (
            f"{self._where}: WordPress answered {page.status_code} at its front page, and no REST API is at"
            " /wp-json/ or ?rest_route=/: the site is down, or a maintenance or coming-soon page closes it"
            " (rest_base in extra says where the API is, if it is open)"
        )

    def _linked(self, page: httpx.Response, link: str) -> httpx.URL:
        try:
            return page.url.join(link)
        except httpx.InvalidURL:
            raise ConfigurationError(f"{self._where}: the site names an address that is not a URL") from None

    def _trusted(self, root: httpx.URL, page: httpx.URL) -> httpx.URL:
        """The root, when the password may go there: to the site's host, and not over a weaker protocol."""
        site = httpx.URL(self._settings.site_url)
        if bare(root.host) not in {bare(site.host), bare(page.host)}:
            raise ConfigurationError(
                f"{self._where}: the site says that its API is at {root.host}: put that into"
                " rest_base in extra if it is right"
            )
        if site.scheme == "https" and root.scheme != "https":
            raise ConfigurationError(f"{self._where}: the site is https, and says that its API is not")
        return root

    async def _look(
        self, url: httpx.URL, *, login: bool = False, closed: bool = False, **options: Any
    ) -> httpx.Response:
        """The answer, refusals, too, but those that may pass: 429, and 5xx unless ``closed``."""
        refusals = {*range(300, 600 if closed else 500)} - {429}
        return await self._api.request("GET", url, login=login, allow=refusals, **options)

    def _object(self, answer: Any, *, changes: bool = False) -> Json:
        if not isinstance(answer, dict):
            raise self.unreadable() if changes else self._api.strange()
        return answer


def endpoint(root: httpx.URL, path: str) -> httpx.URL:
    """The URL of a path of the API, below a root with pretty addresses or with ``?rest_route=``."""
    route = root.params.get("rest_route")
    if route is not None:
        return root.copy_set_param("rest_route", route.rstrip("/") + path)
    return root.copy_with(path=root.path.rstrip("/") + path)


def _said(body: Any) -> tuple[str, str]:
    """WordPress's code and words. A 400 that hides drafts from this user has its code deep inside."""
    if not isinstance(body, dict):
        return "", ""
    code, words = str(body.get("code") or ""), line_of(str(body.get("message") or ""), 200)
    try:
        inner = body["data"]["details"]["status"]["code"]
    except (KeyError, TypeError):
        inner = ""
    shown = " ".join(filter(None, (code, words)))
    return ("rest_forbidden_status" if inner == "rest_forbidden_status" else code), shown


def _namespaces(answer: httpx.Response) -> Collection[str]:
    try:
        return json_in(answer.content)["namespaces"] or ()
    except (ValueError, RecursionError, KeyError, TypeError):
        return ()


def _refuses(answer: httpx.Response) -> bool:
    """Whether the answer is an error in the form that WordPress's API gives to its errors."""
    try:
        return _status_of(json_in(answer.content)) == answer.status_code and answer.status_code in (401, 403)
    except (ValueError, RecursionError):
        return False


def _status_of(body: Any) -> int:
    """The status that an error of the API says it has; 0 when it is no error."""
    if not isinstance(body, dict) or not isinstance(body.get("code"), str) or "message" not in body:
        return 0
    data = body.get("data")
    status = data.get("status") if isinstance(data, dict) else None
    return status if isinstance(status, int) else 0
