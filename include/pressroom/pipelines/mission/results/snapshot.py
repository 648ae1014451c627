"""A snapshot: how a cycle's posts and the mission's KPIs stand at a time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pressroom.domain.missions import Mission
from pressroom.pipelines.mission.cycle import Cycle
from pressroom.pipelines.mission.results.kpis import (
    Result,
    elapsed_share,
    kpi_status,
    of_platforms,
    standing_out,
    totals,
    trends,
)


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
    zone = ZoneInfo(mission.constraints.timezone)
    until = max(cycle.starts_at, min(at, cycle.closes_at))
    return f"{cycle.starts_at.astimezone(zone).date()}/{until.astimezone(zone).date()}"
