"""Articles and posts: read them, and decide on them. A decision is for the version that was seen."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi import Body as FromBody
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse

from pressroom.api.kit.access import ACCOUNT, CONTENT, Scope, allowed
from pressroom.api.kit.idempotency import IdempotencyDep
from pressroom.api.kit.items import MissionFilter, SiteFilter, workflow_of
from pressroom.api.kit.paging import Page, Paged, Paging, wrong_cursor
from pressroom.api.kit.pictures import HEADERS, PICTURE_ANSWER, base_of, image_url, served
from pressroom.api.resources.content import decisions
from pressroom.api.resources.content.decisions import (
    MOST_AT_ONCE,
    ApproveBody,
    Approved,
    ApprovedOfMany,
    ApproveItem,
    Decided,
    EditBody,
    RegenerateBody,
    Regenerated,
    RejectBody,
    piece_of,
)
from pressroom.api.resources.content.models import (
    ArticleStatus,
    ContentKind,
    ContentRow,
    ContentStatus,
    ContentView,
    PostStatus,
    ReadingView,
    article_row,
    content_id,
    post_row,
    row_of,
    whole,
)
from pressroom.domain.definitions import Role
from pressroom.domain.markup.html import sanitize
from pressroom.domain.missions import Mission
from pressroom.domain.public_ids import LARGEST
from pressroom.store.database import Tx
from pressroom.ui.mission.facts import PostRow
from pressroom.ui.mission.page import post_page
from pressroom.ui.site import PagePicture, PreviewedArticle, article_page


def preview(tx: Tx, scope: Scope, base: str) -> str:
    """The page. ``base``: the path below which the API is."""
    return _article(tx, scope.id, base) if scope.kind == "article" else _post(tx, scope.id, base)


def _article(tx: Tx, number: int, base: str) -> str:
    row = article_row(tx, number)
    row |= {"kind": row["idea_type"], "html": sanitize(row["html"])}
    [site] = tx.rows("preview_site", site=row["site_id"])
    pictures = {}
    for image in tx.rows("content_images", content=number):
        if image["media_url"]:
            url = image_url(base, content_id("article", number), image["position"], image["media_url"])
            pictures[image["position"]] = PagePicture(url, image["alt"], image["width"], image["height"])
    return article_page(site, PreviewedArticle(**_only(PreviewedArticle, row)), pictures, index=None)


def _post(tx: Tx, number: int, base: str) -> str:
    row = post_row(tx, number)
    mission = Mission.model_validate(tx.value("mission_definition", mission=row["mission_id"]))
    stored, picture = row["media_url"], None
    if stored:
        url = image_url(base, content_id("post", number), 0, stored)
        picture = None if url == stored else url
    shown = PostRow(
        **_only(PostRow, row | {"approved_as_is": row["approved_hash"] == row["content_hash"], "error": ""})
    )
    return post_page(mission, shown, at=row["at"], topic=row["topic"], picture=picture)


def _only(kind: Any, row: dict[str, Any]) -> dict[str, Any]:
    return {each.name: row[each.name] for each in fields(kind)}


router = APIRouter(prefix="/content", tags=["content"])


@router.get("")
def list_content(
    paging: Paged,
    kind: ContentKind | None = None,
    site: SiteFilter = None,
    mission: MissionFilter = None,
    status: Annotated[
        ContentStatus | None,
        Query(description="only those; articles wait in review, posts in pending_review; null: not archived"),
    ] = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[ContentRow]:
    """Articles and posts, newest first."""
    filters: dict[str, Any] = {
        "workflow": workflow_of(site, mission),
        **_after(paging),
        "limit": paging.fetch,
        "article_statuses": _statuses(ArticleStatus, status) if kind != "post" and mission is None else [],
        "post_statuses": _statuses(PostStatus, status) if kind != "article" and site is None else [],
    }
    with scope.transaction() as tx:
        keys = [(row["kind"], row["id"]) for row in tx.rows("content_page", **filters)]
        rows = {
            (row["kind"], row["id"]): row
            for row in tx.rows(
                "content_listed",
                articles=[number for kind, number in keys if kind == "article"],
                posts=[number for kind, number in keys if kind == "post"],
            )
        }
    return paging.page(
        [rows[key] for key in keys], row_of,
        lambda row: [row["created_at"], row["kind"], row["id"]],
    )  # fmt: skip


def _statuses(known: Any, only: ContentStatus | None) -> list[str]:
    return [status for status in get_args(known) if (status == only if only else status != "archived")]


def _after(paging: Paging) -> dict[str, Any]:
    """Where a page begins: before which time, and at that time before which number of each kind."""
    at, kind, number = paging.after(datetime, str, int) or (None, "", LARGEST)
    if at is not None and kind not in get_args(ContentKind):
        raise wrong_cursor()
    # Of one moment the posts come first, and then the articles.
    return {
        "at": at,
        "article": number if kind == "article" else LARGEST,
        "post": 0 if kind == "article" else number,
    }


@router.post("/approve", response_model=list[ApprovedOfMany])
async def approve_many(
    idempotency: IdempotencyDep,
    items: Annotated[list[ApproveItem], FromBody(min_length=1, max_length=MOST_AT_ONCE)],
    scope: Scope = allowed(Role.APPROVER, ACCOUNT),
) -> JSONResponse:
    """Approve many, each in the version that was seen. A piece that changed since does not stop the
    others.
    """
    return await idempotency.once(scope, 200, lambda: decisions.approve_many(scope, items))


@router.get("/{id}")
def get_content(request: Request, scope: Scope = allowed(Role.VIEWER, CONTENT)) -> ContentView:
    """An article or a post, with everything about it."""
    with scope.transaction() as tx:
        return whole(tx, scope, base_of(request))


@router.patch("/{id}")
def edit_content(
    request: Request, body: EditBody, scope: Scope = allowed(Role.EDITOR, CONTENT)
) -> ContentView:
    """Change the text. This voids an approval: the piece waits for review again."""
    decisions.edit(scope, piece_of(scope), body)
    with scope.transaction() as tx:
        return whole(tx, scope, base_of(request))


@router.get("/{id}/preview", response_class=HTMLResponse)
def preview_content(request: Request, scope: Scope = allowed(Role.VIEWER, CONTENT)) -> HTMLResponse:
    """The piece as an HTML page, without scripts."""
    with scope.transaction() as tx:
        return HTMLResponse(preview(tx, scope, base_of(request)), headers=HEADERS)


@router.get(
    "/{id}/images/{position}",
    response_class=Response,
    responses=PICTURE_ANSWER,
)
def get_image(
    position: Annotated[
        int, Path(ge=0, le=1000, description="0: an article's featured picture, or a post's")
    ],
    scope: Scope = allowed(Role.VIEWER, CONTENT),
) -> Response:
    """A picture that is kept in a folder of this server's."""
    with scope.transaction() as tx:
        if scope.kind == "article":
            images = tx.rows("content_images", content=scope.id)
            picture = next((image for image in images if image["position"] == position), None)
        else:
            picture = post_row(tx, scope.id) if position == 0 else None
    url, media_type = (picture["media_url"], picture["media_type"]) if picture else (None, None)
    return served(url, media_type)


