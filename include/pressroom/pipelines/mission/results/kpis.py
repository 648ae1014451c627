"""What the numbers say: totals, KPIs against their targets, trends, and which posts stand out. All pure.

A post is mature when it is old enough to be compared; young posts count in totals, but nothing is judged
by them.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from pressroom.domain.missions import Kpi, Metric
from pressroom.domain.public_ids import CONTENT, public_id

METRICS: Sequence[Metric] = get_args(Metric)
RATE: Metric = "engagement_rate"

ON_TRACK, AT_RISK = 0.95, 0.75
"""Share of what is due from which a KPI is on track, and at risk; below that it is behind."""

TREND_POSTS = 10
"""Mature posts that a trend needs, half of them in each half of the time."""

TREND_ALPHA = 0.01
"""Chance of calling what is steady a trend: 0.01 for each of the five metrics, 0.05 for all of them."""

COMPARED_POSTS = 5
"""Mature posts of a platform without which none of them is called a top performer or an underperformer."""

STANDING_OUT = 0.1
"""Share of the posts that is named at each end."""


@dataclass(frozen=True)
class Result:
    """What one post reached by one reading. Counts; ``cycle``: the id of the cycle that planned it."""

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
        """The metric's total, or the rate."""
        found: float | None = getattr(self, metric)
        return found

    def public(self) -> dict[str, Any]:
        """Under the names that a snapshot has for them; the rate in percent, 0 while nobody saw anything."""
        return {
            "total_impressions": self.impressions,
            "total_engagements": self.engagements,
            "engagement_rate": round(self.engagement_rate or 0.0, 2),
            "link_clicks": self.link_clicks,
            "new_followers": self.new_followers,
        }


def totals(results: Iterable[Result]) -> Totals:
    """The sums over some posts."""
    rows = list(results)
    return Totals(
        posts=len(rows),
        impressions=sum(row.impressions for row in rows),
        engagements=sum(row.engagements for row in rows),
        link_clicks=sum(row.link_clicks for row in rows),
        new_followers=sum(row.new_followers for row in rows),
    )


def of_platforms(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The posts of each platform, platforms by name."""
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        found[result.platform].append(result)
    return {str(platform): found[platform] for platform in sorted(found)}


def elapsed_share(start: datetime, end: datetime, now: datetime) -> float:
    """How much of the time from ``start`` to ``end`` is over, 0 to 1."""
    return min(1.0, max(0.0, (now - start) / (end - start)))


def kpi_status(
    kpis: Sequence[Kpi], results: Sequence[Result], mature: Sequence[Result], elapsed: float
) -> list[dict[str, Any]]:
    """Every KPI's standing. ``results``: the mission's; ``mature``: those old enough; ``elapsed``: 0 to 1.

    A total is due pro rata: at half of the mission's time, half of the target. A rate is due as it is.
    While no post of the KPI's platforms is mature nothing is due: the KPI is on track, with what there is.
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
    """met, on_track, at_risk or behind. A total stays met; a rate is only at the mission's end."""
    if current >= target and (metric != RATE or elapsed >= 1):
        return "met"
    if current >= ON_TRACK * due:
        return "on_track"
    return "at_risk" if current >= AT_RISK * due else "behind"


def trends(mature: Sequence[Result]) -> dict[str, Any]:
    """Per metric: the later half of the mature posts against the earlier half.

    ``ratio`` compares the halves, each against what posts of the same platforms reach on average, so that a
    different mix of platforms is no trend. Rising or falling is said only when a Mann-Whitney test of the
    posts finds it unlikely to be chance (TREND_ALPHA).
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
    single = [_divided(one, expected) or 0.0 for one, expected in zip(reached, usual, strict=True)]
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


def _chance(one: Sequence[float], other: Sequence[float]) -> float:
    """How likely a difference like that between two samples is by chance."""
    if len({*one, *other}) == 1:
        return 1.0
    # Imported where it is needed: whoever parses a DAG shall not wait for it.
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(one, other).pvalue)


def _reached(metric: Metric, row: Result) -> float:
    return float(row.engagements if metric == RATE else getattr(row, metric))


def _base(metric: Metric, row: Result) -> float:
    """What the metric counts by: a rate by impressions, the others by posts."""
    return float(row.impressions) if metric == RATE else 1.0


def _average(metric: Metric, rows: Sequence[Result]) -> float:
    return (
        _divided(sum(_reached(metric, row) for row in rows), sum(_base(metric, row) for row in rows)) or 0.0
    )


def _divided(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def standing_out(mature: Sequence[Result]) -> tuple[list[str], list[str]]:
    """(top performers, underperformers): public ids, the most outstanding first.

    A post's engagement rate is compared with the median of its platform; a platform with fewer than
    COMPARED_POSTS mature posts, or a median of 0, has no say. The tenth of the posts at each end is named, at
    least one; but none that is not on that side of its median.
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
    """Whole numbers without a decimal point, as counts are read."""
    return int(value) if value == int(value) else value
