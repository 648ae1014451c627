"""The site pipeline: keywords in, illustrated articles that wait for review out."""

from pressroom.pipelines.site import clusters, content, ideas, image_prompts, images, review, tasks
from pressroom.pipelines.site.estimate import counts, estimate_run
from pressroom.pipelines.stage import Pipeline

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
