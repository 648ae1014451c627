"""A mission's report as a folder of plain HTML that any browser opens, without a server."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pendulum
from jinja2 import Environment

from pressroom.domain.errors import TransientError
from pressroom.domain.markup.html import suffix_of
from pressroom.domain.missions import Mission
from pressroom.store.database import Tx
from pressroom.ui.environment import environment
from pressroom.ui.mission.calendar import CycleResult, calendars, results
from pressroom.ui.mission.changes import lessons, text
from pressroom.ui.mission.chart import Chart, Point, chart
from pressroom.ui.mission.facts import Facts, PostRow, read
from pressroom.ui.site import BUNDLED_MODEL

_KPI_TONES = {"met": "good", "on_track": "calm", "at_risk": "doubt", "behind": "bad"}


def write_mission_page(tx: Tx, mission_id: int, folder: Path, *, simulated: bool) -> Path:
    """Write ``index.html``, a page per post and the pictures into ``folder``. Returns the index's path.

    Covers one mission of the transaction's account, without what was rolled back or archived. ``simulated``:
    everything was posted to a simulator, and the pages say so. A picture without its file is left out.
    Raises PermanentError for an unknown mission, TransientError when the folder cannot be written.
    """
    facts = read(tx, mission_id)
    try:
        return _write(facts, folder, simulated=simulated)
    except OSError as error:
        raise TransientError(
            f"the report cannot be written to {folder}: {error.strerror or error}"
        ) from error


def post_page(mission: Mission, row: PostRow, *, at: datetime, topic: str, picture: str | None) -> str:
    """A post as a page of its own, as it would be published at ``at``. ``picture``: its URL."""
    return (
        _environment()
        .get_template("content_post.html.j2")
        .render(
            mission=mission,
            row=row,
            at=pendulum.instance(at).in_timezone(mission.constraints.timezone),
            topic=topic,
            picture=picture,
            simulated=False,
            models=[row.model],
            bundled=row.model.startswith(BUNDLED_MODEL),
        )
    )


def _write(facts: Facts, folder: Path, *, simulated: bool) -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    shown = calendars(facts)
    reached = results(facts)
    common = {
        "mission": facts.mission,
        "row": facts.row,
        "local": facts.local,
        "simulated": simulated,
        "models": facts.models,
        "bundled": any(model.startswith(BUNDLED_MODEL) for model in facts.models),
    }
    posts = [post for calendar in reversed(shown) for post in calendar.posts]
    page = _environment().get_template("mission_post.html.j2")
    for index, post in enumerate(posts):
        (folder / post.page).write_text(
            page.render(
                **common,
                post=post,
                picture=_copy(post.row, folder),
                earlier=posts[index - 1] if index else None,
                later=posts[index + 1] if index + 1 < len(posts) else None,
            ),
            "utf-8",
        )
    path = folder / "index.html"
    path.write_text(
        _environment().get_template("mission_index.html.j2").render(
            **common,
            cycles=facts.cycles,
            window=_window(facts),
            spent=_spent(facts),
            results=reached,
            charts=_charts(reached),
            kpis=_kpis(facts),
            lessons=lessons(facts),
            calendars=shown,
            posts=len(posts),
            rollbacks=facts.rollbacks,
        ),
        "utf-8",
    )  # fmt: skip
    return path


def _copy(post: PostRow, folder: Path) -> str | None:
    """Copy a post's picture beside the pages. None without a picture, or when the media store lacks it."""
    # A picture on the web is not fetched: the page names its address instead.
    if post.media_url is None or post.media_url.startswith(("http://", "https://")):
        return None
    from upath import UPath  # any storage that media may live in; slow to import, and only needed here

    try:
        data = UPath(post.media_url).read_bytes()
    except (OSError, ValueError, ImportError):
        return None
    src = f"images/post-{post.id}.{suffix_of(post.media_type or '')}"
    (folder / src).write_bytes(data)
    return src


def _window(facts: Facts) -> str:
    """The mission's first and last day, in words."""
    mission = facts.mission
    start = facts.row.started_at or mission.starts_at
    if start is None:
        return f"{mission.duration_days} days from the first run on"
    # Nothing is posted at the end itself: an end at midnight belongs to the day before.
    end = facts.local(mission.ends(start)).subtract(microseconds=1)
    return span(facts.local(start).date(), end.date())


