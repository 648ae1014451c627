"""Whether the feedback loop learns: a simulated campaign under three policies, in process.

One mission, two platforms, three posts a day on each, cycles of a week. Every cycle the planner makes a
calendar, the simulated audience reads the posts, and what is at least 24 hours old at the cycle's end is
learned from, with everything before it.

  feedback   plans with the weights that the learner made of the results so far
  none       plans without weights, for ever
  oracle     knows what the audience likes; plans the best calendar that the planner's rules permit, with
             nothing spent on exploration

Engagement is what the audience's preferences give the calendar's posts on average, without the noise of
measuring it; the learner sees the noisy counts only. The oracle's gain over none is the most there is to win.
The same is done in a world without preferences, where there is nothing to learn and nothing must be lost.

    python -m benchmarks.feedback [--seeds 24] [--cycles 12] [--per-day 6] [--out .pressroom/feedback.png]

The last line is one JSON object: share_of_oracle_gain_by_cycle_8 (aim: at least 0.8), false_finding_rate
(stated: 0.05), aa_engagement_ratio (1: no worse than none).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pressroom.domain.social import Platform
from pressroom.domain.strategy import WEEKDAYS, Observation, Slot, Weights
from pressroom.pipelines.mission.calendar.planning import plan_calendar
from pressroom.pipelines.mission.calendar.plans import Plan
from pressroom.pipelines.mission.learning.learn import learn
from pressroom_dev.simulator.audience import Audience, Seen

Series = npt.NDArray[np.float64]

START = datetime(2027, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
MATURE = timedelta(hours=24)
ALPHA = 0.05
PLATFORMS = (Platform.TWITTER, Platform.LINKEDIN)
PILLARS = {"Brewing Guides": 0.4, "Behind the Bar": 0.3, "Customer Stories": 0.3}
CHOICES = {
    "weekday": WEEKDAYS,
    "time": ("08:00", "10:00", "13:00", "17:00", "20:00"),
    "format": ("single", "thread"),
    "pillar": tuple(PILLARS),
    "length": ("short", "long"),
    "hashtags": ("few", "many"),
    "visual": ("with", "without"),
}
CHARACTERS = {
    Platform.TWITTER: {"short": 90, "long": 250},
    Platform.LINKEDIN: {"short": 250, "long": 1000},
}
TAGS = ("coffee", "espresso", "barista", "latteart", "coldbrew", "roasting", "specialty", "morning")
POLICIES = ("feedback", "none", "oracle")
SHARPNESS = (0.0, 3.0, 8.0, 60.0)
"""Exponents that turn the true effect of a day or time into a weight: the oracle tries each."""


@dataclass(frozen=True)
class Campaign:
    """One policy in one world, cycle by cycle. ``engagement``: expected engagements a post.

    ``measured``: engagements a post, with their noise. ``found``: whether the analysis stated any finding.
    """

    engagement: Sequence[float]
    measured: Sequence[float]
    found: Sequence[bool] = ()


def main() -> None:
    """Run both worlds; print the tables and the JSON line; draw the curve."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--seeds", type=int, default=24)
    arguments.add_argument("--cycles", type=int, default=12)
    arguments.add_argument("--per-day", type=int, default=6)
    arguments.add_argument("--out", type=Path, default=Path(".pressroom/feedback.png"))
    options = arguments.parse_args()
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        worlds: dict[float, list[dict[str, Campaign]]] = {}
        for strength in (1.0, 0.0):
            work = partial(one_world, strength=strength, cycles=options.cycles, per_day=options.per_day)
            worlds[strength] = list(pool.map(work, range(1, options.seeds + 1)))
            print(f"{options.seeds} campaigns at strength {strength:g} done", file=sys.stderr, flush=True)
    result = report(worlds[1.0], worlds[0.0])
    draw(worlds[1.0], options.out)
    print(f"\nThe curve is in {options.out}")
    print(json.dumps(result))


def one_world(seed: int, *, strength: float, cycles: int, per_day: int) -> dict[str, Campaign]:
    """The policies in the audience of one seed. Without preferences there is no oracle."""
    audience = Audience(seed, strength=strength)
    policies = POLICIES if strength else POLICIES[:2]
    return {policy: campaign(policy, audience, seed, cycles, per_day) for policy in policies}


