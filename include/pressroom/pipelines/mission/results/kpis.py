"""Totals, KPIs against their targets, trends, posts that stand out, and the snapshot of all. Pure functions.

A post is mature when it is old enough to be compared. Young posts count in totals only.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import pendulum

from pressroom.domain.missions import Kpi, Metric, Mission
from pressroom.domain.public_ids import CONTENT, public_id
from pressroom.pipelines.mission.cycle import Cycle

METRICS: Sequence[Metric] = get_args(Metric)
RATE: Metric = "engagement_rate"

ON_TRACK, AT_RISK = 0.95, 0.75
"""The shares of what is due from which a KPI is on track and at risk. Below, it is behind."""

TREND_POSTS = 10
"""The mature posts that a trend needs, half of them in each half of the time."""

TREND_ALPHA = 0.01
"""The probability of a false trend: 0.01 for each of the five metrics, 0.05 for all of them."""

COMPARED_POSTS = 5
"""The mature posts that a platform needs before any of them is a top performer or an underperformer."""

STANDING_OUT = 0.1
"""The share of posts that is listed at each end."""


@dataclass(frozen=True)
class Result:
    """The metrics of one post at one reading. ``cycle``: the id of the cycle that planned it."""

    post: int
    cycle: int
    platform: str
    published_at: datetime
    impressions: int
    engagements: int
    link_clicks: int
    new_followers: int


@dataclass(frozen=True)
class Totals:
    """Sums over posts."""

    posts: int = 0
    impressions: int = 0
    engagements: int = 0
    link_clicks: int = 0
    new_followers: int = 0

    @property
    def engagement_rate(self) -> float | None:
        """Engagements per hundred impressions; None without impressions."""
        return 100 * self.engagements / self.impressions if self.impressions else None

    def value(self, metric: Metric) -> float | None:
        """The metric's total, or the engagement rate."""
        value: float | None = getattr(self, metric)
        return value

    def public(self) -> dict[str, Any]:
        """The totals under their names in a snapshot. The rate is in percent, 0 without impressions."""
        return {
            "total_impressions": self.impressions,
            "total_engagements": self.engagements,
            "engagement_rate": round(self.engagement_rate or 0.0, 2),
            "link_clicks": self.link_clicks,
            "new_followers": self.new_followers,
        }


def totals(results: Iterable[Result]) -> Totals:
    """The sums over the posts."""
    rows = list(results)
    return Totals(
        posts=len(rows),
        impressions=sum(row.impressions for row in rows),
        engagements=sum(row.engagements for row in rows),
        link_clicks=sum(row.link_clicks for row in rows),
        new_followers=sum(row.new_followers for row in rows),
    )


def of_platforms(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The posts by platform, platforms in order of their names."""
    by_platform: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_platform[result.platform].append(result)
    return {str(platform): by_platform[platform] for platform in sorted(by_platform)}


def elapsed_share(start: datetime, end: datetime, now: datetime) -> float:
    """The share of the time from ``start`` to ``end`` that is over, 0 to 1."""
    return min(1.0, max(0.0, (now - start) / (end - start)))


def kpi_status(
    kpis: Sequence[Kpi], results: Sequence[Result], mature: Sequence[Result], elapsed: float
) -> list[dict[str, Any]]:
    """Every KPI's standing. ``results``: the mission's; ``mature``: those old enough; ``elapsed``: 0 to 1.

    A total is due pro rata: half of the target at half of the mission's time. A rate is due in full. Nothing
    is due while no post of the KPI's platforms is mature: the KPI is on track.
    """
    return [_standing(kpi, _on(kpi, results), posts=len(_on(kpi, mature)), elapsed=elapsed) for kpi in kpis]


def _on(kpi: Kpi, results: Sequence[Result]) -> list[Result]:
    return [result for result in results if kpi.platform in ("all", result.platform)]


def _standing(kpi: Kpi, results: Sequence[Result], *, posts: int, elapsed: float) -> dict[str, Any]:
    target = float(kpi.target)
    reached = totals(results).value(kpi.metric)
    due = 0.0 if posts == 0 else target if kpi.metric == RATE else target * elapsed
    return {
        "metric": kpi.metric,
        "target": _number(target),
        "current": None if reached is None else _number(round(reached, 2)),
        "status": status_of(kpi.metric, reached or 0.0, target, due, elapsed),
        "platform": str(kpi.platform),
        "due": _number(round(due, 2)),
        "posts": posts,
    }


def status_of(metric: Metric, current: float, target: float, due: float, elapsed: float) -> str:
    """met, on_track, at_risk or behind. A rate can be met only at the mission's end; a total stays met."""
    if current >= target and (metric != RATE or elapsed >= 1):
        return "met"
    if current >= ON_TRACK * due:
        return "on_track"
    return "at_risk" if current >= AT_RISK * due else "behind"


def trends(mature: Sequence[Result]) -> dict[str, Any]:
    """Per metric: the later half of the mature posts against the earlier half.

    ``ratio`` compares the halves, each relative to the average of the same platforms, so that a different mix
    of platforms makes no trend. The direction is rising or falling only when a Mann-Whitney test finds it
    unlikely to be chance (TREND_ALPHA).
    """
    rows = sorted(mature, key=lambda row: (row.published_at, row.post))
    if len(rows) < TREND_POSTS:
        return {
            metric: {"direction": "too few posts", "ratio": None, "posts": len(rows)} for metric in METRICS
        }
    middle = len(rows) // 2
    return {metric: _trend(metric, rows, middle) for metric in METRICS}


def _trend(metric: Metric, rows: Sequence[Result], middle: int) -> dict[str, Any]:
    average = {platform: _average(metric, of) for platform, of in of_platforms(rows).items()}
    usual = [average[row.platform] * _base(metric, row) for row in rows]
    reached = [_reached(metric, row) for row in rows]
    ratio = _divided(
        _divided(sum(reached[middle:]), sum(usual[middle:])),
        _divided(sum(reached[:middle]), sum(usual[:middle])),
    )
    single = [_divided(number, expected) or 0.0 for number, expected in zip(reached, usual, strict=True)]
    p_value = _chance(single[:middle], single[middle:])
    direction = "steady"
    if ratio is not None and ratio != 1 and p_value < TREND_ALPHA:
        direction = "rising" if ratio > 1 else "falling"
    return {
        "direction": direction,
        "ratio": None if ratio is None else round(ratio, 2),
        "posts": len(rows),
        "p_value": round(p_value, 4),
    }


def _chance(sample: Sequence[float], other: Sequence[float]) -> float:
    """The probability of such a difference between two samples by chance."""
    if len({*sample, *other}) == 1:
        return 1.0
    # Imported here, because parsing a DAG must not wait for it.
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(sample, other).pvalue)


