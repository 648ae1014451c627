"""Requests to WordPress's REST API, and every way they can fail as one of our errors::

    no connection                             TransientError: nothing was sent
    no answer, broken answer, 5xx, 408, 425   TransientError; UnknownOutcome for whatever writes
    429                                       TransientError with its Retry-After: the request was not taken
    401, 403, a redirect, HTML, no such route ConfigurationError
    404 for a post that was there             TransientError: it went away meanwhile, so look again
    a file that WordPress refuses (its 500)   PermanentError
    other 4xx                                 PermanentError with WordPress's words

The texts of errors are made here and scrubbed, and raised ``from None``: httpx's own can hold a whole URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import httpx

from pressroom.adapters.http.errors import PASSING, UNSENDABLE, UNSENT
from pressroom.adapters.http.retry_after import retry_after
from pressroom.adapters.targets.wordpress.settings import WordPressSettings
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.markup import line_of

Json = dict[str, Any]

API_RELATION = "https://api.w.org/"
# A site is often a small machine: more at once would only make each of them slower.
MOST_CONNECTIONS = 8

_GONE = {"rest_post_invalid_id"}
# WordPress says 500 where it means that the file is at fault.
_BAD_FILE = {"rest_upload_unknown_error", "rest_upload_sideload_error"}
_NO_API = {"rest_no_route", "rest_disabled"}
_LOGIN = (
    "the user or the application password is wrong, application passwords are off, or the server or a plugin"
    " takes the Authorization header away"
)
_PAGE = (
    "it answers with a page instead of JSON: a security, login or maintenance page stands before the API,"
    " or the API is elsewhere (rest_base in extra)"
)


class Calls:
    """A client of one site's API. ``transport`` takes the network's place in tests."""

    def __init__(
        self, settings: WordPressSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._where = f"connection {settings.connection!r}"
        self._auth = httpx.BasicAuth(settings.user, settings.secret)
        # Waiting for a free connection of our own is no failure of the site's.
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(settings.timeout_seconds, pool=None),
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS),
            headers={"Accept": "application/json"},
            transport=transport,
        )
        self._root: httpx.URL | None = None
        self._finding = asyncio.Lock()

    async def close(self) -> None:
        """Let go of its connections."""
        await self._http.aclose()

    async def get(self, path: str, **params: str | int) -> Json:
        """The object that a path answers with."""
        return self._object(await self._call("GET", path, params=params), writes=False)

    async def listed(self, path: str, **params: str | int) -> list[Json]:
        """The objects that a path lists, at most the first hundred."""
        found = await self._call("GET", path, params={"per_page": 100, **params})
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._strange(writes=False)
        return found

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
        given: dict[str, Any] = {"json": body} if body is not None and file is None else {}
        if file is not None:
            given = {"data": body or {}, "files": {"file": file}}
        return self._object(await self._call(method, path, writes=True, allow=allow, **given), writes=True)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        writes: bool = False,
        allow: Collection[str] = (),
        **given: Any,
    ) -> Any:
        url = endpoint(await self._api(), path).copy_merge_params(params or {})
        answer = await self._send(method, url, writes=writes, auth=self._auth, **given)
        if answer.is_success:
            return self._json(answer, writes=writes)
        body = _body(answer)
        if body.get("code") in allow:
            return body
        raise refused(answer, body, self._settings, writes=writes)

    async def _api(self) -> httpx.URL:
        """The API's root, looked for once: where the site says it is, or where it usually is."""
        async with self._finding:
            if self._root is None:
                given = self._settings.rest_base
                self._root = httpx.URL(given) if given else await self._discover()
            return self._root

    async def _discover(self) -> httpx.URL:
        site = httpx.URL(self._settings.site_url)
        page = await self._send("GET", site, follow_redirects=True)
        if page.status_code == 429 or page.status_code >= 500:
            raise refused(page, {}, self._settings, writes=False)
        link = page.links.get(API_RELATION, {}).get("url")
        if link:
            return self._trusted(page.url.join(link), page.url)
        base = page.url.copy_with(query=None, fragment=None)
        for root in (endpoint(base, "/wp-json/"), base.copy_merge_params({"rest_route": "/"})):
            answer = await self._send("GET", root)
            if answer.is_success and "wp/v2" in (_body(answer).get("namespaces") or ()):
                return self._trusted(root, page.url)
        raise ConfigurationError(
            f"{self._where}: no WordPress REST API at {site.host}: neither a Link header nor /wp-json/ nor"
            " ?rest_route=/ leads to one (rest_base in extra says where it is)"
        )

    def _trusted(self, root: httpx.URL, page: httpx.URL) -> httpx.URL:
        """The root, when the password may go there: to the site's host, and not over a weaker protocol."""
        site = httpx.URL(self._settings.site_url)
        if _bare(root.host) not in {_bare(site.host), _bare(page.host)}:
            raise ConfigurationError(
                f"{self._where}: the site says that its API is at {root.host}: put that into"
                " rest_base in extra if it is right"
            )
        if site.scheme == "https" and root.scheme != "https":
            raise ConfigurationError(f"{self._where}: the site is https, and says that its API is not")
        return root

    async def _send(
        self, method: str, url: httpx.URL, *, writes: bool = False, **given: Any
    ) -> httpx.Response:
        try:
            return await self._http.request(method, url, **given)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise unanswered(error, self._where, writes=writes) from None

    def _json(self, answer: httpx.Response, *, writes: bool) -> Any:
        try:
            return answer.json()
        except ValueError:
            if _is_page(answer):
                raise ConfigurationError(f"{self._where}: {_PAGE}") from None
            raise self._strange(writes=writes) from None

    def _object(self, answer: Any, *, writes: bool) -> Json:
        if not isinstance(answer, dict):
            raise self._strange(writes=writes)
        return answer

    def _strange(self, *, writes: bool) -> TransientError:
        kind = UnknownOutcome if writes else TransientError
        return kind(f"{self._where}: the answer is not what WordPress's API promises")


