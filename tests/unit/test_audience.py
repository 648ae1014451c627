"""The simulated audience: reproducible, preferences of the stated size, and none at strength 0."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from pressroom.domain.social import Platform
from pressroom_dev.simulator.audience import PEAK, Audience, Reach, Seen

MONDAY = datetime(2027, 3, 1, tzinfo=UTC)
NOON = MONDAY + timedelta(hours=12)
POST = Seen(Platform.TWITTER, NOON, "How we roast. #roasting #coffee", 1, visual=False)
VARIANTS = [
    POST,
    replace(POST, visual=True),
    replace(POST, parts=3, text="\n\n".join([POST.text] * 3)),
    replace(POST, text=POST.text + " and more" * 30),
    replace(POST, text=POST.text + " #a #b #c #d"),
    replace(POST, text="How we roast. #espresso"),
    replace(POST, at=NOON + timedelta(hours=7)),
    replace(POST, at=NOON + timedelta(days=3)),
]
DAY = timedelta(days=1)


@pytest.mark.parametrize("platform", list(Platform))
def test_without_preferences_all_posts_do_alike(platform: Platform) -> None:
    flat = Audience(5, strength=0.0)
    expected = {flat.expected(replace(post, platform=platform)) for post in VARIANTS}
    assert max(expected) == pytest.approx(min(expected))


@pytest.mark.parametrize("number", range(1, len(VARIANTS)))
def test_each_thing_matters_to_an_audience_with_preferences(number: int) -> None:
    ratios = [Audience(seed).expected(VARIANTS[number]) / Audience(seed).expected(POST) for seed in range(8)]
    assert max(abs(math.log(ratio)) for ratio in ratios) > 0.1
    assert len({round(ratio, 6) for ratio in ratios}) > 4


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("platform", [Platform.TWITTER, Platform.LINKEDIN])
def test_hours_and_days_have_the_stated_size(seed: int, platform: Platform) -> None:
    audience = Audience(seed)
    hours = [
        audience.expected(replace(POST, platform=platform, at=MONDAY + timedelta(minutes=15 * n)))
        for n in range(96)
    ]
    assert max(hours) / statistics.mean(hours) == pytest.approx(PEAK, rel=0.01)
    days = [audience.expected(replace(POST, platform=platform, at=NOON + n * DAY)) for n in range(7)]
    assert 1.19 < max(days) / statistics.geometric_mean(days) < 1.41


def test_the_hours_are_local() -> None:
    here, there = Audience(3), Audience(3, timezone="Asia/Tokyo")
    later = replace(POST, at=POST.at + timedelta(hours=9))
    assert there.expected(POST) == pytest.approx(here.expected(later))
    assert there.expected(POST) != pytest.approx(here.expected(POST))


def test_a_hashtag_works_whatever_its_case() -> None:
    audience = Audience(1)
    assert audience.expected(replace(POST, text="X #Coffee")) == audience.expected(
        replace(POST, text="X #coffee")
    )


def test_the_same_seed_and_key_give_the_same_in_any_order() -> None:
    first, second = Audience(7), Audience(7)
    keys = [f"post {n}" for n in range(20)]
    one_way = {key: first.reach(POST, key, DAY) for key in keys}
    other_way = {key: second.reach(POST, key, DAY) for key in reversed(keys)}
    assert one_way == other_way
    assert len(set(one_way.values())) == len(keys)
    assert Audience(8).reach(POST, keys[0], DAY) != one_way[keys[0]]


def test_reach_begins_at_nothing_and_never_falls() -> None:
    audience = Audience(2)
    assert audience.reach(POST, "a", timedelta(0)) == Reach(0, 0, 0, 0)
    assert audience.reach(POST, "a", -DAY) == Reach(0, 0, 0, 0)
    steps = [audience.reach(POST, "a", timedelta(hours=n)) for n in range(1, 200)]
    for before, after in pairwise(steps):
        assert after.impressions >= before.impressions
        assert after.engagements >= before.engagements
        assert after.link_clicks >= before.link_clicks
        assert after.new_followers >= before.new_followers
    assert steps[7].impressions / steps[-1].impressions == pytest.approx(1 - math.exp(-1), abs=0.01)


@pytest.mark.parametrize("platform", list(Platform))
def test_counts_are_consistent_and_of_a_realistic_size(platform: Platform) -> None:
    audience = Audience(4)
    reached = [
        audience.reach(replace(post, platform=platform), f"{n}", 30 * DAY)
        for n in range(40)
        for post in VARIANTS
    ]
    for one in reached:
        assert one.link_clicks <= one.engagements <= one.impressions
        assert one.new_followers <= one.engagements
    assert 200 < statistics.median(one.impressions for one in reached) < 6000
    assert 0.01 < sum(one.engagements for one in reached) / sum(one.impressions for one in reached) < 0.1


def test_the_mean_is_as_expected_and_the_noise_as_stated() -> None:
    audience = Audience(6, noise=0.35)
    reached = [audience.reach(POST, f"{n}", 60 * DAY).engagements for n in range(3000)]
    expected = audience.expected(POST)
    assert statistics.mean(reached) == pytest.approx(expected, rel=0.03)
    # Log-normal noise, and on top of it that of counting: about 1 / the mean.
    spread = statistics.stdev(math.log(one + 0.5) for one in reached)
    assert spread == pytest.approx(math.sqrt(0.35**2 + 1 / expected), rel=0.1)


def test_a_link_is_what_gets_clicks() -> None:
    audience = Audience(1)
    linked = replace(POST, text=POST.text + " https://example.com/a")
    clicks = [
        sum(audience.reach(post, f"{n}", 9 * DAY).link_clicks for n in range(50)) for post in (POST, linked)
    ]
    assert clicks[1] > 3 * clicks[0]
