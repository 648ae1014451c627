"""What an editor weighs: facts beside a piece, its difference to earlier texts, what targets would get."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from pressroom.api.kit.access import CONTENT, Scope, allowed
from pressroom.api.kit.pictures import base_of, image_url
from pressroom.api.kit.problems import problem_of
from pressroom.api.resources.content.models import ArticleView, PostView, content_id, whole
from pressroom.domain.definitions import Role, Site, SiteTarget
from pressroom.domain.errors import PressroomError
from pressroom.domain.grants.access import Access
from pressroom.domain.markup.difference import Change, difference
from pressroom.domain.markup.html import text_of
from pressroom.domain.publishing import Place, arguments_from, arguments_of
from pressroom.pipelines.kept_texts import KeptVersion, kept_texts
from pressroom.pipelines.mission.review import BETWEEN_PARTS
from pressroom.pipelines.site import approval
from pressroom.pipelines.site.checks import Check, checks_of, score_of
from pressroom.pipelines.site.publish import content_of
from pressroom.store import grants
from pressroom.store.database import Tx

router = APIRouter(prefix="/content", tags=["review"])


class PieceCheckView(BaseModel):
    """One check. ``good``: whether it is as it should be."""

    name: str
    good: bool
    detail: str


class SourceView(BaseModel):
    """What a piece was written from."""

    name: str
    text: str


class FactsView(BaseModel):
    """``score``: what the checks give it, of 100. ``cents``: what providers took for it; null: not known."""

    score: int | None
    checks: list[PieceCheckView]
    sources: list[SourceView]
    targets: list[str]
    cents: Decimal | None
    written_by: str
    written_at: datetime


class PassageView(BaseModel):
    """Some words in a row, of a block."""

    change: Change
    text: str


class DifferenceView(BaseModel):
    """A piece beside an earlier text of its. ``blocks``: title and paragraphs, each in passages. ``changed``:
    whether there is any difference. ``by``: who approved the earlier text.
    """

    to: KeptVersion
    at: datetime
    by: str
    changed: bool
    blocks: list[list[PassageView]]


class TargetPicture(BaseModel):
    """A picture that goes along."""

    url: str
    alt: str


class SendingView(BaseModel):
    """What a target would be sent now. ``arguments``: as its handler takes them, by name; ``problem``: why it
    would get nothing, '' if it would.
    """

    target: str
    to: str
    arguments: dict[str, Any]
    pictures: list[TargetPicture]
    problem: str


@router.get("/{id}/facts")
def get_facts(request: Request, scope: Scope = allowed(Role.VIEWER, CONTENT)) -> FactsView:
    """What can be said of a piece without reading it."""
    with scope.transaction() as tx:
        return facts_of(tx, scope, whole(tx, scope, base_of(request)))


@router.get("/{id}/difference")
def get_difference(
    to: Annotated[KeptVersion, Query(description="the text to compare with")] = "generated",
    scope: Scope = allowed(Role.VIEWER, CONTENT),
) -> DifferenceView | None:
    """The present text beside the generated one, or the one that was approved last; null: there is none."""
    with scope.transaction() as tx:
        return differences_of(tx, scope, whole(tx, scope, ""), only=to).get(to)


@router.get("/{id}/targets")
async def get_targets(request: Request, scope: Scope = allowed(Role.VIEWER, CONTENT)) -> list[SendingView]:
    """What each target of an article would be sent now. A post is sent as it stands: its list is empty."""
    return await sendings_of(scope, base_of(request))


def facts_of(tx: Tx, scope: Scope, piece: ArticleView | PostView) -> FactsView:
    """The facts beside a piece."""
    if isinstance(piece, PostView):
        checks = [Check("Parts", bool(piece.parts), f"{len(piece.parts)}", 1.0)]
        if piece.media is not None:
            alt = piece.media.alt
            checks.append(Check("Alternative text", bool(alt), alt or "missing", 1.0))
        sources = [SourceView(name="Topic", text=piece.topic), SourceView(name="Angle", text=piece.angle)]
        score, targets, cents = round(100 * piece.confidence), [piece.platform], None
    else:
        site = scope.workflow(tx).run().site
        checks = checks_of(tx, scope.workflow_id or 0, scope.id)
        score, sources = score_of(checks), _sources(tx, scope.id)
        targets = [target.target_name for target in site.publish.targets]
        cents = tx.value("article_cents", content=scope.id)
    return FactsView(
        score=score,
        checks=[PieceCheckView(name=each.name, good=each.good, detail=each.detail) for each in checks],
        sources=[each for each in sources if each.text], targets=targets, cents=cents,
        written_by=piece.model, written_at=piece.created_at,
    )  # fmt: skip


def _sources(tx: Tx, content: int) -> list[SourceView]:
    [row] = tx.rows("article_sources", content=content)
    keywords = []
    for word in row["keywords"]:
        known = [
            f"{word[name]:,} {unit}" if name == "volume" else f"{unit} {word[name]}"
            for name, unit in (("volume", "a month"), ("difficulty", "difficulty"))
            if word[name] is not None
        ]
        keywords.append(f"{word['text']} ({', '.join(known)})" if known else word["text"])
    return [
        SourceView(name="Idea", text=row["idea"]),
        SourceView(name="Angle", text=row["angle"]),
        SourceView(name="Cluster", text=row["cluster"]),
        SourceView(name="Cluster's keywords", text="; ".join(keywords)),
    ]


def differences_of(
    tx: Tx, scope: Scope, piece: ArticleView | PostView, *, only: KeptVersion | None = None
) -> dict[str, DifferenceView]:
    """A piece beside each text that is kept of it, or ``only`` one of them."""
    now = _blocks_of(piece.kind, piece.title if isinstance(piece, ArticleView) else "", _body_of(piece))
    views = {}
    for version, kept in kept_texts(tx, piece.kind, scope.id).items():
        if only not in (None, version):
            continue
        blocks = difference(_blocks_of(piece.kind, kept.title, kept.body), now)
        views[version] = DifferenceView(
            to=kept.version, at=kept.at, by=kept.by, changed=any(block.changed for block in blocks),
            blocks=[[PassageView(**vars(each)) for each in block.passages] for block in blocks],
        )  # fmt: skip
    return views


def _body_of(piece: ArticleView | PostView) -> str:
    return piece.html if isinstance(piece, ArticleView) else BETWEEN_PARTS.join(piece.parts)


def _blocks_of(kind: str, title: str, body: str) -> list[str]:
    text = text_of(body) if kind == "article" else body
    return [title, *(line.strip() for line in text.split("\n"))]


async def sendings_of(scope: Scope, base: str) -> list[SendingView]:
    """What each target of an article would be sent. ``base``: the path below which pictures are."""
    if scope.kind != "article":
        return []

    def read(tx: Tx) -> tuple[Site, approval.ReviewedArticle | None, list[TargetPicture], Access]:
        site = scope.workflow(tx).run().site
        name = content_id("article", scope.id)
        pictures = [
            TargetPicture(url=image_url(base, name, row["position"], row["media_url"]), alt=row["alt"])
            for row in tx.rows("content_images", content=scope.id)
            if row["media_url"]
        ]
        articles = tx.all(
            "articles_reviewed",
            approval.ReviewedArticle,
            site=scope.workflow_id,
            status=None,
            content=scope.id,
        )
        return site, articles[0] if articles else None, pictures, grants.access(tx, scope.account_id)

    site, article, pictures, access = await scope.run(read)
    if article is None:
        return []
    return [await _sending(scope, access, site, article, pictures, to) for to in site.publish.targets]


async def _sending(
    scope: Scope,
    access: Access,
    site: Site,
    article: approval.ReviewedArticle,
    pictures: list[TargetPicture],
    to: SiteTarget,
) -> SendingView:
    view = SendingView(target=to.target_name, to=to.to, arguments={}, pictures=[], problem="")
    try:
        place = Place(to.to, to.connection_id, to.target_name)
        async with await scope.plane.target(access, place) as target:
            made = arguments_from(target, content_of(article, site), to.to).model_dump(mode="json")
            arguments = arguments_of(target, {**made, **to.settings}, to.target_name, to.settings)
            most = arguments.limits_for(dict(arguments)).pictures
    except PressroomError as error:
        return view.model_copy(update={"problem": problem_of(error).detail})
    sent = {"arguments": arguments.model_dump(mode="json"), "pictures": pictures[:most]}
    return view.model_copy(update=sent)
