"""What the pages of a mission show: days of its calendar, curves and tiles. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import pendulum

from pressroom.api.resources.outcomes.calendar import CalendarSlot, CalendarView
from pressroom.api.resources.outcomes.results import CycleSums, KpiResult, ResultsView
from pressroom.domain.missions import FIRST_YEAR, LAST_YEAR
from pressroom.page.kit.charts import Plot, Series, Spark, plot, spark
from pressroom.page.workflow_view import dag_run_link, task_of
from pressroom.pipelines.mission.analytics import STAGE as ANALYTICS
from pressroom.ui.mission.calendar import Standing

Span = Literal["week", "month"]
WEEK = timedelta(days=7)
CURVES = 6
"""A chart has at most so many lines: more cannot be told apart."""
SHOWN_IN_MONTH = 4
"""A day of a month's calendar lists so many slots; its week has all."""


@dataclass(frozen=True)
class CalendarDay:
    """A day. ``inside``: of the month that is shown, not of the weeks around it. ``more``: not listed."""

    date: date
    inside: bool
    slots: Sequence[CalendarSlot]
    more: int


@dataclass(frozen=True)
class CalendarPage:
    """A week or a month. ``before`` and ``after``: a day of those beside it."""

    span: Span
    title: str
    first: date
    last: date
    before: date
    after: date
    days: Sequence[CalendarDay]


@dataclass(frozen=True)
class KpiTile:
    """A KPI. ``share``: of the target, at most 100, in percent. ``change``: since a week before, None:
    unknown.
    """

    kpi: KpiResult
    share: float
    change: float | None
    spark: Spark


def shown_day(asked: date | None, today: date, first: date | None, last: date | None) -> date:
    """The day whose week or month is shown: the one asked for, within the years that a mission can have; else
    today, or the day of the first or last slot where those are all before or after it.
    """
    if asked is not None:
        return min(max(asked, date(FIRST_YEAR, 1, 8)), date(LAST_YEAR, 12, 1))
    if first is None or last is None:
        return today
    return min(max(today, first), last)


def bounds(span: Span, day: date) -> tuple[date, date]:
    """The first and last day shown: whole weeks from Monday on."""
    begin, end = (day, day) if span == "week" else _month(day)
    first = begin - timedelta(days=begin.weekday())
    return first, end + timedelta(days=6 - end.weekday())


def calendar_page(span: Span, day: date, calendar: CalendarView) -> CalendarPage:
    """The days of a calendar that was read within ``bounds``."""
    by_day: dict[date, list[CalendarSlot]] = defaultdict(list)
    for slot in calendar.slots:
        by_day[pendulum.instance(slot.at).in_timezone(calendar.timezone).date()].append(slot)
    begin, end = _month(day)
    month = pendulum.date(day.year, day.month, 1)
    if span == "week":
        title = f"Week of {calendar.since.day} {calendar.since:%b %Y}"
        before, after = day - WEEK, day + WEEK
    else:
        title, before, after = f"{day:%B %Y}", month.subtract(months=1), month.add(months=1)
    days = []
    for number in range((calendar.until - calendar.since).days + 1):
        each = calendar.since + timedelta(days=number)
        slots = by_day[each]
        most = len(slots) if span == "week" or len(slots) <= SHOWN_IN_MONTH + 1 else SHOWN_IN_MONTH
        days.append(
            CalendarDay(each, span == "week" or begin <= each <= end, slots[:most], len(slots) - most)
        )
    return CalendarPage(span, title, calendar.since, calendar.until, before, after, days)


def _month(day: date) -> tuple[date, date]:
    first = pendulum.date(day.year, day.month, 1)
    return first, first.add(months=1).subtract(days=1)


def tone(state: str) -> str:
    """The colour of a state: good, calm, doubt, bad or plain."""
    return Standing(state).tone


def tiles(results: ResultsView) -> list[KpiTile]:
    """A tile for each KPI."""
    return [_tile(kpi) for kpi in results.kpis]


def _tile(kpi: KpiResult) -> KpiTile:
    current = kpi.current or 0.0
    values = [each.current for each in kpi.history if each.current is not None]
    change = None if kpi.week_before is None or kpi.current is None else kpi.current - kpi.week_before
    return KpiTile(kpi, min(100.0, round(100 * current / kpi.target, 1)), change, spark(values, kpi.target))


def figure(value: float | None, metric: str) -> str:
    """A KPI's value: a rate in percent with its decimals, a total as a whole number."""
    if value is None:
        return "–"
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}".rstrip("0")
    return f"{text} %" if metric == "engagement_rate" else text


def change_text(change: float, metric: str) -> str:
    """A change with its sign: ``+12``, ``−0.4 points``, ``no change``."""
    if not change:
        return "no change"
    text = figure(abs(round(change, 2)), metric).removesuffix(" %")
    return f"{'+' if change > 0 else '−'}{text}{' points' if metric == 'engagement_rate' else ''}"


def growth(cycles: Sequence[CycleSums]) -> Plot:
    """How engagements grew in the last cycles, each from its own beginning."""
    shown = [each for each in cycles if each.curve][-CURVES:]
    return plot([
        Series(
            f"Cycle {each.number}",
            [
                (
                    max(0.0, point.days), point.engagements,
                    f"Cycle {each.number}, {point.days:.1f} days: {point.engagements:,} engagements",
                )
                for point in each.curve
            ],
        )
        for each in shown
    ])  # fmt: skip


def rates(cycles: Sequence[CycleSums]) -> Plot:
    """The engagement rate of every cycle, a line for each platform."""
    names = sorted({name for each in cycles for name in each.platforms})[:CURVES]
    series = []
    for name in names:
        points: list[tuple[float, float, str]] = []
        for place, each in enumerate(cycles):
            rate = each.platforms[name].engagement_rate if name in each.platforms else None
            if rate is not None:
                points.append((place, rate, f"{name}, cycle {each.number}: {rate:.2f} %"))
        series.append(Series(name, points))
    return plot(series, unit=" %", names=[str(each.number) for each in cycles] or ["1"])


def growth_table(cycles: Sequence[CycleSums]) -> list[tuple[int, list[tuple[str, int | None]]]]:
    """The numbers of ``growth``: (whole days since the cycle began, [(cycle, engagements; None without a
    reading)]).
    """
    shown = [each for each in cycles if each.curve][-CURVES:]
    by_day: dict[int, dict[int, int]] = defaultdict(dict)
    for each in shown:
        for point in each.curve:
            by_day[max(0, int(point.days))][each.number] = point.engagements
    return [
        (day, [(f"Cycle {each.number}", by_day[day].get(each.number)) for each in shown])
        for day in sorted(by_day)
    ]


def read_in(dag_id: str, cycle: CycleSums) -> str:
    """The task in Airflow that read a cycle's results."""
    return f"{dag_run_link(dag_id, cycle.dag_run_id)}/tasks/{task_of(ANALYTICS)}"


def filters() -> dict[str, Any]:
    """What the templates of a mission call."""
    return {"tone": tone, "figure": figure, "change_text": change_text, "read_in": read_in}
