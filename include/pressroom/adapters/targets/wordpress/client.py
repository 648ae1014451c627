"""The client of WordPress's REST API. What WordPress says in ways of its own::

    a user that may not see drafts (its 400)  ConfigurationError
    HTML in place of JSON, no such route      ConfigurationError: a guard before the API, or no API there
    404 for a post that was there             TransientError: it went away meanwhile, so look again
    a file that WordPress refuses (its 500)   PermanentError

Everything else is as ``adapters.http.errors`` says.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Collection
from typing import Annotated, Any, Literal, Unpack
from urllib.parse import urlsplit

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from pressroom.adapters.connection import ConnectionFields, secret_of, settings_of, web_address
from pressroom.adapters.http.errors import ErrorRow
from pressroom.adapters.http.service import Json, Service, ServiceClient, is_page
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
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


def _is_web_address(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
        raise ValueError("is not a web address (https://…)")
    return text


class WordPressSettings(BaseModel):
    """One connection. ``site_url``: the front page; ``password``: an application password of ``user``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connection: str
    site_url: str
    user: str = Field(min_length=1)
    password: SecretStr
    rest_base: Annotated[str, AfterValidator(_is_web_address)] = Field(
        default="",
        description="root of the REST API, such as https://example.org/wp-json/ or …/?rest_route=/,"
        " when the site itself does not say where it is",
    )
    status: Literal["publish", "draft", "pending"] = Field(
        default="publish",
        description="what a finished piece becomes; draft and pending leave it to an editor",
    )
    meta_description_field: str = Field(
        default="",
        max_length=100,
        description="the field of a post's meta in which the site's SEO plugin has the meta description,"
        " such as _yoast_wpseo_metadesc; the site must show it in the REST API",
    )
    timeout_seconds: float = Field(default=30, gt=0)
    settle_seconds: float = Field(
        default=30, ge=0, description="how long a piece whose creation was not answered may still turn up"
    )

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> WordPressSettings:
        """Settings from the fields of an HTTP connection.

        ``host``: the site's URL, or a host name that ``schema`` and ``port`` complete; ``login``: the user;
        ``password``: an application password, with or without its spaces; ``extra``: all other settings.
        Raises ConfigurationError that names the connection and the key at fault, and never the password.
        """
        where = f"connection {connection_id!r}"
        user, secret = (fields.get("login") or "").strip(), secret_of(fields)
        if not user or ":" in user:
            raise ConfigurationError(f"{where}: login: the name of the WordPress user is missing")
        if not secret:
            raise ConfigurationError(
                f"{where}: password: no application password (the user's profile in WordPress makes one)"
            )
        return settings_of(
            cls,
            connection_id,
            fields.get("extra"),
            site_url=web_address(connection_id, fields),
            user=user,
            password=secret,
        )

    @property
    def secret(self) -> str:
        """The application password."""
        return self.password.get_secret_value()

    @property
    def base_url(self) -> str:
        """Where the site is; its API is looked for from there."""
        return self.site_url

    @property
    def secrets(self) -> list[str]:
        """The password in every form in which it goes over the wire."""
        basic = base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()
        return [self.secret, "".join(self.secret.split()), basic]


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
            at_once=MOST_CONNECTIONS,
            transport=transport,
        )
        self._where = self._api.where
        self._root: httpx.URL | None = None
        self._finding = asyncio.Lock()

    async def get(self, path: str, **params: str | int) -> Json:
        """The object that a path answers with."""
        return self._object(await self._call("GET", path, params=params), changes=False)

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
        return self._object(
            await self._call(method, path, changes=True, allow=allow, **content), changes=True
        )

    async def _call(self, method: str, path: str, *, changes: bool = False, **options: Any) -> Any:
        url = endpoint(await self._api_root(), path)
        answer = await self._api.request(method, url, changes=changes, **options)
        try:
            return answer.json()
        except (ValueError, RecursionError):
            if is_page(answer):
                raise ConfigurationError(f"{self._where}: {_PAGE}") from None
            raise self._api.strange(changes=changes) from None

    async def _api_root(self) -> httpx.URL:
        """The API's root, looked for once: where the site says it is, or where it usually is."""
        async with self._finding:
            if self._root is None:
                base = self._settings.rest_base
                self._root = httpx.URL(base) if base else await self._discover()
            return self._root

    async def _discover(self) -> httpx.URL:
        page = await self._front_page()
        link = page.links.get(API_RELATION, {}).get("url")
        if link:
            return self._trusted(self._linked(page, link), page.url)
        base = page.url.copy_with(query=None, fragment=None)
        passing: TransientError | None = None
        for root in (endpoint(base, "/wp-json/"), base.copy_merge_params({"rest_route": "/"})):
            try:
                answer = await self._look(root)
            except TransientError as error:  # a server that cannot do the one may do the other
                passing = error
                continue
            if answer.is_success and "wp/v2" in _namespaces(answer):
                return self._trusted(root, page.url)
        raise passing or ConfigurationError(
            f"{self._where}: no WordPress REST API at {page.url.host}: neither a Link header nor /wp-json/"
            " nor ?rest_route=/ leads to one (rest_base in extra says where it is)"
        )

    async def _front_page(self) -> httpx.Response:
        """The site's front page, wherever it redirects to: any page can hold the link to the API."""
        page = await self._look(httpx.URL(self._settings.site_url), status_only=True)
        for _ in range(_MOST_REDIRECTS):
            if not page.has_redirect_location:
                return page
            page = await self._look(self._linked(page, page.headers["location"]), status_only=True)
        raise ConfigurationError(f"{self._where}: WordPress redirects in circles")

    def _linked(self, page: httpx.Response, link: str) -> httpx.URL:
        try:
            return page.url.join(link)
        except httpx.InvalidURL:
            raise ConfigurationError(f"{self._where}: the site names an address that is not a URL") from None

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

    async def _look(self, url: httpx.URL, **options: Any) -> httpx.Response:
        """The answer without a login; refusals, too, but those that may pass (429, 5xx)."""
        refusals = {*range(300, 500)} - {429}
        return await self._api.request("GET", url, login=False, allow=refusals, **options)

    def _object(self, answer: Any, *, changes: bool) -> Json:
        if not isinstance(answer, dict):
            raise self._api.strange(changes=changes)
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
        return answer.json()["namespaces"] or ()
    except (ValueError, KeyError, TypeError):
        return ()


def _bare(host: str) -> str:
    return host.lower().removeprefix("www.")
