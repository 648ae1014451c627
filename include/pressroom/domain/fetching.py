"""The settings of fetch steps, one model for each kind of source, and the port to folders of files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Protocol, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from pressroom.domain.definitions import Definition
from pressroom.domain.outside import web_url

_PATH = r"^[^.\x00-\x1f]{1,100}(\.[^.\x00-\x1f]{1,100}){0,9}$"


def _http(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{url[:80]!r} is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url[:80]!r} must be a web address that starts with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("a user name or password in a URL is refused: use an Airflow connection")
    if not web_url(url):
        raise ValueError(f"{url[:80]!r} has characters that a URL cannot have")
    return url


WebAddress = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_http)]
DottedPath = Annotated[
    str,
    StringConstraints(pattern=_PATH),
    Field(description="names and list positions joined by dots, such as data.items or images.0.src"),
]
Start = Annotated[str, StringConstraints(pattern=r"^(now|all|newest [1-9]\d{0,2})$")]
Term = Annotated[str, StringConstraints(pattern=r"^[^\s,/?#&]{1,100}$")]


def place_of(url: str) -> str:
    """An address without what does not tell two places apart: scheme, www, the host's case, a last slash."""
    rest = re.sub(r"^https?://(www\.)?|#.*$", "", url, flags=re.IGNORECASE)
    end = re.search(r"[/?]|$", rest)
    host = rest[: end.start()] if end else rest
    return (host.lower() + rest[len(host) :]).rstrip("/")


class Fetch(Definition):
    """The settings that all sources have."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cap: int = Field(default=10, ge=1, le=100, description="items a run takes at most, the newest first")
    start: Start | None = Field(
        default=None,
        description="what a flow's first run does with what is there already: now (leave it all), newest N"
        " (take the newest, leave the rest), all (take it, run by run); left out: the newest, up to cap",
    )

    @property
    def most_at_start(self) -> int | None:
        """How many of the items that are there before the first run are taken up; None: all, in time."""
        word, _, number = (self.start or f"newest {self.cap}").partition(" ")
        return {"now": 0, "all": None}.get(word, int(number or 0))

    @property
    def feed(self) -> str:
        """The source by name, within which its ids are unique: two ways to write one address are one."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _starts_within_the_cap(self) -> Self:
        most = self.most_at_start
        if most is not None and most > self.cap:
            raise ValueError(f"start: {self.start} is more than cap, {self.cap}: a first run takes up to cap")
        return self


class RssFetch(Fetch):
    """A feed: RSS of any version, Atom, or JSON Feed."""

    type: Literal["rss"]
    url: WebAddress

    @property
    def feed(self) -> str:
        return f"rss {place_of(self.url)}"


class WordpressFetch(Fetch):
    """The public posts of a WordPress site, over its REST API."""

    type: Literal["wordpress"]
    url: WebAddress = Field(description="the site's address, such as https://blog.example.com")
    categories: list[Term] = Field(default_factory=list, max_length=20, description="slugs; any of them")
    tags: list[Term] = Field(default_factory=list, max_length=20, description="slugs; any of them")
    search: str = Field(default="", max_length=200, description="posts that hold these words")

    @property
    def feed(self) -> str:
        return f"wordpress {place_of(self.url)}"


class WebFetch(Fetch):
    """One web page, or the pages that a sitemap lists: the main text of each."""

    type: Literal["web"]
    url: WebAddress
    sitemap: bool = Field(
        default=False, description="the address is that of a sitemap, or of an index of them"
    )
    contains: str = Field(default="", max_length=200, description="only the sitemap's URLs with this in them")
    changes: bool = Field(default=False, description="fetch a page again when its main text has changed")

    @property
    def feed(self) -> str:
        """The whole web: a page's id is its address, whichever sitemap lists it."""
        return "web"


class FieldPaths(Definition):
    """Where an entry of a JSON document has the fields of an item. None: the entry does not have it."""

    id: DottedPath | None = Field(default="id", description="without it, the URL or the content is the id")
    title: DottedPath | None = "title"
    text: DottedPath | None = "text"
    html: DottedPath | None = None
    url: DottedPath | None = "url"
    published_at: DottedPath | None = Field(
        default="published_at", description="ISO 8601, RFC 2822, or seconds or milliseconds since 1970"
    )
    author: DottedPath | None = None
    tags: DottedPath | None = Field(default=None, description="a list of texts, or one with commas")
    image: DottedPath | None = Field(default=None, description="a URL, or a list of them")
    language: DottedPath | None = None


class JsonFetch(Fetch):
    """A JSON document on the web with a list of entries."""

    type: Literal["json"]
    url: WebAddress
    items: DottedPath | None = Field(default=None, description="where the list is; None: the document is it")
    fields: FieldPaths = FieldPaths()
    extra: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w{0,39}$")], DottedPath] = Field(
        default_factory=dict, max_length=20, description="name → path; the values are in item.extra"
    )

    @property
    def feed(self) -> str:
        return f"json {place_of(self.url)}" + (f" {self.items}" if self.items else "")


class FilesFetch(Fetch):
    """Text, Markdown, HTML and JSON files below a folder of an object store or of this machine."""

    type: Literal["files"]
    path: str = Field(min_length=1, max_length=1000, description="such as s3://bucket/drafts")
    connection: str | None = Field(
        default=None, pattern=r"^[\w.-]{1,200}$", description="an Airflow connection"
    )
    pattern: str = Field(
        default="*", min_length=1, max_length=200, description="of the names below the folder"
    )
    changes: bool = Field(default=False, description="fetch a file again when it was modified")

    @property
    def feed(self) -> str:
        return f"files {self.connection} {self.path}" if self.connection else f"files {self.path}"


FetchSettings = Annotated[
    RssFetch | WordpressFetch | WebFetch | JsonFetch | FilesFetch, Field(discriminator="type")
]


@dataclass(frozen=True)
class FileEntry:
    """A file of a folder. ``name``: relative to the folder, with ``/``. ``size``: in bytes."""

    name: str
    size: int
    modified: datetime | None = None

    @property
    def is_below(self) -> bool:
        """Whether the name stays below the folder."""
        parts = re.split(r"[\\/]", self.name)
        return (
            bool(self.name) and not any(part in ("", ".", "..") for part in parts) and "\0" not in self.name
        )


class FileSource(Protocol):
    """A folder. Both methods may block, and raise only errors of ``domain.errors``."""

    def entries(self) -> Sequence[FileEntry]:
        """The files below the folder, at any depth."""
        ...

    def read(self, name: str, most: int) -> bytes:
        """The first ``most`` bytes of a file."""
        ...
