"""The credit estimate: the rule's numbers, one by one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pressroom.domain.definitions import Account, ArticleSettings, Charges, ImageSettings, Site
from pressroom.pipelines.site import SITE, Counts, estimate

ACCOUNT = Account(slug="acme", name="Acme")
SITE_OF_FOUR = Site(account="acme", slug="blog", name="Blog")


@pytest.mark.parametrize(
    ("counts", "stage", "credits"),
    [
        (Counts(keywords=5), "clusters", "1"),
        (Counts(keywords=20), "clusters", "4"),
        (Counts(keywords=48), "clusters", "9.6"),
        (Counts(keywords=4), "clusters", "0"),
        (Counts(clusters=1), "ideas", "2"),
        (Counts(clusters=10), "ideas", "20"),
        (Counts(ideas=7), "tasks", "0"),
        (Counts(tasks=1), "content", "5"),
        (Counts(tasks=3), "content", "15"),
        (Counts(contents=1), "image_prompts", "2"),
        (Counts(contents=1), "images", "8"),
        (Counts(images=3), "images", "6"),
        (Counts(review=5), "review", "0"),
    ],
)
def test_what_waits_costs_what_the_rule_says(counts: Counts, stage: str, credits: str) -> None:
    assert estimate(counts, ACCOUNT, SITE_OF_FOUR).credits[stage] == Decimal(credits)


def test_what_earlier_stages_make_is_counted_too() -> None:
    made = estimate(Counts(keywords=40), ACCOUNT, SITE_OF_FOUR)
    assert made.items == {"clusters": 40, "ideas": 10, "tasks": 30, "content": 30, "image_prompts": 30,
                          "images": 120, "review": 0}  # fmt: skip
    assert made.total == 8 + 20 + 150 + 60 + 240


def test_the_articles_of_a_run_bound_what_follows() -> None:
    made = estimate(Counts(keywords=40, contents=1), ACCOUNT, SITE_OF_FOUR, articles=4)
    assert (made.items["content"], made.items["image_prompts"], made.items["images"]) == (4, 5, 20)


def test_the_accounts_charges_and_the_sites_images_are_used() -> None:
    account = Account(
        slug="a", name="A", charges=Charges(keywords_per_credit=10, article=Decimal(7), image=Decimal(1))
    )
    site = Site(
        account="a",
        slug="s",
        name="S",
        article=ArticleSettings(ideas_per_cluster=1),
        images=ImageSettings(per_article=2),
    )
    made = estimate(Counts(keywords=20, tasks=1), account, site)
    assert made.credits["clusters"] == 2
    assert made.credits["content"] == 6 * 7
    assert made.credits["images"] == 6 * 2


@pytest.mark.parametrize(("balance", "enough"), [("12", True), ("11.99", False), ("100", True), ("0", False)])
def test_the_balance_must_cover_it_1_2_times(balance: str, enough: bool) -> None:
    assert estimate(Counts(contents=1), ACCOUNT, SITE_OF_FOUR).sufficient(Decimal(balance)) is enough
    assert estimate(Counts(contents=1), ACCOUNT, SITE_OF_FOUR).required == 12


def test_nothing_waiting_costs_nothing() -> None:
    assert estimate(Counts(), ACCOUNT, SITE_OF_FOUR).sufficient(Decimal(0))


def test_the_counts_and_the_estimate_name_every_stage() -> None:
    names = [stage.name for stage in SITE.stages]
    assert names == ["clusters", "ideas", "tasks", "content", "image_prompts", "images", "review"]
    assert list(Counts().by_stage()) == names
    assert list(estimate(Counts(), ACCOUNT, SITE_OF_FOUR).credits) == names