def _reached(metric: Metric, row: Result) -> float:
    return float(row.engagements if metric == RATE else getattr(row, metric))


def _base(metric: Metric, row: Result) -> float:
    """The metric's denominator: impressions for a rate, posts for the others."""
    return float(row.impressions) if metric == RATE else 1.0


def _average(metric: Metric, rows: Sequence[Result]) -> float:
    return (
        _divided(sum(_reached(metric, row) for row in rows), sum(_base(metric, row) for row in rows)) or 0.0
    )


def _divided(number: float | None, other: float | None) -> float | None:
    return number / other if number is not None and other else None


def standing_out(mature: Sequence[Result]) -> tuple[list[str], list[str]]:
    """(top performers, underperformers): public ids, the most outstanding first.

    A post's engagement rate is compared with the median of its platform. Platforms with fewer than
    COMPARED_POSTS mature posts, or with a median of 0, are left out. Each list has a tenth of the posts, at
    least one, and only posts on its side of the median.
    """
    scored = sorted(_scores(mature), key=lambda pair: (-pair[0], pair[1]))
    most = max(1, int(len(scored) * STANDING_OUT))
    top = [post for score, post in scored[:most] if score > 1]
    under = [post for score, post in reversed(scored[-most:]) if score < 1]
    return [public_id(CONTENT, post) for post in top], [public_id(CONTENT, post) for post in under]


def _scores(mature: Sequence[Result]) -> list[tuple[float, int]]:
    scores = []
    for rows in of_platforms(mature).values():
        rates: Mapping[int, float] = {row.post: totals([row]).engagement_rate or 0.0 for row in rows}
        median = statistics.median(rates.values())
        if len(rows) >= COMPARED_POSTS and median > 0:
            scores += [(rate / median, post) for post, rate in rates.items()]
    return scores


def _number(value: float) -> float | int:
    """Whole numbers without a decimal point."""
    return int(value) if value == int(value) else value


def snapshot(
    cycle: Cycle,
    mission: Mission,
    *,
    began: datetime,
    at: datetime,
    latest: Sequence[Result],
    mature: Sequence[Result],
) -> dict[str, Any]:
    """The snapshot at a time, in its public form. Totals are of the cycle, KPIs of the whole mission.

    ``began``: when the mission began. ``latest``: its posts by their last reading. ``mature``: the posts that
    are old enough to count, by their first reading at that age.
    """
    own = [result for result in latest if result.cycle == cycle.id]
    own_mature = [result for result in mature if result.cycle == cycle.id]
    top, under = standing_out(own_mature)
    return {
        "period": _period(cycle, at, mission),
        "metrics": totals(own).public(),
        "by_platform": {
            platform: {"posts": len(results), **totals(results).public()}
            for platform, results in of_platforms(own).items()
        },
        "kpi_status": kpi_status(mission.kpis, latest, mature, elapsed_share(began, mission.ends(began), at)),
        "trends": trends(own_mature),
        "top_performers": top,
        "underperformers": under,
        "posts_measured": len(own),
        "posts_mature": len(own_mature),
    }


def _period(cycle: Cycle, at: datetime, mission: Mission) -> str:
    """Local dates, first and last."""
    zone = pendulum.timezone(mission.constraints.timezone)
    until = max(cycle.starts_at, min(at, cycle.closes_at))
    return f"{cycle.starts_at.astimezone(zone).date()}/{until.astimezone(zone).date()}"