def endpoint(root: httpx.URL, path: str) -> httpx.URL:
    """The URL of a path of the API, below a root with pretty addresses or with ``?rest_route=``."""
    route = root.params.get("rest_route")
    if route is not None:
        return root.copy_set_param("rest_route", route.rstrip("/") + path)
    return root.copy_with(path=root.path.rstrip("/") + path)


def unanswered(error: Exception, where: str, *, writes: bool) -> PressroomError:
    """Our error for a request that got no whole answer."""
    name = type(error).__name__
    if isinstance(error, UNSENDABLE):
        return ConfigurationError(f"{where}: the request cannot be sent: {name}")
    if isinstance(error, httpx.TooManyRedirects):
        return ConfigurationError(f"{where}: the site redirects in circles")
    if isinstance(error, UNSENT):
        return TransientError(f"{where}: WordPress cannot be reached: {name}")
    if writes:
        return UnknownOutcome(f"{where}: no answer, it may have been done: {name}")
    return TransientError(f"{where}: no whole answer: {name}")


def refused(
    answer: httpx.Response, body: Json, settings: WordPressSettings, *, writes: bool
) -> PressroomError:
    """Our error for an answer that is no success. ``body``: its JSON, {} when it has none."""
    status, code = answer.status_code, str(body.get("code") or "")
    words = line_of(str(body.get("message") or ""), 300)
    where = f"connection {settings.connection!r}"
    text = settings.hide(f"{where}: WordPress answered {status} {code}{f': {words}' if words else ''}")
    if status == 429:
        return TransientError(text, retry_after=retry_after(answer.headers))
    if code in _BAD_FILE:
        return PermanentError(text)
    if status >= 500 or status in PASSING:
        kind = UnknownOutcome if writes else TransientError
        return kind(text, retry_after=retry_after(answer.headers))
    if code in _GONE:
        return TransientError(text)
    return _refused_for_good(status, body, where, text, page=_is_page(answer))


def _refused_for_good(status: int, body: Json, where: str, text: str, *, page: bool) -> PressroomError:
    code = str(body.get("code") or "")
    if status == 401 or _forbids_reading(body):
        return ConfigurationError(f"{text} ({_LOGIN})")
    if status == 403:
        return ConfigurationError(text if body else f"{text} ({_PAGE})")
    if status < 400:
        return ConfigurationError(
            f"{where}: it answered {status}, a redirect: put the site's final address in host"
        )
    if code in _NO_API or (status == 404 and page):
        return ConfigurationError(f"{text} (the REST API is switched off, or elsewhere: rest_base in extra)")
    return PermanentError(text)


def _forbids_reading(body: Json) -> bool:
    """Whether a 400 says that this user, or nobody logged in, may not see drafts."""
    data = body.get("data")
    details = data.get("details") if isinstance(data, dict) else None
    status = details.get("status") if isinstance(details, dict) else None
    return isinstance(status, dict) and status.get("code") == "rest_forbidden_status"


def _body(answer: httpx.Response) -> Json:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _is_page(answer: httpx.Response) -> bool:
    return "html" in answer.headers.get("content-type", "") or answer.content.lstrip()[:1] == b"<"


def _bare(host: str) -> str:
    return host.lower().removeprefix("www.")
