"""A month of a site or a mission in review, for the people it is made for. Amounts of money are not in it.

A month is one of the workflow's time zone. A piece belongs to the month in which it was published, and its
numbers are those of its last reading, whenever that was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Annotated, Any

import pendulum
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from pressroom.api.kit.access import MISSION, SITE, Scope, allowed
from pressroom.api.kit.problems import invalid
from pressroom.api.resources.outcomes.calendar import midnight, mission_of
from pressroom.api.resources.outcomes.results import KpiResult, Sums, kpis_of
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role, Site
from pressroom.domain.missions import FIRST_YEAR, LAST_YEAR, Mission
from pressroom.domain.public_ids import public_id
from pressroom.pipelines.mission.results.kpis import Totals
from pressroom.store.database import Tx

router = APIRouter(tags=["reports"])

MonthQuery = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", examples=["2026-03"],
        description="left out: the last one in which something was published, else this one",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Month:
    """A month of a time zone."""

    first: date
    zone: str

    @property
    def name(self) -> str:
        """``2026-03``."""
        return f"{self.first:%Y-%m}"

    @property
    def before(self) -> Month:
        """The one before."""
        return Month(pendulum.date(self.first.year, self.first.month, 1).subtract(months=1), self.zone)

    @property
    def after(self) -> Month:
        """The next one."""
        return Month(pendulum.date(self.first.year, self.first.month, 1).add(months=1), self.zone)

    @property
    def since(self) -> datetime:
        """Its first moment."""
        return midnight(self.first, self.zone)

    @property
    def until(self) -> datetime:
        """The first moment after it."""
        return midnight(self.after.first, self.zone)


class ReportView(BaseModel):
    """What every report has. ``month``: in the time zone; ``name``: of the site or the mission."""

    name: str
    language: str
    month: str
    timezone: str
    made_at: datetime


class ReportedPlace(BaseModel):
    """A target that has an article."""

    target: str
    public_url: str


class ReportedArticle(BaseModel):
    """An article that was published in the month."""

    id: str
    title: str
    published_at: datetime
    words: int
    pictures: int
    cluster: str
    keywords: list[str]
    places: list[ReportedPlace]


class SiteReport(ReportView):
    """A site's month. ``keywords``: different ones that its articles are about. ``articles_before`` and
    ``words_before``: of the month before. ``waiting``: for review now.
    """

    site_id: int
    published: int
    words: int
    pictures: int
    keywords: int
    articles_before: int
    words_before: int
    written: int
    approved: int
    waiting: int
    articles: list[ReportedArticle]


class ReportedPost(BaseModel):
    """A post that was published in the month. ``read_at`` null: it was not read yet."""

    id: str
    topic: str
    platform: str
    published_at: datetime
    public_url: str
    read_at: datetime | None
    impressions: int
    engagements: int
    engagement_rate: float | None
    link_clicks: int
    new_followers: int


class ReportedDay(BaseModel):
    """The posts that were published on a day."""

    day: date
    posts: int
    engagements: int


class ReportedFinding(BaseModel):
    """What was found in a cycle that was measured in the month."""

    finding: str
    platform: str
    confidence: float


class MissionReport(ReportView):
    """A mission's month. ``published``: posts; ``totals``: over those that were read; ``before``: of the
    month before. ``kpis``: over the whole mission, at the month's last reading. ``days``: every day of the
    month.
    """

    mission_id: str
    objectives: list[str]
    published: int
    published_before: int
    totals: Sums
    before: Sums
    platforms: dict[str, Sums]
    kpis: list[KpiResult]
    days: list[ReportedDay]
    posts: list[ReportedPost] = Field(description="the one with the most engagements first")
    findings: list[ReportedFinding]


@router.get("/sites/{id}/report")
def get_site_report(month: MonthQuery = None, scope: Scope = allowed(Role.VIEWER, SITE)) -> SiteReport:
    """A site's month: what was published, where, and what is under way."""
    with scope.transaction() as tx:
        site = scope.workflow(tx).run().site
        return site_report(tx, scope.id, site, month_of(tx, scope.id, month, site.automation.timezone))


@router.get("/missions/{id}/report")
def get_mission_report(
    month: MonthQuery = None, scope: Scope = allowed(Role.VIEWER, MISSION)
) -> MissionReport:
    """A mission's month: what was published, what it reached, and what was learned from it."""
    with scope.transaction() as tx:
        mission = mission_of(tx, scope)
        return mission_report(
            tx, scope.id, mission, month_of(tx, scope.id, month, mission.constraints.timezone)
        )