@router.get("/{id}/metrics")
def get_metrics(paging: Paged, scope: Scope = allowed(Role.VIEWER, CONTENT)) -> Page[ReadingView]:
    """What a post had reached at each time that it was measured, newest first. Articles are not measured:
    their list is empty.
    """
    last = paging.after(datetime)
    post = scope.id if scope.kind == "post" else None
    with scope.transaction() as tx:
        rows = tx.all(
            "metrics_of_post", ReadingView, post=post, before=last[0] if last else None, limit=paging.fetch
        )
    return paging.page(rows, lambda row: row, lambda row: [row.at])


@router.post("/{id}/approve", response_model=Approved)
async def approve_content(
    body: ApproveBody, idempotency: IdempotencyDep, scope: Scope = allowed(Role.APPROVER, CONTENT)
) -> JSONResponse:
    """Approve the version that was seen, and have it published."""
    piece = piece_of(scope)
    return await idempotency.once(scope, 200, lambda: decisions.approve_one(scope, piece, body.content_hash))


@router.post("/{id}/reject")
def reject_content(body: RejectBody, scope: Scope = allowed(Role.APPROVER, CONTENT)) -> Decided:
    """Reject the piece, with a reason. Refused once it is published, or may be."""
    decisions.reject(scope, piece_of(scope), body.reason, seen=body.content_hash)
    return Decided(id=content_id(scope.kind, scope.id), status="rejected")


@router.post("/{id}/choose")
def choose_content(scope: Scope = allowed(Role.EDITOR, CONTENT)) -> Decided:
    """Put a post's second version in the first one's place. It then waits for review."""
    return Decided(id=content_id(scope.kind, scope.id), status=decisions.choose(scope, piece_of(scope)))


@router.post("/{id}/regenerate", status_code=202, response_model=Regenerated)
async def regenerate_content(
    idempotency: IdempotencyDep,
    body: RegenerateBody | None = None,
    scope: Scope = allowed(Role.EDITOR, CONTENT),
) -> JSONResponse:
    """Regenerate: this version is archived, and the next waits to be written."""

    async def work() -> Regenerated:
        wanted = body.instructions if body else ""
        return await run_in_threadpool(decisions.regenerate, scope, piece_of(scope), wanted)

    return await idempotency.once(scope, 202, work)