def _spent(facts: Facts) -> tuple[str, float | None]:
    """What providers charged of the budget, in words and in percent; None without a budget."""
    spent, budget = facts.row.spent_cents, facts.mission.total_cents
    if budget is None:
        return f"{cents(spent)}, no budget set", None
    percent = 100 * float(spent / budget) if budget else 100.0
    return f"{cents(spent)} of {cents(budget)} ({percent:.0f} %)", min(100.0, round(percent, 1))


def _charts(reached: Sequence[CycleResult]) -> Mapping[str, Chart]:
    def points(values: Sequence[float | None]) -> list[Point]:
        pairs = zip(reached, values, strict=True)
        return [Point(str(result.cycle.number), value, open=not result.final) for result, value in pairs]

    rates = [result.totals.engagement_rate for result in reached]
    sums = [float(result.totals.engagements) if result.totals.posts else None for result in reached]
    return {"rate": chart(points(rates), decimals=2, unit=" %"), "sum": chart(points(sums))}


def _kpis(facts: Facts) -> list[dict[str, str]]:
    """Every KPI from the latest snapshot, or from the definition before the first snapshot."""
    stored: list[Mapping[str, Any]] = []
    for cycle in facts.cycles:
        if cycle.snapshot is not None:
            stored = [kpi for kpi in cycle.snapshot.get("kpi_status") or [] if isinstance(kpi, Mapping)]
            break
    else:
        stored = [kpi.model_dump(mode="python") for kpi in facts.mission.kpis]
    return [_kpi(kpi) for kpi in stored]


def _kpi(stored: Mapping[str, Any]) -> dict[str, str]:
    def value(key: str) -> str:
        if stored.get(key) is None:
            return "–"
        return text(plain(stored[key])) + (" %" if stored.get("metric") == "engagement_rate" else "")

    status = str(stored.get("status") or "not measured yet")
    return {
        "metric": str(stored.get("metric", "")).replace("_", " "),
        "platform": str(stored.get("platform") or "all"),
        "target": value("target"),
        "current": value("current"),
        "due": value("due"),
        "status": status.replace("_", " "),
        "tone": _KPI_TONES.get(status, "plain"),
    }


def plain(value: Any) -> Any:
    """A whole number without its decimal point; anything else unchanged."""
    if isinstance(value, Decimal):
        value = float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def confidence(value: float) -> str:
    """A probability in percent, rounded down: only certainty reads 100 %."""
    return f"{math.floor(1000 * value + 1e-9) / 10:g} %"


def cents(value: Decimal) -> str:
    """An amount of cents with two decimals, or none for a whole number."""
    return f"{f'{value:,.2f}'.removesuffix('.00')} cents"


def span(first: date, last: date) -> str:
    """Two dates in the shortest form: ``9–15 Mar 2026``."""
    if first == last:
        return f"{last.day} {last:%b %Y}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{last.day} {last:%b %Y}"
    start = f"{first.day} {first:%b}" if first.year == last.year else f"{first.day} {first:%b %Y}"
    return f"{start} – {last.day} {last:%b %Y}"


def moment(at: datetime) -> str:
    """``Mon 9 Mar 2026, 09:00``."""
    return f"{at:%a} {at.day} {at:%b %Y, %H:%M}"


def number(value: int) -> str:
    """``1,234``."""
    return f"{value:,}"


def decimal(value: float | None, places: int = 2) -> str:
    """``1,234.50``; a dash for None."""
    return "–" if value is None else f"{value:,.{places}f}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as ``25 %``; a dash for None."""
    return "–" if share is None else f"{100 * share:.0f} %"


def words(name: str) -> str:
    """An identifier with spaces instead of underscores."""
    return name.replace("_", " ")


def web_address(url: str) -> bool:
    """Whether the text is an http(s) address that a page can link to."""
    return re.match(r"https?://[^\s]+$", url) is not None


@cache
def _environment() -> Environment:
    made = environment()
    filters = (confidence, decimal, moment, number, percent, text, words)
    made.filters |= {function.__name__: function for function in filters}
    made.tests["web_address"] = web_address
    made.globals["span"] = span
    return made
