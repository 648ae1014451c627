"""The site pipeline: keywords in, illustrated articles that wait for review out."""

from pressroom.pipelines.site import clusters, content, ideas, image_prompts, images, review, tasks
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
)
"""A stage is named by what it makes."""
