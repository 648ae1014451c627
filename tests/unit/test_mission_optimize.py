"""What was learned, as people and the next strategy read it."""

from __future__ import annotations

from typing import Any

import pytest

from pressroom.domain.missions import Metric
from pressroom.domain.social import Platform
from pressroom.domain.strategy import FACTORS, Finding, Learned, Observation
from pressroom.pipelines.mission.learning import advice

TWITTER, LINKEDIN = Platform.TWITTER, Platform.LINKEDIN


def finding(factor: str = "weekday", level: str = "tuesday", ratio: float = 1.5, **changes: Any) -> Finding:
    facts = {"low": ratio * 0.8, "high": ratio * 1.2, "posts": 20, "others": 80, "p_value": 0.012}
    return Finding(TWITTER, factor, level, ratio, **{**facts, **changes})


def seen(post: int, platform: Platform, **counts: int) -> Observation:
    return Observation(post, platform, {}, **{"impressions": 1000, "engagements": 10, **counts})


@pytest.mark.parametrize(
    ("factor", "level", "ratio", "action"),
    [
        ("weekday", "tuesday", 1.5, "shift_schedule"),
        ("time", "14:00", 0.5, "shift_schedule"),
        ("format", "thread", 1.4, "increase_thread"),
        ("format", "thread", 0.7, "reduce_thread"),
        ("pillar", "Thought Leadership", 1.4, "increase_thought_leadership"),
        ("topic", "API Design: what & why?", 1.4, "increase_api_design:_what_why"),
        ("hashtags", "few", 1.2, "increase_few_hashtags"),
        ("visual", "without", 0.8, "reduce_without_visual"),
        ("length", "short", 1.2, "increase_short_length"),
        ("pillar", "Über uns", 1.2, "increase_über_uns"),
    ],
)
def test_a_finding_leads_to_an_action(factor: str, level: str, ratio: float, action: str) -> None:
    assert advice.action(finding(factor, level, ratio)) == action


@pytest.mark.parametrize(
    ("p_value", "confidence"), [(0.13, 0.87), (0.0, 0.9999), (1e-12, 0.9999), (1.0, 0.0)]
)
def test_confidence_is_what_is_left_of_the_p_value_and_never_certainty(
    p_value: float, confidence: float
) -> None:
    assert advice.confidence(finding(p_value=p_value)) == confidence


def test_evidence_holds_effect_interval_samples_and_method() -> None:
    learned = Learned({}, compared=34, method="Welch's t-test, Holm")
    assert advice.evidence(finding(ratio=2.34567, p_value=0.000123456), learned) == {
        "ratio": 2.346,
        "low": 1.877,
        "high": 2.815,
        "posts": 20,
        "others": 80,
        "p_value": 0.000123,
        "method": "Welch's t-test, Holm",
        "compared": 34,
    }


def test_only_noticeable_differences_are_updates() -> None:
    previous = {TWITTER: {"weekday": {"monday": 1.0, "tuesday": 1.5}, "format": {"thread": 1.2}}}
    learned = Learned(
        {
            TWITTER: {
                "weekday": {"monday": 0.97, "tuesday": 1.54},  # by less than 0.05
                "format": {"thread": 1.2, "single": 0.8},  # a level that had no weight had 1
                "pillar": {"News": 1.0},
            }
        }
    )
    [update] = advice.updates(previous, learned)
    assert update == advice.Update(
        TWITTER, "format", {"single": 1.0, "thread": 1.2}, {"single": 0.8, "thread": 1.2}
    )
    assert update.moved() == {"single": 0.8}


def test_a_preference_that_is_gone_is_an_update_too() -> None:
    [update] = advice.updates({TWITTER: {"visual": {"with": 1.6}}}, Learned({TWITTER: {}}))
    assert (update.before, update.after) == ({"with": 1.6}, {"with": 1.0})


def test_where_there_is_too_little_data_nothing_changes() -> None:
    learned = Learned({TWITTER: {"format": {"thread": 2.0}}}, too_little={TWITTER: "4 of 20 posts"})
    assert advice.updates({}, learned) == []


def test_updates_come_in_the_groups_of_a_strategy() -> None:
    learned = Learned(
        {
            TWITTER: {
                "weekday": {"tuesday": 1.504, "monday": 0.5},
                "time": {"09:00": 1.25},
                "format": {"thread": 1.3},
                "hashtags": {"few": 0.7},
                "pillar": {"Thought Leadership": 1.2},
            },
            LINKEDIN: {"topic": {"API Design": 1.1}},
        }
    )
    assert advice.strategy_updates(advice.updates({}, learned)) == {
        "timing_adjustments": {
            "twitter.monday_weight": 0.5,
            "twitter.tuesday_weight": 1.5,
            "twitter.09:00_weight": 1.25,
        },
        "content_adjustments": {
            "linkedin.api_design_weight": 1.1,
            "twitter.thread_weight": 1.3,
            "twitter.few_hashtags_weight": 0.7,
        },
        "pillar_weights": {"twitter.Thought Leadership": 1.2},
    }


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(("ratio", "more"), [(1.5, "more often"), (0.5, "less often")])
def test_every_factor_has_a_recommendation(factor: str, ratio: float, more: str) -> None:
    [sentence] = advice.recommendations(Learned({}, [finding(factor, "tuesday", ratio)]), on=True)
    assert more in sentence
    assert "tuesday" in sentence.lower()
    assert "twitter" in sentence
    assert f"{ratio:.2f}×" in sentence


def test_recommendations_say_why_nothing_changes() -> None:
    too_little = Learned({}, too_little={LINKEDIN: "4 mature posts, 20 are needed"})
    assert advice.recommendations(too_little, on=True) == [
        "Nothing changes on linkedin: 4 mature posts, 20 are needed"
    ]
    [none] = advice.recommendations(Learned({}), on=True)
    assert "chance" in none
    assert "switched off" in advice.recommendations(Learned({}, [finding()]), on=False)[-1]


@pytest.mark.parametrize(
    ("metric", "changed", "ratio"),
    [
        ("engagements", {TWITTER, LINKEDIN}, 1.15),  # 3 of 4 engagements × 1.2, 1 of 4 × 1.0
        ("engagements", {LINKEDIN}, 1.0),
        ("engagements", set(), 1.0),
        ("engagement_rate", {TWITTER}, 1.15),
        ("impressions", {TWITTER}, 1.1),  # half of the impressions
        ("link_clicks", {TWITTER}, 1.0),  # none at all
    ],
)
def test_platforms_improve_the_whole_by_their_share(
    metric: Metric, changed: set[Platform], ratio: float
) -> None:
    observations = [seen(1, TWITTER, engagements=30), seen(2, LINKEDIN, engagements=10)]
    learned = Learned({}, improvement={TWITTER: 1.2})
    assert advice.improvement(observations, learned, changed, metric) == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.12, "+12%"), (1.0, "+0%"), (0.999, "+0%"), (0.95, "-5%"), (2.5, "+150%")]
)
def test_percent(ratio: float, text: str) -> None:
    assert advice.percent(ratio) == text
