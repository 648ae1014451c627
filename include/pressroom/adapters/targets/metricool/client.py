"""Requests to Metricool's API, and every way they can fail as one of our errors::

    no connection                        TransientError: nothing was sent
    no answer, broken answer, 5xx        TransientError; UnknownOutcome when something was to be created
    408, 425                             likewise
    429                                  TransientError with its Retry-After: the request was not taken
    401, 402, 403, a redirect            ConfigurationError
    400 for a time that is over          PastDate
    other 4xx                            PermanentError with the server's words

The texts of errors are made here and scrubbed, and raised ``from None``: httpx's own can hold a whole URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from pressroom.adapters.http.errors import PASSING, unanswered
from pressroom.adapters.http.retry_after import retry_after
from pressroom.adapters.http.scrub import scrub
from pressroom.adapters.targets.metricool.settings import MetricoolSettings
from pressroom.domain.errors import (
    ConfigurationError,
    PastDate,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)

SIMULATOR_HEADER = "X-Pressroom-Simulator"
MOST_PAGES = 200

_SETUP = {401, 402, 403}
_PAST = re.compile(r"\bin the past\b", re.IGNORECASE)

Json = dict[str, Any]


class Calls:
    """A client of one brand. Use as an async context manager; ``transport`` takes the network's place."""

    def __init__(
        self, settings: MetricoolSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._where = f"connection {settings.connection!r}"
        self._http = httpx.AsyncClient(
            headers={**settings.headers, "Accept": "application/json, text/plain"},
            timeout=settings.timeout_seconds,
            transport=transport,
        )

    async def close(self) -> None:
        """Let go of its connections."""
        await self._http.aclose()

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON that a path answers with."""
        return self._json(await self._request("GET", path, params))

    async def text(self, path: str, **params: Any) -> str:
        """What a path answers with, as it is."""
        return (await self._request("GET", path, params)).text

    async def create(self, path: str, body: Json) -> Any:
        """POST, and the JSON of the answer. Raises UnknownOutcome when the server may have taken it."""
        return self._json(await self._request("POST", path, {}, body=body, creates=True), creates=True)

    async def delete(self, path: str) -> Any:
        """DELETE, and the JSON of the answer; None when the server knows no such thing."""
        answer = await self._request("DELETE", path, {}, absent=True)
        return None if answer.status_code == 404 else self._json(answer)

    async def get_if_there(self, path: str) -> Any:
        """The JSON that a path answers with; None when there is nothing."""
        answer = await self._request("GET", path, {}, absent=True)
        return None if answer.status_code == 404 else self._json(answer)

    async def pages(self, path: str, **params: Any) -> list[Json]:
        """Every entry of a list, over all its pages. A list that cannot be read whole is an error."""
        answer = await self.get(path, **params)
        found = self.listed(answer)
        for _ in range(MOST_PAGES):
            page = answer.get("page") if isinstance(answer, dict) else None
            following = page.get("next") if isinstance(page, dict) else None
            if not following:
                return found
            answer = await self.get(self._next(str(following)))
            found += self.listed(answer)
        raise TransientError(f"{self._where}: a list of Metricool's does not end")

    def listed(self, answer: Any) -> list[Json]:
        """The entries of an answer that is a list, bare or as ``data``. Raises TransientError for others."""
        entries = answer.get("data") if isinstance(answer, dict) else answer
        if entries is None and isinstance(answer, dict) and "data" in answer:
            return []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self.strange()
        return list(entries)

    def strange(self) -> TransientError:
        """The error for an answer that is not what the API promises."""
        return TransientError(f"{self._where}: the server's answer is not what Metricool's API promises")

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any],
        *,
        body: Json | None = None,
        creates: bool = False,
        absent: bool = False,
    ) -> httpx.Response:
        """``creates``: a failure may have had its effect; ``absent``: 404 is an answer like others."""
        own = {"userId": self._settings.user_id, "blogId": self._settings.blog_id}
        url = path if "://" in path else f"{self._settings.base_url}{path}"
        try:
            # The next page's URL has its own query, which must stay.
            answer = await self._http.request(
                method, httpx.URL(url).copy_merge_params({**own, **params}), json=body
            )
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            lost = "the post may have been accepted" if creates else ""
            raise unanswered(error, self._where, "Metricool", lost=lost) from None
        if answer.is_success or (absent and answer.status_code == 404):
            self._check_kind(answer)
            return answer
        raise refused(answer, self._where, self._settings.secret, creates=creates)

    def _check_kind(self, answer: httpx.Response) -> None:
        """What comes from a simulator must be known to: its results are labelled, its clock is another."""
        simulated = SIMULATOR_HEADER in answer.headers
        if simulated and not self._settings.simulator:
            raise ConfigurationError(f'{self._where}: this is the simulator: put "simulator": true in extra')
        if not simulated and self._settings.simulator and answer.is_success:
            raise ConfigurationError(
                f"{self._where}: extra says that this is the simulator, and the server is not one"
            )

    def _json(self, answer: httpx.Response, *, creates: bool = False) -> Any:
        try:
            return answer.json()
        except ValueError:
            strange = self.strange()
            raise (UnknownOutcome(str(strange)) if creates else strange) from None

    def _next(self, following: str) -> str:
        """The URL of the next page. The token goes to the connection's own server only."""
        url = urljoin(f"{self._settings.base_url}/", following)
        path = following.startswith("/") or "://" in following
        if not path or urlsplit(url)[:2] != urlsplit(self._settings.base_url)[:2]:
            raise PermanentError(f"{self._where}: Metricool's list goes on at a place that is not understood")
        return url


def refused(answer: httpx.Response, where: str, secret: str, *, creates: bool) -> PressroomError:
    """Our error for an answer that is no success. ``secret``: the token, kept out of the text."""
    status = answer.status_code
    words = said(answer)
    text = scrub(f"{where}: Metricool answered {status}{f': {words}' if words else ''}", secret)
    if status == 429:
        return TransientError(text, retry_after=retry_after(answer.headers))
    if status >= 500 or status in PASSING:
        kind = UnknownOutcome if creates else TransientError
        return kind(text, retry_after=retry_after(answer.headers))
    if status in _SETUP:
        return ConfigurationError(text)
    if status < 400:
        return ConfigurationError(f"{where}: Metricool's API is not at this address (it answered {status})")
    if status == 400 and _PAST.search(words):
        return PastDate(text)
    return PermanentError(text)


def said(answer: httpx.Response) -> str:
    """What the server said of its refusal, in its words; of a page of HTML, nothing."""
    try:
        body = answer.json()
    except ValueError:
        kind = answer.headers.get("content-type", "")
        return "" if "html" in kind else answer.text
    if isinstance(body, dict):
        inner = next((body[key] for key in ("message", "detail", "error", "title") if body.get(key)), body)
        return str(inner)
    return str(body)
