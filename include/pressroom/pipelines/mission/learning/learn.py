"""Results → weights for the next cycle, and the findings that pass a test.

Two questions have two methods. *What to do next*: the weights are Thompson sampling by probability matching,
from the posterior of a Bayesian regression (``posterior``). A level's weight is the probability that it is
the best of its factor, times the number of levels: 1 for all while nothing is known, and higher the surer it
is. *What is known*: the findings are what a regression with corrected p-values calls significant
(``evidence``). So weights move early and gently, while a finding is reported only when it is significant.

Two factors differ, because their best level cannot have all posts. A time has one post a day, so the next
best gets a part. And the more posts a day has, the worse are the times left for them: a day gets posts in
proportion to a power of what it is believed to reach, so that no day is emptied.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from pressroom.domain.missions import Metric
from pressroom.domain.social import Platform
from pressroom.domain.strategy import FACTORS, Finding, Learned, Observation, Weights
from pressroom.domain.text import counted
from pressroom.pipelines.mission.learning.evidence import ADAPTIVE, LEAST_POSTS, compare
from pressroom.pipelines.mission.learning.posterior import Array, Posterior, Sample, posterior

DRAWS = 4000
"""Draws from the posterior. A probability's standard error is at most 0.8 %."""

FLOOR = 0.02
"""The least weight: a level that did badly can still come back."""

NEXT_BEST = 0.05
"""The next best time's share of the best time's posts: a day with several posts needs a second time."""

DAY_POWER = 3.0
"""The power of a day's expected result: a day that reaches 1.26 times as much gets twice the posts."""

_SMALL = 0.5
"""Added to counts before the logarithm, because 0 has no logarithm."""

_NAMES: Mapping[Metric, str] = {
    "engagements": "engagements",
    "engagement_rate": "engagement rate",
    "impressions": "impressions",
    "link_clicks": "link clicks",
    "new_followers": "new followers",
}

Levels = Mapping[Platform, Mapping[str, Sequence[str]]]
"""platform → factor → the levels that a slot may have."""


def learn(
    observations: Sequence[Observation],
    previous: Weights,
    levels: Levels,
    *,
    metric: Metric,
    minimum_posts: int,
    alpha: float = 0.05,
    seed: int,
    fixed: Collection[str] = (),
) -> Learned:
    """Weights and findings from all mature posts so far. The same arguments give the same result.

    ``previous``: the weights in force, kept on platforms with fewer than ``minimum_posts``. ``alpha``: the
    probability of any false finding. ``fixed``: factors without weights, such as the weekday of a mission
    that posts daily.
    """
    posts = Counter(observation.platform for observation in observations)
    platforms = sorted({*levels, *posts, *previous})
    enough = [platform for platform in platforms if posts[platform] >= minimum_posts]
    too_little = {
        platform: f"{counted(posts[platform], 'post')} old enough to count, {minimum_posts} are needed"
        for platform in platforms
        if platform not in enough
    }
    rows = [
        Sample(observation.platform, observation.choices, _response(observation, metric))
        for observation in observations
        if observation.platform in enough
    ]
    weights = {platform: previous[platform] for platform in platforms if platform in previous}
    improvement: dict[Platform, float] = {}
    tested: list[Finding] = []
    if rows:
        known = {platform: _known(platform, rows, levels.get(platform, {})) for platform in enough}
        beliefs = posterior(rows, _with_retired(known, rows), DRAWS, np.random.default_rng(seed))
        for platform in enough:
            free = {factor: among for factor, among in known[platform].items() if factor not in fixed}
            new = {factor: _weights(factor, among, beliefs, platform) for factor, among in free.items()}
            improvement[platform] = _improvement(beliefs, platform, previous.get(platform, {}), new)
            weights[platform] = new
        tested = compare(rows)
    return Learned(
        weights=weights,
        findings=sorted(
            (finding for finding in tested if finding.p_value < alpha),
            key=lambda finding: (finding.p_value, finding.platform, finding.factor, finding.level),
        ),
        compared=len(tested),
        method=(
            f"OLS on log {_NAMES[metric]}, t tests with pooled errors,"
            f" Holm over {counted(len(tested), 'comparison')}, times {ADAPTIVE:g} for adaptive allocation,"
            f" alpha {alpha:g};"
            " weights: Thompson sampling by probability matching, Bayesian regression"
        ),
        too_little=too_little,
        improvement=improvement,
    )


