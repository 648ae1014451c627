"""What can be said of an article without reading it, and what that gives it of 100."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pressroom.domain.definitions import Site
from pressroom.domain.markup.html import plain
from pressroom.domain.text import normalize
from pressroom.pipelines.site.article import unit_of
from pressroom.store.database import Tx
from pressroom.store.workflows import workflow_by_id

SHORT, LONG = 0.7, 1.5
"""Of the words that were asked for: from when on an article counts as too short or too long."""
META_CHARS = (50, 160)
WEIGHTS = {"Length": 30, "Keywords": 30, "Pictures": 15, "Alternative texts": 10, "Description": 15}


@dataclass(frozen=True)
class Check:
    """One fact. ``good``: whether it is as it should be; ``share``: how much of it is, from 0 to 1."""

    name: str
    good: bool
    detail: str
    share: float


@dataclass(frozen=True)
class CheckedArticle:
    """What the checks look at. ``alts``: the alternative text of each picture; ``drawn``: how many exist."""

    title: str
    html: str
    meta_description: str
    word_count: int
    target_keywords: Sequence[str]
    alts: Sequence[str]
    drawn: int


def article_checks(article: CheckedArticle, site: Site) -> list[Check]:
    """Length, keywords, pictures and meta description of an article."""
    text = normalize(f"{article.title} {plain(article.html)}")
    missing = [keyword for keyword in article.target_keywords if normalize(keyword) not in text]
    asked, pictures, meta = site.article.target_words, len(article.alts), len(article.meta_description)
    found = len(article.target_keywords) - len(missing)
    described = sum(bool(alt.strip()) for alt in article.alts)
    least, most = SHORT * asked, LONG * asked
    return [
        Check(
            "Length", least <= article.word_count <= most,
            f"{article.word_count:,} of {asked:,} {unit_of(site.language)}",
            min(1.0, article.word_count / least, most / max(1, article.word_count)),
        ),
        Check(
            "Keywords", not missing, f"missing: {', '.join(missing)}" if missing else "all in the text",
            found / len(article.target_keywords) if missing else 1.0,
        ),
        _some("Pictures", article.drawn, pictures, ""),
        _some("Alternative texts", described, pictures, " pictures"),
        Check(
            "Description", META_CHARS[0] <= meta <= META_CHARS[1],
            f"{meta} characters; {META_CHARS[0]} to {META_CHARS[1]} are shown",
            1.0 if META_CHARS[0] <= meta <= META_CHARS[1] else 0.0,
        ),
    ]  # fmt: skip


def _some(name: str, good: int, of: int, what: str) -> Check:
    return Check(name, good == of, f"{good} of {of}{what}", good / of if of else 1.0)


def score_of(checks: Sequence[Check]) -> int:
    """What checks give an article, from 0 to 100."""
    return round(sum(WEIGHTS[check.name] * check.share for check in checks))


def rate(tx: Tx, site_id: int, content_id: int) -> int:
    """Check an article, and keep what that gives it."""
    score = score_of(checks_of(tx, site_id, content_id))
    tx.run("article_rated", content=content_id, score=score)
    return score


def checks_of(tx: Tx, site_id: int, content_id: int) -> list[Check]:
    """The checks of an article of the transaction's account."""
    [row] = tx.rows("content_article", content=content_id)
    images = tx.rows("content_images", content=content_id)
    article = CheckedArticle(
        row["title"], row["html"], row["meta_description"], row["word_count"], row["target_keywords"],
        [image["alt"] for image in images], sum(image["status"] == "generated" for image in images),
    )  # fmt: skip
    return article_checks(article, workflow_by_id(tx, "site", site_id).run().site)
