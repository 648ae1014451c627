"""Totals, KPIs, trends and what stands out, on numbers that can be worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pressroom.domain.missions import Kpi, Metric
from pressroom.domain.social import Platform
from pressroom.pipelines.mission.results.kpis import (
    METRICS,
    Result,
    Totals,
    elapsed_share,
    kpi_status,
    of_platforms,
    standing_out,
    status_of,
    totals,
    trends,
)

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def result(post: int, **changes: Any) -> Result:
    facts = {
        "cycle": 1,
        "platform": "twitter",
        "published_at": START + timedelta(hours=post),
        "impressions": 1000,
        "engagements": 40,
        "link_clicks": 5,
        "new_followers": 1,
    }
    return Result(post=post, **{**facts, **changes})


def test_totals_are_those_of_the_published_example() -> None:
    """The example of the stage's documentation: 1,823 of 45,678 are 3.99 %, on track for 4.0 %."""
    post = result(
        1, impressions=45_678, engagements=1_823, link_clicks=234, new_followers=56, platform="linkedin"
    )
    assert totals([post]).public() == {
        "total_impressions": 45_678,
        "total_engagements": 1_823,
        "engagement_rate": 3.99,
        "link_clicks": 234,
        "new_followers": 56,
    }
    assert kpi_status([Kpi(metric="engagement_rate", target=Decimal(4))], [post], [post], 0.25) == [
        {
            "metric": "engagement_rate",
            "target": 4,
            "current": 3.99,
            "status": "on_track",
            "platform": "all",
            "due": 4,
            "posts": 1,
        }
    ]


def test_a_rate_is_of_the_sums_and_not_the_mean_of_rates() -> None:
    both = totals([result(1, impressions=100, engagements=50), result(2, impressions=900, engagements=0)])
    assert both.engagement_rate == 5.0
    assert (both.posts, both.impressions, both.engagements) == (2, 1000, 50)
    assert Totals().engagement_rate is None
    assert Totals().public()["engagement_rate"] == 0.0


@pytest.mark.parametrize(
    ("metric", "current", "target", "elapsed", "status"),
    [
        # A total, half of the time over: 500 of 1,000 are due.
        ("impressions", 1000, 1000, 0.5, "met"),
        ("impressions", 1200, 1000, 0.5, "met"),
        ("impressions", 500, 1000, 0.5, "on_track"),
        ("impressions", 475, 1000, 0.5, "on_track"),
        ("impressions", 474, 1000, 0.5, "at_risk"),
        ("impressions", 375, 1000, 0.5, "at_risk"),
        ("impressions", 374, 1000, 0.5, "behind"),
        ("impressions", 0, 1000, 0.5, "behind"),
        # The same total at the start and at the end.
        ("impressions", 100, 1000, 0.1, "on_track"),
        ("impressions", 500, 1000, 1.0, "behind"),
        ("impressions", 999, 1000, 1.0, "on_track"),
        ("link_clicks", 1000, 1000, 1.0, "met"),
        ("new_followers", -3, 10, 0.5, "behind"),
        # A rate is due as it is, and met only at the end.
        ("engagement_rate", 4.0, 4, 0.5, "on_track"),
        ("engagement_rate", 9.0, 4, 0.99, "on_track"),
        ("engagement_rate", 4.0, 4, 1.0, "met"),
        ("engagement_rate", 3.99, 4, 1.0, "on_track"),
        ("engagement_rate", 3.8, 4, 0.1, "on_track"),
        ("engagement_rate", 3.79, 4, 0.1, "at_risk"),
        ("engagement_rate", 3.0, 4, 0.9, "at_risk"),
        ("engagement_rate", 2.99, 4, 0.9, "behind"),
    ],
)
def test_status(metric: Metric, current: float, target: float, elapsed: float, status: str) -> None:
    due = target if metric == "engagement_rate" else target * elapsed
    assert status_of(metric, current, target, due, elapsed) == status


def test_before_a_post_is_mature_nothing_is_due() -> None:
    kpis = [
        Kpi(metric="impressions", target=Decimal(1000)),
        Kpi(metric="engagement_rate", target=Decimal(4)),
    ]
    unmeasured = kpi_status(kpis, [], [], 0.5)
    assert [(one["status"], one["current"], one["due"]) for one in unmeasured] == [
        ("on_track", 0, 0),
        ("on_track", None, 0),
    ]
    young = kpi_status(kpis, [result(1, impressions=10, engagements=0)], [], 0.5)
    assert [(one["status"], one["current"]) for one in young] == [("on_track", 10), ("on_track", 0)]
    old = result(1, impressions=10, engagements=0)
    assert [one["status"] for one in kpi_status(kpis, [old], [old], 0.5)] == ["behind", "behind"]


def test_what_is_reached_early_is_met_even_by_young_posts() -> None:
    young = [result(1, impressions=2000)]
    assert kpi_status([Kpi(metric="impressions", target=Decimal(1000))], young, [], 0.1)[0]["status"] == "met"


