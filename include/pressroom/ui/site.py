"""A site's articles as a folder of plain HTML that any browser opens, without a server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from pressroom.domain.errors import PermanentError, TransientError
from pressroom.domain.markup.html import place, suffix_of
from pressroom.store.database import Tx
from pressroom.ui.environment import environment

BUNDLED_MODEL = "SmolLM2-135M"
"""How the bundled model's name begins."""


@dataclass(frozen=True)
class PreviewedArticle:
    """An article with its keywords and its cluster."""

    id: int
    title: str
    slug: str
    meta_description: str
    html: str
    excerpt: str
    tags: list[str]
    word_count: int
    status: str
    model: str
    created_at: datetime
    kind: str
    target_keywords: list[str]
    cluster: str


@dataclass(frozen=True)
class StoredImage:
    """A generated image of an article. Sizes in pixels."""

    content_id: int
    position: int
    alt: str
    media_url: str
    media_type: str
    width: int
    height: int


@dataclass(frozen=True)
class PagePicture:
    """An image as a page shows it: ``src`` is relative to the preview's folder."""

    src: str
    alt: str
    width: int
    height: int


def write_preview(tx: Tx, site: int, folder: Path) -> Path:
    """Write ``index.html``, a page per article and the images into ``folder``. Returns the index's path.

    Covers the articles of one site of the transaction's account. An image without its file is left out.
    Raises PermanentError for an unknown site, TransientError when the folder cannot be written.
    """
    rows = tx.rows("preview_site", site=site)
    if not rows:
        raise PermanentError(f"there is no site {site} in this account")
    articles = tx.all("preview_articles", PreviewedArticle, site=site)
    images = tx.all("preview_images", StoredImage, site=site)
    try:
        return _write(rows[0], articles, images, folder)
    except OSError as error:
        raise TransientError(
            f"the preview cannot be written to {folder}: {error.strerror or error}"
        ) from error


def article_page(
    site: Mapping[str, Any],
    article: PreviewedArticle,
    pictures: Mapping[int, PagePicture],
    *,
    index: str | None,
) -> str:
    """An article as a page of its own. ``pictures``: by position. ``index``: the index page's address."""
    pages = _pages()
    figure = pages.get_template("preview_figure.html.j2")
    inside = [figure.render(picture=pictures[n]) for n in sorted(pictures) if n]
    body = Markup(place(article.html, inside))  # noqa: S704  # sanitised when it was saved
    return pages.get_template("preview_article.html.j2").render(
        site=site, index=index, article=article, featured=pictures.get(0), body=body
    )


@cache
def _pages() -> Environment:
    return environment()


def _write(
    site: Mapping[str, Any], articles: Sequence[PreviewedArticle], images: Sequence[StoredImage], folder: Path
) -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    pictures: dict[int, dict[int, PagePicture]] = {}
    for image in images:
        picture = _copy(image, folder)
        if picture is not None:
            pictures.setdefault(image.content_id, {})[image.position] = picture
    models = sorted({article.model for article in articles})
    common = {
        "site": site,
        "models": models,
        "bundled": any(model.startswith(BUNDLED_MODEL) for model in models),
    }
    for article in articles:
        page = article_page(site, article, pictures.get(article.id, {}), index="index.html")
        (folder / f"{article.slug}.html").write_text(page, "utf-8")
    cards = [(article, pictures.get(article.id, {}).get(0)) for article in articles]
    index = folder / "index.html"
    index.write_text(
        _pages().get_template("preview_index.html.j2").render(
            **common, cards=cards, words=sum(article.word_count for article in articles)
        ),
        "utf-8",
    )  # fmt: skip
    return index


def _copy(image: StoredImage, folder: Path) -> PagePicture | None:
    from upath import UPath  # any storage that media may live in; slow to import, and only needed here

    name = re.sub(r"[^\w.-]", "_", image.media_url.rsplit("/", 1)[-1])
    suffix = suffix_of(image.media_type)
    if not name.endswith(f".{suffix}"):
        name = f"{name}.{suffix}"
    target = folder / "images" / name
    try:
        data = UPath(image.media_url).read_bytes()
    except (OSError, ValueError, ImportError):
        return None
    target.write_bytes(data)
    return PagePicture(f"images/{name}", image.alt, image.width, image.height)
