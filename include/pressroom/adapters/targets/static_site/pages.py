"""The pages of a static site: what a piece is, as front matter, Markdown and HTML, and the lists of all
pieces.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Unpack

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markdownify import markdownify
from markupsafe import Markup
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pressroom.adapters.connection import ConnectionFields, folder, settings_of
from pressroom.domain.markup.html import PICTURE_SUFFIXES
from pressroom.domain.outside import language_tag, moment, web_url

GENERATED = '<meta name="generator" content="Pressroom">'
"""Stands in every page that is made here."""

MOST_IN_FEED = 50

_FENCE = "---\n"
_TYPES = {f".{suffix}": media_type for media_type, suffix in PICTURE_SUFFIXES.items()}


def _is_web_address(text: str) -> str:
    if text and not web_url(text):
        raise ValueError("is not a web address (https://…)")
    return text.rstrip("/")


def _is_language(text: str) -> str:
    if not language_tag(text):
        raise ValueError("is not a language, such as en or pt-BR")
    return language_tag(text)


class StaticSiteSettings(BaseModel):
    """One site. ``folder``: absolute; ``base_url``: where the folder is served, '' when it is opened as
    files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    connection: str = ""
    folder: Path
    base_url: Annotated[str, AfterValidator(_is_web_address)] = ""
    title: str = Field(default="Pressroom", min_length=1, max_length=200)
    description: str = Field(default="", max_length=500)
    language: Annotated[str, AfterValidator(_is_language)] = "en"
    lock_seconds: float = Field(
        default=30, gt=0, description="how long to wait for others that write to the folder"
    )

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> StaticSiteSettings:
        """Settings from the fields of a connection.

        ``host``: the folder, as an absolute path or a ``file://`` URL; or ``path`` in ``extra``, where
        Airflow's own file connections have it; ``extra``: all other settings. Nothing else is used. Raises
        ConfigurationError that names the connection and the key at fault.
        """
        others = dict(fields.get("extra") or {})
        path = fields.get("host") or str(others.pop("path", None) or "")
        return settings_of(cls, connection_id, others, folder=folder(connection_id, path))


@dataclass(frozen=True)
class Shown:
    """A picture of a piece. ``file``: its name, in the piece's folder."""

    file: str
    alt: str = ""


@dataclass(frozen=True)
class SitePage:
    """A piece as its front matter says it. ``folder``: its name, in the site's; ``date``: when it appears,
    aware; ``account``: whose it is, '' for one of before that was kept.
    """

    folder: str
    key: str
    title: str
    date: datetime
    excerpt: str = ""
    meta_description: str = ""
    tags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    link: str = ""
    pictures: tuple[Shown, ...] = ()
    account: str = ""

    @property
    def guid(self) -> str:
        """What a feed's readers know it by."""
        return f"pressroom:{hashlib.sha256(self.key.encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class Enclosure:
    """A piece's first picture in the feed. ``size``: bytes."""

    url: str
    size: int
    media_type: str


def to_markdown(page: SitePage, body: str) -> str:
    """The piece as Markdown with YAML front matter. ``body``: clean HTML."""
    matter = {
        "key": page.key,
        "title": page.title,
        "date": page.date.isoformat(),
        "description": page.excerpt,
        "meta_description": page.meta_description,
        "categories": list(page.categories),
        "tags": list(page.tags),
        "link": page.link,
        "pictures": [{"file": picture.file, "alt": picture.alt} for picture in page.pictures],
    }
    if page.account:
        matter["account"] = page.account
    front = yaml.safe_dump(matter, allow_unicode=True, sort_keys=False, width=10_000)
    # Markup that the text shows as text must not come to life when the Markdown is rendered.
    text = markdownify(body, heading_style="ATX", bullets="-", escape_misc=True).strip()
    return f"{_FENCE}{front}{_FENCE}\n{text}\n"


def from_markdown(text: str, folder: str) -> SitePage:
    """The piece that a front matter describes. Raises ValueError when it cannot be read."""
    head, fence, _ = text.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    try:
        matter = yaml.safe_load(head) if text.startswith(_FENCE) and fence else None
    except yaml.YAMLError:
        matter = None
    if not isinstance(matter, dict):
        matter = {}
    date = moment(matter.get("date"))
    key, title = matter.get("key"), matter.get("title")
    if not isinstance(key, str) or not key or title is None or date is None:
        raise ValueError("its front matter lacks key, title or date, or is none")
    return SitePage(
        folder,
        key,
        str(title),
        date,
        excerpt=str(matter.get("description") or ""),
        meta_description=str(matter.get("meta_description") or ""),
        tags=_texts(matter.get("tags")),
        categories=_texts(matter.get("categories")),
        link=web_url(matter.get("link")),
        pictures=tuple(
            Shown(Path(str(entry["file"])).name, str(entry.get("alt") or ""))
            for entry in matter.get("pictures") or ()
            if isinstance(entry, dict) and entry.get("file")
        ),
        account=str(matter.get("account") or ""),
    )


def to_html(site: StaticSiteSettings, page: SitePage, body: str) -> str:
    """The piece's page. ``body``: clean HTML; the first picture leads unless the body has it."""
    lead = page.pictures[0].file if page.pictures else ""
    return _template("piece.html.j2").render(
        site=site,
        piece=page,
        address=address(site, page.folder) if site.base_url else "",
        body=Markup(body),  # noqa: S704  # cleaned by the caller
        show_lead=f' src="{lead}"' not in body,
    )


def index_of(site: StaticSiteSettings, pages: Sequence[SitePage]) -> str:
    """The front page, pieces in the given order."""
    return _template("index.html.j2").render(site=site, pieces=pages)


def feed_of(
    site: StaticSiteSettings, pages: Sequence[SitePage], sizes: Mapping[str, int], built: datetime
) -> str:
    """RSS 2.0 of the first pieces. ``sizes``: bytes of pictures, by folder and file name."""
    shown = [
        (page, address(site, page.folder), _enclosure(site, page, sizes)) for page in pages[:MOST_IN_FEED]
    ]
    return _template("rss.xml.j2").render(site=site, home=address(site, ""), built=built, pieces=shown)


def address(site: StaticSiteSettings, folder: str) -> str:
    """Where people see a piece; of '', the site."""
    if site.base_url:
        return f"{site.base_url}/{folder}/" if folder else f"{site.base_url}/"
    return (site.folder / folder / "index.html").as_uri()


def _enclosure(site: StaticSiteSettings, page: SitePage, sizes: Mapping[str, int]) -> Enclosure | None:
    if not page.pictures or not site.base_url:
        return None
    place = f"{page.folder}/{page.pictures[0].file}"
    media_type = _TYPES.get(Path(place).suffix)
    if media_type is None or place not in sizes:
        return None
    return Enclosure(f"{site.base_url}/{place}", sizes[place], media_type)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(text) for text in value) if isinstance(value, list) else ()


def _rfc2822(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rfc2822"] = _rfc2822
    environment.filters["as_html"] = html.escape
    return environment


def _template(name: str) -> Template:
    return _environment().get_template(name)