def test_a_kpi_is_of_its_platform() -> None:
    posts = [result(1, impressions=600), result(2, platform="linkedin", impressions=100)]
    kpis = [
        Kpi(metric="impressions", target=Decimal(1000), platform=Platform.TWITTER),
        Kpi(metric="impressions", target=Decimal(1000), platform=Platform.LINKEDIN),
        Kpi(metric="impressions", target=Decimal(1000)),
        Kpi(metric="impressions", target=Decimal(1000), platform=Platform.BLUESKY),
    ]
    standing = kpi_status(kpis, posts, posts, 0.5)
    assert [(one["platform"], one["current"], one["status"], one["posts"]) for one in standing] == [
        ("twitter", 600, "on_track", 1),
        ("linkedin", 100, "behind", 1),
        ("all", 700, "on_track", 2),
        ("bluesky", 0, "on_track", 0),
    ]


@pytest.mark.parametrize(("hours", "share"), [(-5, 0.0), (0, 0.0), (6, 0.25), (24, 1.0), (99, 1.0)])
def test_elapsed_share(hours: int, share: float) -> None:
    assert elapsed_share(START, START + timedelta(days=1), START + timedelta(hours=hours)) == share


def test_platforms_are_kept_apart_and_sorted() -> None:
    found = of_platforms([result(1), result(2, platform="bluesky"), result(3)])
    assert {platform: [one.post for one in posts] for platform, posts in found.items()} == {
        "bluesky": [2],
        "twitter": [1, 3],
    }
    assert list(found) == ["bluesky", "twitter"]


def test_too_few_posts_make_no_trend() -> None:
    found = trends([result(n) for n in range(9)])
    assert set(found) == set(METRICS)
    assert found["impressions"] == {"direction": "too few posts", "ratio": None, "posts": 9}


def test_rising_falling_and_steady() -> None:
    posts = [
        result(n, impressions=1000 + n, engagements=40 if n < 6 else 20, link_clicks=n + 1, new_followers=1)
        for n in range(12)
    ]
    found = trends(posts[::-1])  # their order is that of publication, however they come
    assert found["engagements"] == {
        "direction": "falling",
        "ratio": 0.5,
        "posts": 12,
        "p_value": found["engagements"]["p_value"],
    }
    assert found["engagements"]["p_value"] < 0.01
    assert found["engagement_rate"]["direction"] == "falling"
    assert found["link_clicks"]["direction"] == "rising"
    assert found["link_clicks"]["ratio"] == round((7 + 8 + 9 + 10 + 11 + 12) / (1 + 2 + 3 + 4 + 5 + 6), 2)
    assert found["new_followers"] == {"direction": "steady", "ratio": 1.0, "posts": 12, "p_value": 1.0}


def test_one_lucky_post_is_no_trend() -> None:
    posts = [result(n, engagements=40 + n % 3) for n in range(11)] + [result(11, engagements=900)]
    found = trends(posts)["engagements"]
    assert found["ratio"] > 2
    assert found["direction"] == "steady"


def test_another_mix_of_platforms_is_no_trend() -> None:
    """First mostly where ten times as many look, then mostly where few do: each platform is as ever."""
    large = [n for n in range(12) if n < 5 or n == 11]
    posts = [
        result(
            n,
            platform="linkedin" if n in large else "twitter",
            impressions=10_000 if n in large else 1_000,
            engagements=400 if n in large else 10,
        )
        for n in range(12)
    ]
    for metric in ("impressions", "engagements", "engagement_rate"):
        assert trends(posts)[metric]["ratio"] == 1.0
        assert trends(posts)[metric]["direction"] == "steady"


def test_nothing_reached_at_all_is_steady_without_a_ratio() -> None:
    posts = [result(n, impressions=0, engagements=0, link_clicks=0, new_followers=0) for n in range(12)]
    assert trends(posts)["engagement_rate"] == {
        "direction": "steady",
        "ratio": None,
        "posts": 12,
        "p_value": 1.0,
    }


def test_standing_out_needs_five_posts_of_a_platform() -> None:
    posts = [result(n, engagements=10 * n + 10) for n in range(4)]
    assert standing_out(posts) == ([], [])
    assert standing_out([*posts, result(4, engagements=200)]) == (["cnt_4"], ["cnt_0"])


def test_the_tenth_at_each_end_stands_out_most_outstanding_first() -> None:
    posts = [result(n, engagements=100 + n) for n in range(30)]
    assert standing_out(posts) == (["cnt_29", "cnt_28", "cnt_27"], ["cnt_0", "cnt_1", "cnt_2"])


def test_posts_are_compared_with_their_own_platform() -> None:
    """Every post of one platform beats those of the other; none of that makes it stand out."""
    tame = [result(n, platform="linkedin", engagements=500 + n) for n in range(5)]
    wild = [result(10 + n, engagements=engagements) for n, engagements in enumerate([1, 10, 10, 10, 40])]
    assert standing_out([*tame, *wild]) == (["cnt_14"], ["cnt_10"])


def test_when_all_are_alike_none_stands_out() -> None:
    assert standing_out([result(n) for n in range(10)]) == ([], [])
    assert standing_out([result(n, impressions=0, engagements=0) for n in range(10)]) == ([], [])


def test_a_post_that_nobody_saw_is_an_underperformer() -> None:
    posts = [result(n) for n in range(8)] + [result(8, impressions=0, engagements=0)]
    assert standing_out(posts) == ([], ["cnt_8"])
