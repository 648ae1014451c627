"""The tables of the automation's description that are facts of the pipeline, row by row."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pressroom.domain.definitions import Account, BatchSizes, Charges, Site
from pressroom.domain.run import Run
from pressroom.pipelines.site import SITE, clusters, content, ideas, image_prompts, images
from pressroom.pipelines.site.grouping import Keyword

RESULT_FIELDS = {
    "clusters": [
        "keywords_processed", "clusters_created", "batches_run", "credits_used", "skipped", "partial",
        "time_elapsed",
    ],
    "ideas": ["clusters_processed", "ideas_created", "batches_run", "credits_used"],
    "tasks": ["ideas_processed", "tasks_created", "batches_run"],
    "content": ["tasks_processed", "content_created", "total_words", "batches_run", "credits_used"],
    "image_prompts": ["content_processed", "prompts_created", "batches_run", "credits_used"],
    "images": ["images_processed", "images_generated", "batches_run"],
    "review": [],  # what it has, ready_for_review, is its summary
}  # fmt: skip


@pytest.mark.parametrize("stage", RESULT_FIELDS)
def test_stage_result_fields(stage: str) -> None:
    assert list(SITE.stage(stage).result_fields) == RESULT_FIELDS[stage]


def test_the_pipeline_has_the_seven_stages_in_order() -> None:
    assert [stage.name for stage in SITE.stages] == list(RESULT_FIELDS)


def run(charges: Charges | None = None) -> Run:
    account = Account(slug="acme", name="Acme", charges=charges or Charges())
    site = Site(account="acme", slug="blog", name="Blog")
    return Run(account=account, workflow=site, brand=None, id=1, account_id=1, workflow_id=1)


ITEMS = {
    "clusters": clusters.Group([Keyword(number, f"keyword {number}") for number in range(20)], []),
    "ideas": ideas.Cluster(1, "Tea", "", [], []),
    "content": content.Task(1, "", "", "", [], [], ""),
    "image_prompts": image_prompts.DraftToIllustrate(1, "", "", ""),
    "images": images.PendingImage(1, 1, 0, "", "", ""),
}
CHARGES = {
    "clusters: 1 per 5 keywords": ("clusters", "4"),
    "ideas: 2 per cluster": ("ideas", "2"),
    "content: 5 per article": ("content", "5"),
    "image_prompts: 2 per prompt set": ("image_prompts", "2"),
    "images: 2 per image": ("images", "2"),
}


@pytest.mark.parametrize("rule", CHARGES)
def test_charges(rule: str) -> None:
    stage, credits = CHARGES[rule]
    assert SITE.stage(stage).charge(run(), ITEMS[stage]) == Decimal(credits)


@pytest.mark.parametrize("stage", ["tasks", "review"])
def test_local_stages_are_free(stage: str) -> None:
    assert SITE.stage(stage).charge(run(), None) == 0


def test_an_accounts_own_charges_are_used() -> None:
    own = Charges(
        keywords_per_credit=8, cluster=Decimal(1), article=Decimal(9), prompt_set=Decimal(3), image=Decimal(4)
    )
    found = {stage: SITE.stage(stage).charge(run(own), item) for stage, item in ITEMS.items()}
    assert found == {"clusters": Decimal("2.5"), "ideas": 1, "content": 9, "image_prompts": 3, "images": 4}


@pytest.mark.parametrize("stage", ["ideas", "tasks", "content", "image_prompts", "images"])
def test_a_stages_batch_size_is_the_sites(stage: str) -> None:
    site = run().site.model_copy(
        update={"automation": run().site.automation.model_copy(
            update={"batch_sizes": BatchSizes.model_validate({stage: 3})})}
    )  # fmt: skip
    assert SITE.stage(stage).batch_items(site) == 3
    others = [each for each in SITE.stages if each.name not in (stage, "clusters", "review")]
    assert all(each.batch_items(site) == each.batch_items(run().site) for each in others)