def describe(finding: Finding, metric: Metric = "engagements") -> str:
    """A finding as a sentence."""
    level, ratio = finding.level, finding.ratio
    subject, others = {
        "weekday": (f"{level.capitalize()} posts", "other days"),
        "time": (f"{level} posts", "other times"),
        "format": (f"Posts of the format {level}", "other formats"),
        "pillar": (f"Posts of the pillar “{level}”", "other pillars"),
        "topic": (f"Posts on “{level}”", "other topics"),
        "length": (f"{level.capitalize()} posts", "others"),
        "hashtags": (f"Posts with {level} hashtags", "others"),
        "visual": (f"Posts {level} a picture", "others"),
    }[finding.factor]
    times = f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"
    return (
        f"{subject} get {times} times the {_NAMES[metric]} of {others} on {finding.platform}"
        f" (n={finding.posts} vs {finding.others})"
    )


def _response(observation: Observation, metric: Metric) -> float:
    """The logarithm of the metric: the response of the regression."""
    if metric == "engagement_rate":
        return math.log(
            (max(0, observation.engagements) + _SMALL) / (max(0, observation.impressions) + 2 * _SMALL)
        )
    return math.log(max(0, getattr(observation, metric)) + _SMALL)


def _known(
    platform: Platform, rows: Sequence[Sample], levels: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """The levels that get a weight: those that slots choose from, and topics with enough posts."""
    topics = Counter(row.choices.get("topic", "") for row in rows if row.platform == platform)
    frequent = sorted(topic for topic, number in topics.items() if topic and number >= LEAST_POSTS)
    among = {**levels, "topic": frequent}
    return {
        factor: tuple(dict.fromkeys(among[factor])) for factor in FACTORS if len(among.get(factor, ())) > 1
    }


def _with_retired(known: Levels, rows: Sequence[Sample]) -> Levels:
    """The levels, and those that earlier posts had and slots no longer have: they explain those posts."""
    extended = {p: {f: dict.fromkeys(among) for f, among in factors.items()} for p, factors in known.items()}
    for row in rows:
        for factor, level in row.choices.items():
            if factor != "topic":
                extended[row.platform].setdefault(factor, {})[level] = None
    return {p: {f: tuple(among) for f, among in factors.items()} for p, factors in extended.items()}


def _weights(factor: str, levels: Sequence[str], beliefs: Posterior, platform: Platform) -> dict[str, float]:
    """Weights that average 1, each at least FLOOR."""
    effects = beliefs.effects(platform, factor, levels)
    matched = _shares(factor, effects).mean(axis=0) * len(levels)
    return {level: float(FLOOR + (1 - FLOOR) * share) for level, share in zip(levels, matched, strict=True)}


def _shares(factor: str, effects: Array) -> Array:
    """For each draw, every level's share of the posts if these effects were true. Rows sum to 1."""
    if factor == "weekday":
        shares: Array = np.exp(DAY_POWER * (effects - effects.max(axis=1, keepdims=True)))
    else:
        ranks = np.argsort(np.argsort(-effects, axis=1), axis=1)
        shares = (NEXT_BEST if factor == "time" else 0.0) ** ranks.astype(float)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _improvement(
    beliefs: Posterior,
    platform: Platform,
    old: Mapping[str, Mapping[str, float]],
    new: Mapping[str, Mapping[str, float]],
) -> float:
    """Expected ratio of the metric under the new weights to that under the old, over the posterior.

    Topics are left out, because slots do not draw them by weight.
    """
    ratio: Array = np.ones(len(beliefs.draws))
    for factor, weights in new.items():
        if factor != "topic":
            effects = np.exp(beliefs.effects(platform, factor, list(weights)))
            before = np.array([old.get(factor, {}).get(level, 1.0) for level in weights])
            after = np.array(list(weights.values()))
            ratio *= (effects @ (after / after.sum())) / (effects @ (before / before.sum()))
    return float(ratio.mean())
