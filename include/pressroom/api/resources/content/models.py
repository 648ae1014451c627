"""Articles and posts, as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from pressroom.api.kit.access import Scope
from pressroom.api.kit.pictures import image_url
from pressroom.api.kit.problems import not_found
from pressroom.api.resources.publications import PublicationView, of_content
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.public_ids import ARTICLE, CONTENT, JOB, MISSION, public_id
from pressroom.pipelines.site import approval
from pressroom.store.database import Tx

ContentKind = Literal["article", "post"]
ArticleStatus = Literal[
    "draft", "review", "approved", "rejected", "scheduled", "published", "failed", "archived"
]
PostStatus = Literal[
    "draft", "pending_review", "approved", "rejected", "scheduled", "published", "failed", "archived"
]
ContentStatus = Literal[
    "draft", "review", "pending_review", "approved", "rejected", "scheduled", "published", "failed",
    "archived",
]  # fmt: skip
TITLE_CHARS = 120


class ContentRow(BaseModel):
    """A line of a list of articles and posts. ``title``: of a post, its beginning.

    ``content_hash``: the hash of what would be published, which an approval or an edit names; '' for an
    article that has not gone to review.
    """

    id: str
    kind: ContentKind
    site_id: int | None
    mission_id: str | None
    title: str
    status: ContentStatus
    content_hash: str
    word_count: int | None
    platform: str | None
    created_at: datetime
    updated_at: datetime
    approved_by: str | None


class ImageView(BaseModel):
    """A picture. ``url``: null until it is drawn. The featured picture has position 0."""

    position: int
    role: Literal["featured", "in_article"]
    status: Literal["pending", "generated"]
    url: str | None
    media_type: str | None
    width: int | None
    height: int | None
    alt: str
    prompt: str


class _Whole(BaseModel):
    """The fields that articles and posts share. ``revision``: the version's number; ``guidance``: the
    reviewer's instructions for it.
    """

    id: str
    content_hash: str
    approved_hash: str | None
    approved_by: str | None
    review_note: str
    revision: int
    guidance: str
    model: str
    created_at: datetime
    updated_at: datetime
    publications: list[PublicationView]


class ArticleView(_Whole):
    """A site's article. ``html`` is sanitised; the pictures stand in it in order, one to a section."""

    kind: Literal["article"] = "article"
    site_id: int
    idea_id: int
    status: ArticleStatus
    title: str
    slug: str
    meta_description: str
    html: str
    excerpt: str
    tags: list[str]
    word_count: int
    cluster: str
    target_keywords: list[str]
    images: list[ImageView]
    approved_at: datetime | None
    published_at: datetime | None


class PostMedia(BaseModel):
    """A post's picture."""

    url: str
    media_type: str
    alt: str


class PostView(_Whole):
    """A mission's post. ``parts``: as they are published; ``scheduled_for``: its slot's time; ``job``: its
    cycle's; ``variant``: B is a slot's second version.
    """

    kind: Literal["post"] = "post"
    mission_id: str
    job: str
    cycle: int
    status: PostStatus
    platform: str
    format: str
    variant: Literal["A", "B"]
    headline: str
    cta: str
    parts: list[str]
    hashtags: list[str]
    mentions: list[str]
    adaptations: dict[str, Any]
    options: dict[str, Any]
    media: PostMedia | None
    scheduled_for: datetime
    topic: str
    angle: str
    choices: dict[str, Any]
    confidence: float


class ReadingView(BaseModel):
    """A post's numbers at one time, as they had added up by then. ``engagement_rate``: in percent."""

    at: datetime
    published_at: datetime
    impressions: int
    engagements: int
    engagement_rate: float
    link_clicks: int
    new_followers: int


ContentView = Annotated[ArticleView | PostView, Field(discriminator="kind")]


def row_of(row: Mapping[str, Any]) -> ContentRow:
    """The view of a row of ``content_listed``."""
    article = row["kind"] == "article"
    return ContentRow(**{
        **row,
        "id": content_id(row["kind"], row["id"]),
        "site_id": row["workflow_id"] if article else None,
        "mission_id": None if article else public_id(MISSION, row["workflow_id"]),
        "title": shorten(row["title"], TITLE_CHARS),
    })  # fmt: skip


def content_id(kind: str, number: int) -> str:
    """``art_12`` or ``cnt_12``."""
    return public_id(ARTICLE if kind == "article" else CONTENT, number)


def whole(tx: Tx, scope: Scope, base: str) -> ArticleView | PostView:
    """The article or post that a request is about. ``base``: the path below which the API is."""
    if scope.kind == "article":
        return _article(tx, scope.id, base)
    return _post(tx, scope.id, base)


def article_row(tx: Tx, number: int) -> dict[str, Any]:
    """The row of an article. Raises Problem 404."""
    rows = tx.rows("content_article", content=number)
    if not rows:
        raise not_found("content")
    return rows[0]


def post_row(tx: Tx, number: int) -> dict[str, Any]:
    """The row of a post. Raises Problem 404."""
    rows = tx.rows("content_post", post=number)
    if not rows:
        raise not_found("content")
    return rows[0]


def _article(tx: Tx, number: int, base: str) -> ArticleView:
    row, pictures = article_row(tx, number), tx.rows("content_images", content=number)
    name = content_id("article", number)
    images = [ImageView(**image, url=_place(base, name, image)) for image in pictures]
    return ArticleView(**{
        **row, "id": name, "images": images, "content_hash": _hash(tx, row),
        "publications": of_content(tx, f"article:{number}"),
    })  # fmt: skip


def _place(base: str, name: str, image: Mapping[str, Any]) -> str | None:
    stored = image["media_url"]
    return None if stored is None else image_url(base, name, image["position"], stored)


def _hash(tx: Tx, row: Mapping[str, Any]) -> str:
    """The hash of the article as its rows are now; an approval must name it."""
    if row["status"] not in approval.REVIEWED:
        return str(row["content_hash"])
    facts = {each.name: row[each.name] for each in fields(approval.ReviewedArticle)}
    pictures = approval.pictures(tx, row["site_id"], [row["id"]]).get(row["id"], [])
    return approval.content_hash(approval.ReviewedArticle(**facts), pictures)


def _post(tx: Tx, number: int, base: str) -> PostView:
    row = post_row(tx, number)
    name, media = content_id("post", number), None
    if row["media_url"]:
        url = image_url(base, name, 0, row["media_url"])
        media = PostMedia(url=url, media_type=row["media_type"], alt=row["media_alt"])
    return PostView(**{
        **row, "id": name, "mission_id": public_id(MISSION, row["mission_id"]),
        "job": public_id(JOB, row["run_id"]), "scheduled_for": row["at"], "media": media,
        "publications": of_content(tx, f"post:{number}"),
    })  # fmt: skip
