"""A cycle's calendar and results for the report's page. Pure functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from pressroom.domain.public_ids import CONTENT, public_id
from pressroom.pipelines.mission.results.kpis import Result, Totals, totals
from pressroom.ui.mission.facts import CycleRow, Facts, PostRow, PublicationRow, SlotRow

_PUBLICATION = {
    "attempting": "being sent",
    "accepted": "scheduled",
    "confirmed": "published",
    "failed": "failed",
    "unknown": "unknown",
    "withdrawn": "taken back",
}
"""The label of a post by its publication's status. A planned publication shows the post's own status."""

_TONES = {
    "published": "good",
    "scheduled": "calm",
    "failed": "bad",
    "rejected": "bad",
    "unknown": "doubt",
    "being sent": "doubt",
    "pending review": "doubt",
}
"""The colour of a label; all others have none."""

MOST_DAYS = 70
"""A cycle of at most so many days shows its empty days too, so that each column is one weekday."""


@dataclass(frozen=True)
class Standing:
    """What became of a post, in one or two words, with its colour."""

    label: str

    @property
    def tone(self) -> str:
        """good, calm, doubt, bad or plain."""
        return _TONES.get(self.label, "plain")


@dataclass(frozen=True)
class PostEntry:
    """A post in its slot. ``mark``: top or under when it stands out, otherwise ''."""

    row: PostRow
    slot: SlotRow
    cycle: CycleRow
    at: datetime
    standing: Standing
    publications: Sequence[PublicationRow]
    result: Result | None
    mark: str

    @property
    def page(self) -> str:
        """The file name of its page."""
        return f"post-{self.row.id}.html"

    @property
    def rate(self) -> float | None:
        """Engagements per hundred impressions."""
        return totals([self.result]).engagement_rate if self.result else None


@dataclass(frozen=True)
class Entry:
    """A slot of a day with its posts: none before it is written, two with variants."""

    slot: SlotRow
    at: datetime
    posts: Sequence[PostEntry]

    @property
    def standing(self) -> Standing:
        """The label of a slot without a post."""
        return Standing("failed" if self.slot.error else "not written yet")


@dataclass(frozen=True)
class Day:
    """A local date with its slots."""

    date: date
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Calendar:
    """A cycle's days. ``last``: its last local date. ``counts``: posts by label, the most frequent first."""

    cycle: CycleRow
    first: date
    last: date
    days: Sequence[Day]
    slots: int
    counts: Sequence[tuple[Standing, int]]
    pillars: Sequence[tuple[str, str]]
    tone: str
    planned: str

    @property
    def posts(self) -> list[PostEntry]:
        """Every post, by time."""
        return [post for day in self.days for entry in day.entries for post in entry.posts]


@dataclass(frozen=True)
class CycleResult:
    """What a cycle's posts reached. ``final``: the cycle is measured."""

    cycle: CycleRow
    totals: Totals
    final: bool

    @property
    def each(self) -> float | None:
        """Engagements a post. None before a post is measured."""
        return self.totals.engagements / self.totals.posts if self.totals.posts else None


def standing(post: PostRow, publications: Sequence[PublicationRow]) -> Standing:
    """What became of a post, by its latest publication, or else by its own status."""
    return standing_of(post.status, publications[-1].status if publications else "")


def standing_of(status: str, publication: str) -> Standing:
    """What became of a post, by its own status and that of its latest publication, '' without one."""
    return Standing(_PUBLICATION.get(publication) or status.replace("_", " "))


def calendars(facts: Facts) -> list[Calendar]:
    """One for every cycle, the latest first."""
    return [_calendar(facts, cycle) for cycle in facts.cycles]


def results(facts: Facts) -> list[CycleResult]:
    """One for every cycle, the earliest first."""
    own: dict[int, list[Result]] = defaultdict(list)
    for result in facts.results.values():
        own[result.cycle].append(result)
    return [
        CycleResult(cycle, totals(own[cycle.id]), cycle.measured_at is not None)
        for cycle in reversed(facts.cycles)
    ]


def _calendar(facts: Facts, cycle: CycleRow) -> Calendar:
    marks = _marks(cycle)
    days: dict[date, list[Entry]] = defaultdict(list)
    for slot in facts.slots.get(cycle.id, []):
        at = facts.local(slot.at)
        posts = [_post(facts, cycle, slot, row, marks) for row in facts.posts.get(slot.id, [])]
        days[at.date()].append(Entry(slot, at, posts))
    entries = [entry for of_day in days.values() for entry in of_day]
    counts = Counter(
        standing
        for entry in entries
        for standing in [post.standing for post in entry.posts] or [entry.standing]
    )
    first = facts.local(cycle.starts_at).date()
    last = facts.local(cycle.ends_at).subtract(microseconds=1).date()
    return Calendar(
        cycle=cycle,
        first=first,
        last=last,
        days=[Day(day, days[day]) for day in _dates(first, last, sorted(days))],
        slots=len(entries),
        counts=counts.most_common(),
        pillars=_pillars(cycle.strategy or {}),
        tone=str((cycle.strategy or {}).get("tone_guidelines") or ""),
        planned=_planned(cycle.context),
    )


def _post(facts: Facts, cycle: CycleRow, slot: SlotRow, row: PostRow, marks: Mapping[str, str]) -> PostEntry:
    publications = facts.publications.get(row.id, [])
    return PostEntry(
        row=row,
        slot=slot,
        cycle=cycle,
        at=facts.local(slot.at),
        standing=standing(row, publications),
        publications=publications,
        result=facts.results.get(row.id),
        mark=marks.get(public_id(CONTENT, row.id), ""),
    )


def _marks(cycle: CycleRow) -> dict[str, str]:
    """The posts that stand out in the latest snapshot: public id → "top" or "under"."""
    seen = cycle.snapshot or {}
    under = dict.fromkeys(_words(seen.get("underperformers")), "under")
    return under | dict.fromkeys(_words(seen.get("top_performers")), "top")


def _dates(first: date, last: date, used: Sequence[date]) -> list[date]:
    """The dates to show: all dates of a short cycle, those with slots of a long one; always late slots."""
    start, end = min([first, *used]), max([last, *used])
    number = (end - start).days + 1
    return [start + timedelta(days=day) for day in range(number)] if number <= MOST_DAYS else list(used)


def _pillars(strategy: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and share, in percent."""
    pillars = []
    for pillar in strategy.get("content_pillars") or []:
        weight = pillar.get("weight")
        share = f"{100 * weight:.0f} %" if isinstance(weight, (int, float)) else ""
        pillars.append((str(pillar.get("name", "")), share))
    return pillars


def _planned(context: Mapping[str, Any]) -> str:
    """The number of posts that intake planned; '' when it is not recorded."""
    cycle = context.get("cycle_context")
    planned = cycle.get("posts_planned") if isinstance(cycle, Mapping) else None
    return f"{planned:,}" if isinstance(planned, int) else ""


def _words(value: Any) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []
