"""Reviewing articles: approve, reject, edit, regenerate. An approval is only for the version that the
reviewer saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pressroom.domain.definitions import Site
from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.markup.html import plain, sanitize, words_of_html
from pressroom.domain.packets import HTML_CHARS
from pressroom.domain.text import differences, to_json
from pressroom.pipelines.kept_texts import keep_text
from pressroom.pipelines.site.checks import rate
from pressroom.store.database import Tx
from pressroom.store.workflows import workflow_by_id

AUTO = "auto"
"""The approver when no person has to approve."""

REVIEWED = ("review", "approved", "rejected", "published")
"""The statuses of articles that reached review."""

REGENERABLE = ("draft", "review", "approved", "rejected", "failed")
"""The statuses of articles that can be regenerated: neither published nor archived."""


@dataclass(frozen=True)
class ArticleImage:
    """A picture of an article: the featured one has position 0, the others are in the text in order."""

    content_id: int
    position: int
    media_url: str
    media_type: str
    alt: str


@dataclass(frozen=True)
class ReviewedArticle:
    """An article as a reviewer sees it. ``content_hash``: of what would be published.

    ``approved_terms``: what else the approval is for, as ``terms_of`` gives it.
    """

    id: int
    title: str
    slug: str
    meta_description: str
    html: str
    excerpt: str
    tags: list[str]
    word_count: int
    status: str
    content_hash: str
    approved_hash: str | None
    approved_terms: Mapping[str, Any] | None
    approved_by: str | None
    approved_at: datetime | None
    review_note: str
    published_at: datetime | None


def content_hash(article: ReviewedArticle, images: Sequence[ArticleImage]) -> str:
    """SHA-256 over everything that will be published, pictures in order."""
    facts = {
        "title": article.title,
        "slug": article.slug,
        "meta_description": article.meta_description,
        "html": article.html,
        "excerpt": article.excerpt,
        "tags": list(article.tags),
        "images": [
            [image.media_url, image.alt] for image in sorted(images, key=lambda image: image.position)
        ],
    }
    return hashlib.sha256(to_json(facts).encode()).hexdigest()


def terms_of(site: Site) -> dict[str, Any]:
    """All but the article that decides what the site's targets are sent, by target, as JSON."""
    return {
        target.target_name: {"settings": target.settings, "link": site.url, "language": site.language}
        for target in site.publish.targets
    }


def articles(tx: Tx, site_id: int, status: str | None = None) -> list[ReviewedArticle]:
    """Articles that reached review, oldest first. Sets the hash of those that have none yet."""
    if status is not None and status not in REVIEWED:
        raise PermanentError(
            f"{status!r} is not a status of a reviewed article. Use one of: {', '.join(REVIEWED)}"
        )
    rows = _read(tx, site_id, status=status)
    return _hashed(tx, site_id, rows)


def article(tx: Tx, site_id: int, content_id: int) -> ReviewedArticle:
    """One article. Raises PermanentError when the site has no such article that reached review."""
    rows = _hashed(tx, site_id, _read(tx, site_id, content_id=content_id))
    if not rows:
        raise PermanentError(f"this site has no article {content_id} that has gone to review")
    return rows[0]


def pictures(tx: Tx, site_id: int, ids: Sequence[int]) -> dict[int, list[ArticleImage]]:
    """The pictures of articles, in order."""
    by_article: dict[int, list[ArticleImage]] = {}
    for image in tx.all("article_images", ArticleImage, site=site_id, ids=list(ids)):
        by_article.setdefault(image.content_id, []).append(image)
    return by_article


def to_review(tx: Tx, site_id: int, content_id: int, *, auto_publish: bool) -> bool:
    """Move an article from draft to review once all its images exist; ``auto_publish`` also approves it.

    Returns whether it moved. The caller has locked the article's row.
    """
    if not tx.run("content_to_review", site=site_id, content=content_id):
        return False
    seen = article(tx, site_id, content_id)
    rate(tx, site_id, content_id)
    if auto_publish:
        approve(tx, site_id, content_id, seen.content_hash, AUTO)
    return True


def approve(tx: Tx, site_id: int, content_id: int, seen_hash: str, by: str) -> None:
    """Approve the version with this hash, for the targets as the site has them now.

    Raises RunConflict when the article changed since, or was decided.
    """
    tx.value("site_lock", site=site_id)  # the site cannot change until the approval can be seen
    tx.value("content_lock", site=site_id, content=content_id)
    now = _fresh(tx, site_id, content_id)
    if now.content_hash != seen_hash:
        raise _stale(content_id)
    terms = terms_of(workflow_by_id(tx, "site", site_id).run().site)
    if not tx.run(
        "article_approve", site=site_id, content=content_id, content_hash=seen_hash, by=by, terms=terms
    ):
        raise RunConflict(f"article {content_id} is {now.status}, and does not wait for review")
    keep_text(tx, "article", content_id, "approved", now.title, now.html, by)


def void(tx: Tx, site_id: int, content_id: int, reason: str) -> bool:
    """Take an approval back: the article waits for review again. False when it is not approved any more."""
    return tx.run("article_void", site=site_id, content=content_id, note=reason) == 1


def void_changed(tx: Tx, site_id: int, site: Site) -> None:
    """Void every approval that is not for what the site's targets would be sent now.

    Nobody has to look again at a target that was taken out, nor where nobody has to approve.
    """
    terms = terms_of(site)
    for row in tx.rows("articles_of_other_terms", site=site_id, terms=terms):
        approved = row["approved_terms"] or {}
        changed = list(differences({name: approved.get(name) for name in terms}, terms))
        if changed and not (row["approved_by"] == AUTO and site.publish.auto_publish):
            what = shorten(", ".join(changed), 200)
            reason = f"the approval by {row['approved_by']} is void, because the site was changed: {what}"
            void(tx, site_id, row["id"], reason)
        else:
            tx.run("article_terms", site=site_id, content=row["id"], terms=terms)


def reject(
    tx: Tx,
    site_id: int,
    content_id: int,
    reason: str,
    by: str,
    *,
    seen_hash: str | None = None,
    waits: bool = False,
) -> None:
    """Reject, with a reason. Raises RunConflict when a target has or may have it, or it was decided.

    ``seen_hash``: the version that was read; None rejects any. ``waits``: only while it waits for review.
    """
    tx.value("content_lock", site=site_id, content=content_id)
    now = _fresh(tx, site_id, content_id)
    if waits and now.status != "review":
        raise RunConflict(
            f"article {content_id} does not wait any more: somebody has {now.status} it meanwhile"
        )
    if seen_hash not in (None, now.content_hash):
        raise _stale(content_id)
    if not tx.run("article_reject", site=site_id, content=content_id, note=f"{by}: {reason}"):
        out = now.status in ("review", "approved")
        raise RunConflict(
            f"article {content_id} is {'being published' if out else now.status}, and cannot be rejected"
        )


def edit(
    tx: Tx,
    site_id: int,
    content_id: int,
    *,
    by: str,
    title: str | None = None,
    html: str | None = None,
    seen_hash: str | None = None,
) -> ReviewedArticle:
    """Change title or body. The approval becomes void, and the article waits for review again.

    The published version stays until the new one is approved. ``seen_hash``: the version that the editor saw;
    None accepts any. Raises RunConflict when the article changed since, PermanentError when title or body
    would be empty. What cannot be published is left out here, before anybody approves it.
    """
    tx.value("content_lock", site=site_id, content=content_id)
    before = _fresh(tx, site_id, content_id)
    if seen_hash is not None and seen_hash != before.content_hash:
        raise _stale(content_id)
    if html is not None and len(html) > HTML_CHARS:
        raise PermanentError(
            f"the text has more than the {HTML_CHARS:,} characters of an article: shorten it"
        )
    new_title = before.title if title is None else plain(title)
    new_html = before.html if html is None else sanitize(html, base=_address(tx, site_id))
    if not new_title or not plain(new_html):
        raise PermanentError("an article needs a title and a text")
    words = words_of_html(new_html)
    after = replace(before, title=new_title, html=new_html, word_count=words)
    digest = content_hash(after, pictures(tx, site_id, [content_id]).get(content_id, []))
    keep_text(tx, "article", content_id, "generated", before.title, before.html, "")
    tx.run(
        "article_edit", site=site_id, content=content_id, title=new_title, html=new_html, words=words,
        content_hash=digest, note=f"edited by {by}",
    )  # fmt: skip
    rate(tx, site_id, content_id)
    return article(tx, site_id, content_id)


def regenerate(tx: Tx, site_id: int, content_id: int, guidance: str = "") -> int:
    """Archive an article and queue its idea again. Returns the number of the next version.

    The new version has a task of its own, so that it is charged for itself. Without ``guidance``, the reason
    of its rejection is used. Raises RunConflict when a target has or may have the article, or it is archived;
    PermanentError when the site has no such article.
    """
    tx.value("content_lock", site=site_id, content=content_id)
    rows = tx.rows("article_to_rewrite", site=site_id, content=content_id)
    if not rows:
        raise PermanentError(f"this site has no article {content_id}")
    [row] = rows
    status: str = row["status"]
    revision: int = row["revision"] + 1
    if status not in REGENERABLE:
        raise RunConflict(f"article {content_id} is {status}, and cannot be regenerated")
    if row["out"]:
        raise RunConflict(f"article {content_id} is out, or may be, and cannot be regenerated: edit it")
    if status == "approved" and row["in_work"]:
        raise RunConflict(f"article {content_id} is being published: wait until that is through")
    tx.run("article_archive", site=site_id, content=content_id)
    tx.run("article_failures_forget", site=site_id, content=content_id)
    tx.run("images_never_drawn", site=site_id, content=content_id)
    tx.run("publications_never_sent", contents=[f"article:{content_id}"])
    tx.run("task_supersede", site=site_id, task=row["task_id"])
    wanted = guidance or (row["review_note"] if status == "rejected" else "")
    tx.run("task_again", site=site_id, idea=row["idea_id"], revision=revision, guidance=wanted)
    return revision


def _address(tx: Tx, site_id: int) -> str:
    return str(tx.rows("preview_site", site=site_id)[0]["url"])


def _stale(content_id: int) -> RunConflict:
    return RunConflict(f"article {content_id} has changed since it was read: read it again")


def _read(
    tx: Tx, site_id: int, *, status: str | None = None, content_id: int | None = None
) -> list[ReviewedArticle]:
    return tx.all("articles_reviewed", ReviewedArticle, site=site_id, status=status, content=content_id)


def _hashed(tx: Tx, site_id: int, rows: Sequence[ReviewedArticle]) -> list[ReviewedArticle]:
    lacking = [row.id for row in rows if not row.content_hash]
    images = pictures(tx, site_id, lacking) if lacking else {}
    return [row if row.content_hash else _with_hash(tx, site_id, row, images.get(row.id, [])) for row in rows]


def _with_hash(
    tx: Tx, site_id: int, seen: ReviewedArticle, images: Sequence[ArticleImage]
) -> ReviewedArticle:
    digest = content_hash(seen, images)
    tx.run("article_hash", site=site_id, content=seen.id, content_hash=digest)
    return replace(seen, content_hash=digest)


def _fresh(tx: Tx, site_id: int, content_id: int) -> ReviewedArticle:
    """The article with the hash of its present rows."""
    seen = article(tx, site_id, content_id)
    return _with_hash(tx, site_id, seen, pictures(tx, site_id, [content_id]).get(content_id, []))
