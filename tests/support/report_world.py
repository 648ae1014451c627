"""A mission's report under test: rows put straight into its tables, and the pages made of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pressroom.domain.run import Run
from pressroom.ui.mission.page import write_mission_page
from tests.support.mission_world import START, MissionWorld

EVIDENCE = {"posts": 28, "method": "OLS", "compared": 4, "sigma_of_noise": [0.5, 0.25], "findings": []}


@dataclass
class Report:
    """A mission with rows put straight into its tables, and the pages made of them."""

    world: MissionWorld
    folder: Path

    def cycle(self, run: Run, number: int = 1, **columns: Any) -> int:
        """A cycle of the run, a week after the one before; ``columns`` are set on it."""
        cycle = self.world.cycle(run, START + timedelta(days=7 * (number - 1)))
        for name, value in columns.items():
            stored = json.dumps(value) if isinstance(value, dict) else value
            self.world.sql(f"UPDATE cycles SET {name} = %s WHERE id = %s", stored, cycle)  # noqa: S608  # a column
        return cycle

    def slot(self, cycle: int, at: datetime, topic: str = "Tea", **columns: Any) -> int:
        """A slot, written unless said otherwise. Returns its id."""
        choices = {
            "format": "single",
            "time": f"{at:%H:%M}",
            "pillar": "Brewing",
            **columns.pop("choices", {}),
        }
        return self._add(
            "slots", cycle_id=cycle, at=at, topic=topic, choices=json.dumps(choices),
            **{"platform": "twitter", "status": "written", **columns},
        )  # fmt: skip

    def post(self, cycle: int, slot: int, **columns: Any) -> int:
        """A post. Returns its id."""
        facts = {
            "platform": "twitter", "format": "single", "headline": "Headline", "body": "b", "parts": ["Part"],
            "confidence": 0.84, "model": "gpt-9", "status": "scheduled", "content_hash": "h",
        }  # fmt: skip
        return self._add("posts", cycle_id=cycle, slot_id=slot, **{**facts, **columns})

    def publication(self, run: Run, post: int, status: str, at: datetime, **columns: Any) -> None:
        """A post at a target."""
        self.world.sql(
            "INSERT INTO publications (account_id, workflow_id, run_id, content, target, status,"
            " content_hash, scheduled_for, external_id, public_url, error)"
            " VALUES (%s, %s, %s, %s, 'metricool/twitter', %s, 'h', %s, %s, %s, %s)",
            self.world.account_id, self.world.mission_id, run.id, f"post:{post}", status, at,
            columns.get("external_id"), columns.get("public_url", ""), columns.get("error", ""),
        )  # fmt: skip

    def metrics(self, post: int, at: datetime, hour: int, impressions: int, engagements: int) -> None:
        """A reading of a post, so many hours after it came out."""
        self.world.sql(
            "INSERT INTO post_metrics VALUES (%s, %s, %s, 'twitter', %s, %s, %s, %s, 3, 1)",
            self.world.account_id, self.world.mission_id, post, at + timedelta(hours=hour), at, impressions,
            engagements,
        )  # fmt: skip

    def snapshot(self, cycle: int, day: int, **output: Any) -> None:
        """A snapshot, so many days after the start."""
        self.world.sql(
            "INSERT INTO snapshots VALUES (%s, %s, %s, 'running', %s)",
            self.world.account_id, cycle, START + timedelta(days=day), json.dumps(output),
        )  # fmt: skip

    def optimized(self, cycle: int, **output: Any) -> None:
        """What optimize says about a cycle."""
        self.world.sql("UPDATE cycles SET measured_at = now(), optimized_at = now() WHERE id = %s", cycle)
        self.world.sql(
            "INSERT INTO optimizations VALUES (%s, %s, %s)", cycle, self.world.account_id, json.dumps(output)
        )

    def change(self, cycle: int, before: dict[str, Any], after: dict[str, Any], **columns: Any) -> None:
        """A change of the strategy."""
        facts = {"platform": "twitter", "factor": "time", "evidence": json.dumps(EVIDENCE), **columns}
        self._add(
            "strategy_changes", cycle_id=cycle, before=json.dumps(before), after=json.dumps(after), **facts
        )

    def insight(self, cycle: int, **columns: Any) -> None:
        """An insight."""
        facts = {
            "type": "timing", "platform": "twitter", "factor": "time", "level": "18:00", "confidence": 0.9999,
            "finding": "Evenings do better", "action": "shift_schedule",
            "evidence": '{"low": 1.2, "high": 2}',
        }  # fmt: skip
        self._add("insights", cycle_id=cycle, **{**facts, **columns})

    def write(self, *, simulated: bool = True) -> str:
        """The index, as text."""
        with self.world.store.transaction(self.world.account_id) as tx:
            path = write_mission_page(tx, self.world.mission_id, self.folder, simulated=simulated)
        assert path == self.folder / "index.html"
        return path.read_text("utf-8")

    def page(self, post: int) -> str:
        """A post's page, as text."""
        return (self.folder / f"post-{post}.html").read_text("utf-8")

    def _add(self, table: str, **columns: Any) -> int:
        columns |= {"account_id": self.world.account_id, "mission_id": self.world.mission_id}
        places = ", ".join(["%s"] * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) RETURNING id"  # noqa: S608  # names
        [(found,)] = self.world.sql(statement, *columns.values())
        return int(found)


class Outline(HTMLParser):
    """Tags left open or closed twice, the level of every heading, ids, and everything linked or loaded."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        self.links += [str(values[name]) for name in ("href", "src") if name in values]
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in {"meta", "br", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def visible(page: str) -> str:
    """A page's text, white space squeezed."""
    body = page.split("</style>")[-1]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))
