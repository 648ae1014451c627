"""The site pipeline: keywords in, illustrated articles that wait for review out; and the credits of a run.

They are for the items that wait now, and for those that earlier stages will make of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from pressroom.domain.definitions import Account, Site
from pressroom.domain.run import Run
from pressroom.pipelines.site import clusters, content, ideas, image_prompts, images, review, tasks
from pressroom.pipelines.site.clusters import FEWEST, price
from pressroom.pipelines.stage import Estimate, Pipeline
from pressroom.store.database import Tx

KEYWORDS_PER_CLUSTER = 4
"""The expected keywords of a cluster: unknown before clustering, so a low number."""

WAIT_FOR = {
    "keywords": "clusters",
    "clusters": "ideas",
    "ideas": "tasks",
    "tasks": "content",
    "contents": "image_prompts",
    "images": "images",
    "review": "review",
}
"""Kind of item → the stage that it waits for."""


@dataclass(frozen=True)
class Counts:
    """Waiting items by kind, as the stages' ``pending`` counts them. ``review``: articles for people."""

    keywords: int = 0
    clusters: int = 0
    ideas: int = 0
    tasks: int = 0
    contents: int = 0
    images: int = 0
    review: int = 0

    def by_stage(self) -> Mapping[str, int]:
        """The counts by the stage that the items wait for."""
        return {stage: getattr(self, items) for items, stage in WAIT_FOR.items()}


def counts(tx: Tx, site: int) -> Counts:
    """The items that wait on the site now."""
    waiting = tx.rows("site_pending", site=site)[0]
    return Counts(**{items: waiting[stage] for items, stage in WAIT_FOR.items()})


def estimate(waiting: Counts, account: Account, site: Site, articles: int | None = None) -> Estimate:
    """Credits of a run over the waiting items. ``articles``: the most that it writes; None for all."""
    charges = account.charges
    keywords = waiting.keywords if waiting.keywords >= FEWEST else 0
    clusters = waiting.clusters + ceil(keywords / KEYWORDS_PER_CLUSTER)
    ideas = waiting.ideas + clusters * site.article.ideas_per_cluster
    tasks = waiting.tasks + ideas
    written = tasks if articles is None else min(tasks, articles)
    contents = waiting.contents + written
    images = waiting.images + contents * site.images.per_article
    return Estimate(
        credits={
            "clusters": price(charges, keywords),
            "ideas": clusters * charges.cluster,
            "tasks": Decimal(0),
            "content": written * charges.article,
            "image_prompts": contents * charges.prompt_set,
            "images": images * charges.image,
            "review": Decimal(0),
        },
        items={
            "clusters": keywords,
            "ideas": clusters,
            "tasks": ideas,
            "content": written,
            "image_prompts": contents,
            "images": images,
            "review": 0,
        },
    )


def estimate_run(tx: Tx, run: Run) -> Estimate:
    """The estimate of a run, by its definitions and its limit of articles."""
    return estimate(counts(tx, run.site_id), run.account, run.site, run.articles)


SITE = Pipeline(
    "site",
    [
        clusters.STAGE,
        ideas.STAGE,
        tasks.STAGE,
        content.STAGE,
        image_prompts.STAGE,
        images.STAGE,
        review.STAGE,
    ],
    estimate=estimate_run,
    waiting=lambda tx, site: counts(tx, site).by_stage(),
)
"""A stage is named by what it makes."""
