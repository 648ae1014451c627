"""What can be said of a piece without reading it: the checks beside it."""

from __future__ import annotations

from dataclasses import dataclass

from pressroom.api.resources.content.models import ArticleView, PostView
from pressroom.domain.definitions import Site
from pressroom.domain.markup.html import plain
from pressroom.domain.text import normalize
from pressroom.pipelines.site.article import unit_of

SHORT, LONG = 0.7, 1.5
"""Of the words that were asked for: from when on an article counts as too short or too long."""
META_CHARS = (50, 160)


@dataclass(frozen=True)
class Check:
    """One fact. ``good``: whether it is as it should be."""

    name: str
    good: bool
    detail: str


def article_checks(article: ArticleView, site: Site) -> list[Check]:
    """Length, keywords, pictures and meta description of an article."""
    text = normalize(f"{article.title} {plain(article.html)}")
    missing = [keyword for keyword in article.target_keywords if normalize(keyword) not in text]
    asked = site.article.target_words
    drawn = sum(image.status == "generated" for image in article.images)
    meta = len(article.meta_description)
    meta_good = META_CHARS[0] <= meta <= META_CHARS[1]
    alts = sum(bool(image.alt.strip()) for image in article.images)
    return [
        Check(
            "Length", SHORT * asked <= article.word_count <= LONG * asked,
            f"{article.word_count:,} of {asked:,} {unit_of(site.language)}",
        ),
        Check("Keywords", not missing, f"missing: {', '.join(missing)}" if missing else "all in the text"),
        Check("Pictures", drawn == len(article.images), f"{drawn} of {len(article.images)}"),
        Check("Alternative texts", alts == len(article.images), f"{alts} of {len(article.images)} pictures"),
        Check("Description", meta_good, f"{meta} characters; {META_CHARS[0]} to {META_CHARS[1]} are shown"),
    ]  # fmt: skip


def post_checks(post: PostView) -> list[Check]:
    """Parts, hashtags and picture of a post."""
    checks = [Check("Parts", bool(post.parts), f"{len(post.parts)}")]
    if post.media is not None:
        checks.append(Check("Alternative text", bool(post.media.alt), post.media.alt or "missing"))
    return checks
