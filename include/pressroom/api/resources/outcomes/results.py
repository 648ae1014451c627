"""What a mission has reached: its KPIs against their targets, its cycles, and how engagement grew in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from pressroom.api.kit.access import MISSION, Scope, allowed
from pressroom.api.resources.outcomes.calendar import mission_of
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.missions import Mission
from pressroom.domain.public_ids import public_id
from pressroom.pipelines.mission.results.kpis import Totals
from pressroom.store.database import Tx

router = APIRouter(tags=["missions"])

WEEK = timedelta(days=7)


class KpiReading(BaseModel):
    """A KPI's value at a time."""

    at: datetime
    current: float | None


class KpiResult(BaseModel):
    """A KPI at the last reading. ``due``: what it should be by then; ``week_before``: its value seven days
    earlier, null when nothing was read by then. ``direction``: rising, falling, steady or too few posts, of
    the last cycle's posts. ``history``: the last reading of each day.
    """

    metric: str
    platform: str
    target: float
    current: float | None
    due: float | None
    status: str
    direction: str
    week_before: float | None
    read_at: datetime | None
    cycle: int | None
    job_id: str | None
    history: list[KpiReading]


class Sums(BaseModel):
    """Sums over posts, by each post's last reading. ``engagement_rate``: engagements per hundred impressions,
    null without impressions. ``posts``: those that were read.
    """

    posts: int
    impressions: int
    engagements: int
    engagement_rate: float | None
    link_clicks: int
    new_followers: int

    @classmethod
    def of(cls, totals: Totals) -> Sums:
        """The view of totals."""
        rate = totals.engagement_rate
        return cls(
            posts=totals.posts, impressions=totals.impressions, engagements=totals.engagements,
            engagement_rate=None if rate is None else round(rate, 2), link_clicks=totals.link_clicks,
            new_followers=totals.new_followers,
        )  # fmt: skip


class CyclePoint(BaseModel):
    """A cycle's sums at a time. ``days``: since the cycle began."""

    at: datetime
    days: float
    impressions: int
    engagements: int


class CycleSums(BaseModel):
    """A cycle. ``final``: it is measured to its end. ``curve``: the last reading of each of its days."""

    number: int
    job_id: str
    dag_run_id: str
    starts_at: datetime
    ends_at: datetime
    final: bool
    read_at: datetime | None
    totals: Sums
    platforms: dict[str, Sums]
    curve: list[CyclePoint]


class ResultsView(BaseModel):
    """What a mission has reached so far. ``cycles``: from the first."""

    mission_id: str
    kpis: list[KpiResult]
    cycles: list[CycleSums] = Field(description="those that were not withdrawn")


@router.get("/missions/{id}/results")
def get_results(scope: Scope = allowed(Role.VIEWER, MISSION)) -> ResultsView:
    """A mission's KPIs against their targets, and each cycle's sums and engagement curve."""
    with scope.transaction() as tx:
        return results_of(tx, scope.id, mission_of(tx, scope))


def results_of(tx: Tx, number: int, mission: Mission) -> ResultsView:
    """What a mission has reached so far."""
    readings = tx.rows("cycle_curves", mission=number)
    curves = {key: list(rows) for key, rows in groupby(readings, lambda row: row["cycle"])}
    totals = groupby(tx.rows("cycle_totals", mission=number), lambda row: row["cycle"])
    return ResultsView(
        mission_id=public_id(public_ids.MISSION, number),
        kpis=kpis_of(mission, readings),
        cycles=[_cycle(list(rows), curves.get(cycle, [])) for cycle, rows in totals],
    )


def _cycle(rows: Sequence[Mapping[str, Any]], curve: Sequence[Mapping[str, Any]]) -> CycleSums:
    first = rows[0]
    platforms = {row["platform"]: _totals([row]) for row in rows if row["platform"] is not None}
    return CycleSums(
        number=first["cycle"], job_id=public_id(public_ids.JOB, first["run_id"]),
        dag_run_id=first["dag_run_id"], starts_at=first["starts_at"], ends_at=first["ends_at"],
        final=first["measured_at"] is not None,
        read_at=max((row["read_at"] for row in rows if row["read_at"]), default=None),
        totals=Sums.of(_totals(rows)),
        platforms={name: Sums.of(sums) for name, sums in platforms.items()},
        curve=[
            CyclePoint(**{name: row[name] for name in ("at", "days", "impressions", "engagements")})
            for row in curve
        ],
    )  # fmt: skip


def _totals(rows: Sequence[Mapping[str, Any]]) -> Totals:
    names = ("posts", "impressions", "engagements", "link_clicks", "new_followers")
    return Totals(**{name: sum(row[name] for row in rows) for name in names})


def kpis_of(mission: Mission, curves: Sequence[Mapping[str, Any]]) -> list[KpiResult]:
    """Every KPI at the last reading, in which it has the target that it had then; without a reading as it is
    defined. ``curves``: the readings of all cycles.
    """
    readings = sorted(curves, key=lambda row: (row["at"], row["cycle"]))
    if not readings:
        return [
            _kpi(kpi.model_dump(mode="json") | {"current": None, "due": None}, None, [])
            for kpi in mission.kpis
        ]
    last = readings[-1]
    return [_kpi(stored, last, readings) for stored in last["kpis"]]


def _kpi(
    stored: Mapping[str, Any], last: Mapping[str, Any] | None, readings: Sequence[Mapping[str, Any]]
) -> KpiResult:
    metric, platform = str(stored["metric"]), str(stored.get("platform") or "all")
    history = [
        KpiReading(at=row["at"], current=each.get("current"))
        for row in readings
        for each in row["kpis"]
        if (each["metric"], each.get("platform", "all")) == (metric, platform)
    ]
    week_before = next(
        (each.current for each in reversed(history) if last and each.at <= last["at"] - WEEK), None
    )
    trend = last["trends"].get(metric, {}) if last else {}
    return KpiResult(
        metric=metric, platform=platform, target=float(stored["target"]), current=stored["current"],
        due=stored["due"], status=str(stored.get("status") or "not measured yet"),
        direction=str(trend.get("direction") or "too few posts"), week_before=week_before,
        read_at=last["at"] if last else None, cycle=last["cycle"] if last else None,
        job_id=public_id(public_ids.JOB, last["run_id"]) if last else None, history=history,
    )  # fmt: skip