def month_of(tx: Tx, workflow: int, asked: str | None, zone: str) -> Month:
    """The month that is asked for, else the last one in which the workflow published something, else this.

    Raises Problem 422 for a year that no workflow can have.
    """
    if asked is not None:
        year, month = map(int, asked.split("-"))
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise invalid("query.month", f"the year must be from {FIRST_YEAR} to {LAST_YEAR}")
        return Month(date(year, month, 1), zone)
    now = pendulum.now("UTC")
    last = pendulum.instance(tx.value("report_last", workflow=workflow, at=now) or now).in_timezone(zone)
    return Month(date(last.year, last.month, 1), zone)


def site_report(tx: Tx, number: int, site: Site, month: Month) -> SiteReport:
    """A month of a site of the transaction's account."""
    rows = tx.rows("report_articles", site=number, since=month.before.since, until=month.until)
    earlier = [row for row in rows if row["published_at"] < month.since]
    articles = [_article(row) for row in rows if row["published_at"] >= month.since]
    [work] = tx.rows("report_work", site=number, since=month.since, until=month.until)
    return SiteReport(
        **_head(site, site.language, month), site_id=number, published=len(articles),
        words=sum(each.words for each in articles), pictures=sum(each.pictures for each in articles),
        keywords=len({keyword for each in articles for keyword in each.keywords}),
        articles_before=len(earlier), words_before=sum(row["words"] for row in earlier),
        articles=articles, **work,
    )  # fmt: skip


def mission_report(tx: Tx, number: int, mission: Mission, month: Month) -> MissionReport:
    """A month of a mission of the transaction's account."""
    rows = tx.rows("report_posts", mission=number, since=month.before.since, until=month.until)
    earlier = [row for row in rows if row["published_at"] < month.since]
    own = [row for row in rows if row["published_at"] >= month.since]
    readings = [row for row in tx.rows("cycle_curves", mission=number) if row["at"] < month.until]
    findings = tx.all(
        "report_findings", ReportedFinding, mission=number, since=month.since, until=month.until
    )
    by_platform = groupby(sorted(own, key=lambda row: row["platform"]), lambda row: row["platform"])
    return MissionReport(
        **_head(mission, mission.language, month), mission_id=public_id(public_ids.MISSION, number),
        objectives=list(mission.objectives), published=len(own), published_before=len(earlier),
        totals=_sums(own), before=_sums(earlier),
        platforms={str(name): _sums(list(of)) for name, of in by_platform},
        kpis=kpis_of(mission, readings), days=_days(own, month),
        posts=sorted((_post(row) for row in own), key=lambda each: (-each.engagements, each.published_at)),
        findings=findings,
    )  # fmt: skip


def _head(workflow: Site | Mission, language: str, month: Month) -> dict[str, Any]:
    return {
        "name": workflow.name, "language": language, "month": month.name, "timezone": month.zone,
        "made_at": pendulum.now("UTC"),
    }  # fmt: skip


def _article(row: Mapping[str, Any]) -> ReportedArticle:
    return ReportedArticle(**{**row, "id": public_id(public_ids.ARTICLE, row["id"])})


def _post(row: Mapping[str, Any]) -> ReportedPost:
    rate = round(100 * row["engagements"] / row["impressions"], 2) if row["impressions"] else None
    return ReportedPost(**{**row, "id": public_id(public_ids.CONTENT, row["id"]), "engagement_rate": rate})


def _sums(rows: Sequence[Mapping[str, Any]]) -> Sums:
    read = [row for row in rows if row["read_at"] is not None]
    names = ("impressions", "engagements", "link_clicks", "new_followers")
    return Sums.of(Totals(posts=len(read), **{name: sum(row[name] for row in read) for name in names}))


def _days(rows: Sequence[Mapping[str, Any]], month: Month) -> list[ReportedDay]:
    local = [(pendulum.instance(row["published_at"]).in_timezone(month.zone).date(), row) for row in rows]
    days = []
    for number in range(1, (month.after.first - month.first).days + 1):
        day = date(month.first.year, month.first.month, number)
        of_day = [row for at, row in local if at == day]
        days.append(
            ReportedDay(day=day, posts=len(of_day), engagements=sum(row["engagements"] for row in of_day))
        )
    return days
