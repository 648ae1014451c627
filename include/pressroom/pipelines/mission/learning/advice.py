"""Findings as actions, changes of weights and sentences of advice. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.domain.missions import Metric
from pressroom.domain.social import Platform
from pressroom.domain.strategy import FACTORS, TIMING, Finding, Learned, Observation, Weights

NOTICEABLE = 0.05
"""A factor's weights change when one of its levels moves by more than this."""

SUREST = 0.9999
"""The highest confidence that is reported: nothing is certain, however small its p-value."""

_BARE = {"weekday", "time", "format", "pillar", "topic"}
"""Factors whose levels are clear without the factor's name. "few" and "with" are not."""

_ADVICE = {
    "weekday": "Post {more} on {level} on {platform}",
    "time": "Post {more} at {level} on {platform}",
    "format": "Use the format {level} {more} on {platform}",
    "pillar": "Use the pillar “{level}” {more} on {platform}",
    "topic": "Take up the topic “{level}” {more} on {platform}",
    "length": "Write {level} posts {more} on {platform}",
    "hashtags": "Use {level} hashtags {more} on {platform}",
    "visual": "Post {level} a picture {more} on {platform}",
}


@dataclass(frozen=True)
class Update:
    """New weights of one factor on one platform. ``before`` and ``after`` name the same levels."""

    platform: Platform
    factor: str
    before: Mapping[str, float]
    after: Mapping[str, float]

    def moved(self) -> dict[str, float]:
        """The levels whose weight changed noticeably, with their new weight."""
        return {
            level: weight
            for level, weight in self.after.items()
            if abs(weight - self.before[level]) > NOTICEABLE
        }


def updates(previous: Weights, learned: Learned) -> list[Update]:
    """The noticeable changes between two sets of weights. Platforms with too little data have none."""
    changed = []
    for platform in sorted(set(previous) | set(learned.weights)):
        if platform in learned.too_little:
            continue
        old, new = previous.get(platform, {}), learned.weights.get(platform, {})
        for factor in sorted(set(old) | set(new), key=FACTORS.index):
            before, after = old.get(factor, {}), new.get(factor, {})
            levels = sorted(set(before) | set(after))
            update = Update(
                platform,
                factor,
                {level: round(before.get(level, 1.0), 4) for level in levels},
                {level: round(after.get(level, 1.0), 4) for level in levels},
            )
            if update.moved():
                changed.append(update)
    return changed


def strategy_updates(changed: Sequence[Update]) -> dict[str, dict[str, float]]:
    """The levels that moved, with their new weights, in the three groups of a strategy's output."""
    timing: dict[str, float] = {}
    content: dict[str, float] = {}
    pillars: dict[str, float] = {}
    for update in changed:
        for level, weight in update.moved().items():
            value = round(weight, 2)
            if update.factor == "pillar":
                pillars[f"{update.platform}.{level}"] = value
            elif update.factor in TIMING:
                timing[f"{update.platform}.{named(update.factor, level)}_weight"] = value
            else:
                content[f"{update.platform}.{named(update.factor, level)}_weight"] = value
    return {"timing_adjustments": timing, "content_adjustments": content, "pillar_weights": pillars}


def named(factor: str, level: str) -> str:
    """A level as part of an identifier: ``tuesday``, ``09:00``, ``few_hashtags``."""
    text = level if factor in _BARE else f"{level} {factor}"
    return re.sub(r"[^\w:]+", "_", text.lower()).strip("_")


def action(finding: Finding) -> str:
    """The action for a finding: ``shift_schedule``, ``increase_…`` or ``reduce_…``."""
    if finding.factor in TIMING:
        return "shift_schedule"
    return f"{'increase' if finding.ratio > 1 else 'reduce'}_{named(finding.factor, finding.level)}"


def confidence(finding: Finding) -> float:
    """1 − the corrected p-value, to four decimals."""
    return min(SUREST, max(0.0, round(finding.confidence, 4)))


def evidence(finding: Finding, learned: Learned) -> dict[str, Any]:
    """The numbers behind a finding."""
    return {
        "ratio": round(finding.ratio, 3),
        "low": round(finding.low, 3),
        "high": round(finding.high, 3),
        "posts": finding.posts,
        "others": finding.others,
        "p_value": float(f"{finding.p_value:.3g}"),
        "method": learned.method,
        "compared": learned.compared,
    }


def recommendations(learned: Learned, *, on: bool) -> list[str]:
    """Sentences of advice. ``on``: whether the mission's weights may change."""
    sentences = [_advice(finding) for finding in learned.findings]
    sentences += [f"Nothing changes on {platform}: {why}" for platform, why in learned.too_little.items()]
    if not on:
        sentences.append("Learning is switched off for this mission: nothing was changed")
    elif not learned.findings and not learned.too_little:
        sentences.append("No choice did better or worse than chance explains: keep trying what is planned")
    return sentences


def _advice(finding: Finding) -> str:
    level = finding.level.capitalize() if finding.factor == "weekday" else finding.level
    more = "more often" if finding.ratio > 1 else "less often"
    sentence = _ADVICE[finding.factor].format(level=level, more=more, platform=finding.platform)
    return f"{sentence} ({finding.ratio:.2f}× the others, {finding.low:.2f} to {finding.high:.2f})"


def improvement(
    observations: Sequence[Observation], learned: Learned, platforms: Collection[Platform], metric: Metric
) -> float:
    """Expected ratio of the metric over all platforms after the weights of ``platforms`` changed.

    Each platform counts by its share of the metric so far; for a rate, by its share of the engagements.
    """
    counted_by = "engagements" if metric == "engagement_rate" else metric
    share: dict[Platform, float] = dict.fromkeys({observation.platform for observation in observations}, 0.0)
    for observation in observations:
        share[observation.platform] += max(0, getattr(observation, counted_by))
    total = sum(share.values())
    if not total:
        return 1.0
    return (
        sum(
            part * (learned.improvement.get(platform, 1.0) if platform in platforms else 1.0)
            for platform, part in share.items()
        )
        / total
    )


def percent(ratio: float) -> str:
    """A ratio as a change: ``+12%``."""
    return f"{round(100 * (ratio - 1)):+d}%"
