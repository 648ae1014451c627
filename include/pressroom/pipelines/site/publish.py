"""Approved articles → the site's targets, each once on each. A newly approved version is changed in place.

What each target has, the publication ledger knows: one target's failure never holds another, and what is
there is not sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pressroom.domain.definitions import Site, SiteTarget
from pressroom.domain.errors import ApprovalVoid, ConfigurationError
from pressroom.domain.markup.html import plain
from pressroom.domain.publishing import (
    UPDATES_IN_PLACE,
    Approval,
    Content,
    Picture,
    Piece,
    Publication,
    Submission,
    arguments_from,
    arguments_of,
)
from pressroom.domain.run import Run
from pressroom.domain.text import quoted
from pressroom.pipelines.needs import MEDIA, Need, pictures, target
from pressroom.pipelines.site import approval
from pressroom.pipelines.site.approval import ArticleImage, ReviewedArticle
from pressroom.pipelines.stage import Estimate, Key, Pipeline, Saved, Stage
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

NAME = "publish"
BATCH_ITEMS = 32


@dataclass(frozen=True)
class ForTarget:
    """An approved article, and one of the places that it goes to. ``digest``: of the article as it is."""

    article: ReviewedArticle
    images: Sequence[ArticleImage]
    target: SiteTarget
    digest: str

    @property
    def content(self) -> str:
        """How the publication ledger names the article."""
        return f"article:{self.article.id}"


def pending(tx: Tx, run: Run) -> Sequence[Key]:
    """Pairs of an approved article's id and the position of a target that lacks it."""
    return [[row["id"], row["place"] - 1] for row in _waiting(tx, run, None)]


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[ForTarget]:
    """Those of the pairs that still wait, with the article as it is now."""
    asked = {(key[0], key[1]) for key in keys if isinstance(key, list)}
    waiting = [(row["id"], row["place"] - 1) for row in _waiting(tx, run, sorted({id for id, _ in asked}))]
    chosen = [pair for pair in waiting if pair in asked]
    ids = sorted({id for id, _ in chosen})
    images = approval.pictures(tx, run.site_id, ids)
    articles = {id: approval.article(tx, run.site_id, id) for id in ids}
    digests = {id: approval.content_hash(articles[id], images.get(id, [])) for id in ids}
    return [
        ForTarget(articles[id], images.get(id, []), run.site.publish.targets[place], digests[id])
        for id, place in chosen
    ]


async def process(item: ForTarget, tools: Tools) -> Publication:
    """Publish, or find that it is there. Raises ConfigurationError, with the target's name, when the target
    is set up wrongly.
    """
    to, site = item.target, tools.site
    try:
        target = tools.outside.target(to)
        made = arguments_from(target, content_of(item.article, site), to.to).model_dump(mode="json")
        arguments = arguments_of(target, {**made, **to.settings}, to.target_name, to.settings)
        most = arguments.limits_for(dict(arguments)).pictures
        pictures = [await _picture(image, tools) for image in item.images[:most]]
        piece: Piece[Any] = Piece(key_of(item, site), arguments, pictures, account=site.account)
        return await tools.outside.publish(
            to, Submission(item.content, item.digest, piece, update=True, approval=_approval(item, site))
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{to.target_name}: {error}") from error


def failed(tx: Tx, run: Run, item: ForTarget, error: Exception) -> None:
    """An article that is not what was approved waits for review again."""
    if isinstance(error, ApprovalVoid):
        approval.void(tx, run.site_id, item.article.id, str(error))


def _approval(item: ForTarget, site: Site) -> Approval:
    name = item.target.target_name
    approved = (item.article.approved_terms or {}).get(name) or {}
    sending = approval.terms_of(site)[name]
    return Approval({"article": item.article.approved_hash, **approved}, {"article": item.digest, **sending})


def save(tx: Tx, run: Run, item: ForTarget, output: Publication) -> Saved:
    """The article is published once all of its targets have it."""
    tx.run(
        "article_published", site=run.site_id, content=item.article.id, content_hash=item.digest,
        **_targets(run.site),
    )  # fmt: skip
    where = output.public_url or output.external_id or ""
    return Saved(created=1, label=f"{quoted(item.article.title)} on {item.target.target_name}: {where}"[:120])


def needs_of(run: Run) -> list[Need]:
    """The targets, each for itself. Every article has pictures."""
    places = run.site.publish.targets
    checks = [target(to, to.settings, partial=True) for to in places]
    return [MEDIA, *checks, *(pictures(to, partial=True) for to in places)]


def key_of(item: ForTarget, site: Site) -> str:
    """What is left at the target, to be found again: the same for every version of the article."""
    name = f"{site.account}/{site.slug}/{item.content}|{item.target.target_name}"
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def content_of(article: ReviewedArticle, site: Site) -> Content:
    """What targets make their arguments of."""
    return Content(
        title=article.title,
        text=plain(article.html),
        html=article.html,
        excerpt=article.excerpt or article.meta_description,
        meta_description=article.meta_description or article.excerpt,
        slug=article.slug,
        tags=tuple(article.tags),
        link=site.url,
        language=site.language,
    )


async def _picture(image: ArticleImage, tools: Tools) -> Picture:
    data = await asyncio.to_thread(tools.media.get, image.media_url)
    try:
        public = tools.media.public_url(image.media_url)
    except ConfigurationError:  # most targets take the bytes; the others say what they lack
        public = ""
    return Picture(data, image.media_type, image.alt, public)


def _waiting(tx: Tx, run: Run, ids: Sequence[int] | None) -> list[dict[str, Any]]:
    return tx.rows(
        "articles_to_publish", site=run.site_id, ids=None if ids is None else list(ids), **_targets(run.site)
    )


def _targets(site: Site) -> dict[str, Any]:
    targets = site.publish.targets
    return {
        "targets": [target.target_name for target in targets],
        "updates": [target.to in UPDATES_IN_PLACE for target in targets],
        "terms": approval.terms_of(site),
    }


def _estimate(tx: Tx, run: Run) -> Estimate:
    return Estimate(credits={NAME: Decimal(0)}, items={NAME: len(pending(tx, run))})


def anything_to_publish(tx: Tx, run: Run) -> bool:
    """Whether the site has approved articles that a target lacks."""
    return bool(_waiting(tx, run, None))


STAGE: Stage[ForTarget, Publication] = Stage(
    name=NAME,
    title="Approved articles → targets",
    pending=pending,
    load=load,
    process=process,
    save=save,
    failed=failed,
    named=lambda each: each.article.title,
    key=lambda item: f"{item.article.id}:{item.target.target_name}",
    setup_of=lambda item: item.target.target_name,
    rows=lambda key: 1,  # an article and a target, not two articles
    result_fields={"published": "created", "batches_run": "batches"},
    batch_items=lambda site: BATCH_ITEMS,
    pool="pressroom_publish",
    needs=needs_of,
)

SITE_PUBLISH = Pipeline(
    "site",
    [STAGE],
    estimate=_estimate,
    waiting=lambda tx, site: {NAME: tx.value("articles_approved", site=site)},
    exclusive=False,
)
"""A site's second pipeline. Articles may be written meanwhile."""