def campaign(policy: str, audience: Audience, seed: int, cycles: int, per_day: int) -> Campaign:
    """All cycles of one policy."""
    weights: Weights = {}
    seen: list[tuple[Slot, Seen, str]] = []
    engagement, measured, found = [], [], []
    for cycle in range(cycles):
        plan = plan_of(cycle, per_day)
        if policy == "oracle":
            slots = best_calendar(plan, audience, 1000 * seed + cycle)
        else:
            slots = plan_calendar(plan, weights, 1000 * seed + cycle)
        posts = posts_of(slots, seed, cycle)
        # Each policy has noise of its own.
        keys = [f"{policy}/{cycle}/{index}" for index in range(len(slots))]
        engagement.append(mean_expected(audience, posts))
        measured.append(mean_measured(audience, posts, keys))
        if policy == "feedback":
            seen += zip(slots, posts, keys, strict=True)
            learned = learn(
                observed(audience, seen, plan.end),
                weights,
                plan.levels,
                metric="engagements",
                minimum_posts=10,
                alpha=ALPHA,
                seed=1000 * seed + cycle,
            )
            weights = learned.weights
            found.append(bool(learned.findings))
    return Campaign(engagement, measured, found)


def plan_of(cycle: int, per_day: int) -> Plan:
    """The mission's plan for a cycle."""
    start = START + cycle * WEEK
    return Plan(
        start=start,
        end=start + WEEK,
        timezone="UTC",
        platforms=PLATFORMS,
        posts_per_day=per_day,
        levels=dict.fromkeys(PLATFORMS, CHOICES),
        pillar_weights=PILLARS,
        exploration_share=0.1,
        earliest=start,
    )


def posts_of(slots: Sequence[Slot], seed: int, cycle: int) -> list[Seen]:
    """What content would make of the slots: the pillar's own hashtag always, others of the campaign's."""
    dice = random.Random(f"{seed}/{cycle}")  # a simulation, no secret
    return [post_of(slot, dice) for slot in slots]


def post_of(slot: Slot, dice: random.Random) -> Seen:
    """One post, as long and with as many parts, hashtags and pictures as its slot decides."""
    choices = slot.choices
    parts = 4 if choices["format"] == "thread" else 1
    further = dice.sample(TAGS, 1 if choices["hashtags"] == "few" else 4)
    tags = " ".join(f"#{tag}" for tag in (choices["pillar"].replace(" ", ""), *further))
    words = "coffee " * math.ceil(CHARACTERS[slot.platform][choices["length"]] / 7)
    texts = [words] * (parts - 1) + [f"{words[: -len(tags)]}{tags}"]
    return Seen(slot.platform, slot.at, "\n\n".join(texts), parts, choices["visual"] == "with")


def observed(audience: Audience, seen: Sequence[tuple[Slot, Seen, str]], now: datetime) -> list[Observation]:
    """The posts that are old enough, with the noisy counts that measuring them gives."""
    found = []
    for number, (slot, post, key) in enumerate(seen):
        if (age := now - slot.at) >= MATURE:
            reach = audience.reach(post, key, age)
            found.append(
                Observation(
                    number, slot.platform, slot.choices, reach.impressions, reach.engagements,
                    reach.link_clicks, reach.new_followers,
                )
            )  # fmt: skip
    return found


def mean_expected(audience: Audience, posts: Sequence[Seen]) -> float:
    """Engagements a post, without the noise of measuring."""
    return sum(map(audience.expected, posts)) / len(posts)


def mean_measured(audience: Audience, posts: Sequence[Seen], keys: Sequence[str]) -> float:
    """Engagements a post, as they are measured once nothing more comes."""
    reached = [audience.reach(post, key, 5 * WEEK) for post, key in zip(posts, keys, strict=True)]
    return sum(one.engagements for one in reached) / len(reached)


def best_calendar(plan: Plan, audience: Audience, seed: int) -> list[Slot]:
    """The best calendar within the planner's rules, for one who knows what the audience likes."""
    plan = replace(plan, exploration_share=0.0)
    effects = {platform: true_effects(platform, audience) for platform in plan.platforms}

    def weights(day: float, time: float) -> Weights:
        sharp = {"weekday": day, "time": time}
        return {
            platform: {
                factor: {level: math.exp(sharp.get(factor, 200.0) * one) for level, one in levels.items()}
                for factor, levels in factors.items()
            }
            for platform, factors in effects.items()
        }

    calendars = [plan_calendar(plan, weights(day, time), seed) for day in SHARPNESS for time in (8.0, 60.0)]
    return max(calendars, key=lambda slots: mean_expected(audience, posts_of(slots, 0, 0)))


def true_effects(platform: Platform, audience: Audience) -> dict[str, dict[str, float]]:
    """Logarithm of what each level reaches, less that of the best level of its factor."""
    usual = {factor: levels[0] for factor, levels in CHOICES.items()}
    effects = {}
    for factor, levels in CHOICES.items():
        logs = {}
        for number, level in enumerate(levels):
            day = START + timedelta(days=number if factor == "weekday" else 0)
            hour = int(level[:2]) if factor == "time" else 12
            slot = Slot(day.replace(hour=hour), day.date(), day.time(), platform, {**usual, factor: level})
            posts = [post_of(slot, random.Random(draw)) for draw in range(60)]
            logs[level] = sum(math.log(audience.expected(post)) for post in posts) / len(posts)
        effects[factor] = {level: one - max(logs.values()) for level, one in logs.items()}
    return effects


