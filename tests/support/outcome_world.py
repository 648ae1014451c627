"""A mission with results, put straight into its tables: two cycles measured, the third one planned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pressroom.domain.run import Run
from tests.support.mission_world import START, MissionWorld
from tests.support.report_world import Report

ARABIC = "القهوة المقطّرة: دليل كامل للمبتدئين"
JAPANESE = "深煎りと浅煎りの違いを確かめる"
LONG = "What a very long topic does to a narrow column, " * 5
KPIS: Sequence[dict[str, Any]] = (
    {"metric": "engagement_rate", "target": "4.5"},
    {"metric": "engagements", "target": "1000", "platform": "twitter"},
)
WEIGHTS = {"18:00": 1.6, "09:00": 0.7}
HOUR = timedelta(hours=1)


@dataclass
class OutcomeWorld:
    """``runs``: of the cycles; ``cycles``, ``posts``: ids, in order."""

    report: Report
    runs: list[Run]
    cycles: list[int]
    posts: list[int]

    @property
    def world(self) -> MissionWorld:
        """The mission."""
        return self.report.world

    @property
    def path(self) -> str:
        """Where the API and the page have it."""
        return f"/missions/msn_{self.world.mission_id}"

    @property
    def change(self) -> int:
        """The number of the last change of its strategy."""
        return int(self.world.sql("SELECT max(id) FROM strategy_changes")[0][0])


def with_outcomes(world: MissionWorld, folder: Path) -> OutcomeWorld:
    """Fill the mission.

    Cycle 1: two posts on twitter, read last with 1,000 and 1,000 impressions, 30 and 50 engagements. Cycle 2:
    one post on linkedin, read with 400 and 25. Cycle 3: one waits for review, one is half an hour after
    midnight in Berlin, one could not be written.
    """
    made = OutcomeWorld(Report(world, folder), [], [], [])
    for number in (1, 2, 3):
        _cycle(made, number)
    report, (first, second, third), (one, two, three) = made.report, made.cycles, made.runs
    for topic, hour, engagements in ((ARABIC, 8, 30), (JAPANESE, 17, 50)):
        at = START + hour * HOUR
        post = report.post(first, report.slot(first, at, topic), headline=topic, status="published")
        report.publication(
            one, post, "confirmed", at, external_id=f"e{post}", public_url="https://x.example/1"
        )
        report.metrics(post, at, 1, 10, 9)
        report.metrics(post, at, 24, 1000, engagements)
        made.posts.append(post)
    at = START + timedelta(days=8, hours=9)
    post = report.post(
        second, report.slot(second, at, LONG, platform="linkedin"), platform="linkedin", status="published"
    )
    report.publication(two, post, "confirmed", at, external_id=f"e{post}")
    report.metrics(post, at, 24, 400, 25)
    world.sql("UPDATE post_metrics SET platform = 'linkedin' WHERE post_id = %s", post)
    made.posts.append(post)
    at = START + timedelta(days=15, hours=10)
    made.posts.append(report.post(third, report.slot(third, at, "Water"), status="pending_review"))
    at = START + timedelta(days=15, hours=23, minutes=30)
    made.posts.append(
        report.post(third, report.slot(third, at, "Midnight", explores="time"), status="scheduled")
    )
    report.publication(three, made.posts[-1], "accepted", at, external_id="e-last")
    slot = report.slot(third, at + HOUR, "Grinders", status="planned")
    world.sql(
        "INSERT INTO item_failures (account_id, workflow_id, stage, item, error_class, error, run_id)"
        " VALUES (%s, %s, 'content', %s, 'X', 'the model said <nothing>', %s)",
        world.account_id, world.mission_id, str(slot), three.id,
    )  # fmt: skip
    report.change(first, {}, WEIGHTS, factor="time")
    report.insight(
        first,
        finding="Posts at 18:00 get 1.7 times the engagements",
        evidence=json.dumps({"low": 1.2, "high": 2.4, "posts": 28}),
    )
    report.optimized(first, predicted_improvement={"engagements": "+9%"}, too_little_data={})
    report.change(second, WEIGHTS, {"18:00": 1.9, "09:00": 0.5}, factor="time")
    report.optimized(second, too_little_data={"linkedin": "1 post, and 20 are needed"})
    for cycle, day, engagements, impressions, all_time in (
        (first, 1, 9, 10, 9), (first, 3, 30, 1010, 30), (first, 6, 80, 2000, 80), (second, 9, 5, 90, 85),
        (second, 13, 25, 400, 105),
    ):  # fmt: skip
        report.snapshot(
            cycle, day, metrics={"total_engagements": engagements, "total_impressions": impressions},
            kpi_status=[
                {**KPIS[0], "due": 4.5, "status": "at_risk", "current": 4.375 if day == 13 else 4},
                {**KPIS[1], "due": 75, "status": "on_track", "current": all_time},
            ],
            trends={"engagement_rate": {"direction": "rising"}, "engagements": {"direction": "steady"}},
        )  # fmt: skip
    return made


def _cycle(made: OutcomeWorld, number: int) -> None:
    run = made.world.run(f"cycle__{number}")
    made.runs.append(run)
    made.cycles.append(made.report.cycle(run, number, strategy={"content_pillars": []}))
    if number < 3:
        made.world.close(run)