def series(worlds: Sequence[Mapping[str, Campaign]], policy: str) -> Series:
    """Engagement, seeds × cycles."""
    return np.array([world[policy].engagement for world in worlds])


def interval(values: Series) -> tuple[float, float, float]:
    """Mean over the seeds with its 95 % confidence interval."""
    mean = float(values.mean())
    half = 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return mean, mean - half, mean + half


def shares(worlds: Sequence[Mapping[str, Campaign]]) -> Series:
    """The part of the oracle's gain that feedback has, seeds × cycles.

    None and the oracle do not learn: their mean over all cycles is what each cycle is held against.
    """
    none = series(worlds, "none").mean(axis=1, keepdims=True)
    gain = series(worlds, "oracle").mean(axis=1, keepdims=True) - none
    found: Series = (series(worlds, "feedback") - none) / gain
    return found


def report(
    worlds: Sequence[Mapping[str, Campaign]], flat: Sequence[Mapping[str, Campaign]]
) -> dict[str, Any]:
    """Print the tables. Returns the JSON line."""
    share = shares(worlds)
    cycles = share.shape[1]
    none = series(worlds, "none").mean(axis=1, keepdims=True)
    relative = {policy: (series(worlds, policy) / none).mean(axis=0) for policy in POLICIES}
    print(f"\n{len(worlds)} audiences with preferences; engagement relative to no feedback")
    print("  cycle   feedback   oracle   share of the oracle's gain (95 % CI)")
    for cycle in range(cycles):
        mean, low, high = interval(share[:, cycle])
        print(
            f"  {cycle + 1:>5}   {relative['feedback'][cycle]:8.3f}   {relative['oracle'][cycle]:6.3f}"
            f"   {mean:6.3f}  ({low:.3f} to {high:.3f})"
        )
    # All posts are expected to do alike there: what can be compared is what was measured.
    totals = {policy: np.array([sum(world[policy].measured) for world in flat]) for policy in POLICIES[:2]}
    ratio = interval(totals["feedback"] / totals["none"])
    analyses = [found for world in flat for found in world["feedback"].found]
    rate = sum(analyses) / len(analyses)
    # The analyses of one campaign share their data: its rate is the unit.
    of_rate = interval(np.array([np.mean(world["feedback"].found) for world in flat]))
    print(f"\n{len(flat)} audiences without preferences")
    print(f"  engagement as measured, feedback to none: {ratio[0]:.4f}  ({ratio[1]:.4f} to {ratio[2]:.4f})")
    print(
        f"  analyses with any finding: {sum(analyses)} of {len(analyses)}, {rate:.3f}"
        f"  ({max(0.0, of_rate[1]):.3f} to {of_rate[2]:.3f}); stated {ALPHA:g}"
    )
    eighth = interval(share[:, min(8, cycles) - 1])
    return {
        "seeds": len(worlds),
        "cycles": cycles,
        "share_of_oracle_gain_by_cycle_8": round(eighth[0], 4),
        "share_of_oracle_gain_by_cycle_8_ci": [round(one, 4) for one in eighth[1:]],
        "share_of_oracle_gain": [round(float(one), 4) for one in share.mean(axis=0)],
        "oracle_ratio": round(float(relative["oracle"].mean()), 4),
        "aa_engagement_ratio": round(ratio[0], 5),
        "aa_engagement_ratio_ci": [round(one, 5) for one in ratio[1:]],
        "false_finding_rate": round(rate, 4),
        "false_finding_rate_ci": [round(max(0.0, of_rate[1]), 4), round(of_rate[2], 4)],
    }


def draw(worlds: Sequence[Mapping[str, Campaign]], out: Path) -> None:
    """The curves, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    share = shares(worlds)
    cycles = np.arange(1, share.shape[1] + 1)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    bounds = np.array([interval(share[:, cycle]) for cycle in range(share.shape[1])])
    left.fill_between(cycles, bounds[:, 1], bounds[:, 2], alpha=0.2, linewidth=0)
    left.plot(cycles, bounds[:, 0], marker="o")
    left.axhline(0.8, linestyle="--", color="grey", linewidth=1)
    left.axvline(8, linestyle=":", color="grey", linewidth=1)
    left.set(
        title="Share of the oracle's gain (mean, 95 % CI)", xlabel="cycle", xticks=cycles, ylim=(-0.1, 1.05)
    )
    for policy, style in zip(POLICIES, ("-", ":", "--"), strict=True):
        right.plot(cycles, series(worlds, policy).mean(axis=0), style, label=policy)
    right.set(title="Expected engagements a post", xlabel="cycle", xticks=cycles, ylim=(0, None))
    right.legend()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
