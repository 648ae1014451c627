"""A mission with posts that are out, and an outside that a test sets the clock and the numbers of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pressroom.domain.definitions import Account, dump
from pressroom.domain.missions import Mission
from pressroom.domain.publishing import Placed
from pressroom.domain.run import Run
from pressroom.domain.social import Measured, Platform
from pressroom.pipelines.tools import Social, Tools
from pressroom.store.database import Store
from pressroom.testing import tools as fake_tools
from tests.support.postgres import open_connection

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday."""

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def reading(
    external_id: str, at: datetime, impressions: int = 100, engagements: int = 4, **changes: Any
) -> Measured:
    """What a platform says about a post."""
    platform = Platform(changes.pop("platform", "twitter"))
    return Measured(external_id, platform, at, impressions, engagements, **changes)


@dataclass
class Outside:
    """Metrics and clock in one. ``asked`` holds the windows that were asked for."""

    time: datetime = START
    scheduled: dict[str, Placed] = field(default_factory=dict)
    readings: list[Measured] = field(default_factory=list)
    error: Exception | None = None
    asked: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    simulated: bool = True

    async def now(self) -> datetime:
        """See Clock."""
        return self.time

    async def status(self, start: datetime, end: datetime) -> Mapping[str, Placed]:
        """See Metrics."""
        self.asked.append(("status", start, end))
        return self.scheduled

    async def posts(self, platform: Platform, start: datetime, end: datetime) -> Sequence[Measured]:
        """See Metrics. Raises the error, when there is one."""
        self.asked.append((str(platform), start, end))
        if self.error is not None:
            raise self.error
        return [one for one in self.readings if one.platform == platform and start <= one.published_at <= end]

    def out(self, external_id: str, url: str = "https://x.example/1") -> None:
        """The scheduler says from now on that the post is out."""
        self.scheduled[external_id] = Placed(external_id, url)

    def measured(self, *readings: Measured) -> None:
        """What analytics says from now on."""
        self.readings = list(readings)


@dataclass
class ResultsWorld:
    """The ids and definitions of what was put in."""

    url: str
    store: Store
    account: Account
    mission: Mission
    account_id: int
    mission_id: int
    outside: Outside = field(default_factory=Outside)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement outside the store, committed at once."""
        with open_connection(self.url) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def tools(self) -> Tools:
        """A stage's tools, connected to the outside."""
        social = Social(self.outside, self.outside)
        return fake_tools(self.account, self.mission, social=social)

    def run(self, number: int = 1) -> Run:
        """A run that is live; the ones before it are completed. It has no cycle."""
        self.sql("UPDATE runs SET status = 'completed' WHERE workflow_id = %s", self.mission_id)
        [(run_id,)] = self.sql(
            "INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, lease_until)"
            " VALUES (%s, %s, %s, %s, 'manual', 'tester', now() + interval '1 hour') RETURNING id",
            self.account_id, self.mission_id, self.mission.dag_id, f"manual__{number}",
        )  # fmt: skip
        return Run(
            self.account,
            self.mission,
            None,
            id=run_id,
            account_id=self.account_id,
            workflow_id=self.mission_id,
        )

    def cycle(
        self, number: int = 1, start: datetime = START, days: int = 7, closes: datetime | None = None
    ) -> Run:
        """A run with a cycle that has its strategy. ``closes``: its end, when none is given."""
        run = self.run(number)
        end = start + timedelta(days=days)
        self.sql(
            "INSERT INTO cycles (account_id, mission_id, run_id, number, starts_at, ends_at, closes_at,"
            " context, strategy) VALUES (%s, %s, %s, %s, %s, %s, %s, '{}', '{}')",
            self.account_id, self.mission_id, run.id, number, start, end, closes or end,
        )  # fmt: skip
        self.sql(
            "UPDATE missions SET started_at = coalesce(started_at, %s) WHERE id = %s", start, self.mission_id
        )
        return run

    def cycle_id(self, run: Run) -> int:
        """The id of the run's cycle."""
        [(found,)] = self.sql("SELECT id FROM cycles WHERE run_id = %s", run.id)
        return int(found)

    def post(
        self,
        run: Run,
        at: datetime = START + HOUR,
        *,
        platform: str = "twitter",
        topic: str = "tea",
        status: str = "accepted",
        **choices: str,
    ) -> int:
        """A scheduled post of the run's cycle, with a publication as ``ext-<post id>``. Returns its id."""
        cycle = self.cycle_id(run)
        levels = {"weekday": "monday", "time": f"{at:%H:%M}", "format": "single", **choices}
        # Two posts of a platform never appear at the very same moment.
        [(taken,)] = self.sql("SELECT count(*) FROM slots WHERE platform = %s AND at = %s", platform, at)
        [(slot,)] = self.sql(
            "INSERT INTO slots (account_id, mission_id, cycle_id, at, platform, choices, topic, status)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, 'written') RETURNING id",
            self.account_id, self.mission_id, cycle, at + timedelta(seconds=taken), platform,
            json.dumps(levels), topic,
        )  # fmt: skip
        [(post,)] = self.sql(
            "INSERT INTO posts (account_id, mission_id, cycle_id, slot_id, platform, format, headline, body,"
            " parts, confidence, model, status, content_hash)"
            " VALUES (%s, %s, %s, %s, %s, 'single', 'h', 'b', ARRAY['b'], 0.9, 'fake', 'scheduled', 'hash')"
            " RETURNING id",
            self.account_id, self.mission_id, cycle, slot, platform,
        )  # fmt: skip
        sent = status in ("accepted", "confirmed")
        self.sql(
            "INSERT INTO publications (account_id, workflow_id, run_id, content, target, status,"
            " content_hash, scheduled_for, external_id) VALUES (%s, %s, %s, %s, %s, %s, 'hash', %s, %s)",
            self.account_id, self.mission_id, run.id, f"post:{post}", f"pressroom_metricool/{platform}",
            status, at, f"ext-{post}" if sent else None,
        )  # fmt: skip
        return int(post)

    def metrics(
        self,
        post: int,
        published: datetime,
        *,
        impressions: int = 1000,
        engagements: int = 40,
        age: timedelta = DAY,
        **changes: int,
    ) -> None:
        """A stored reading of a post at some age."""
        values = {"link_clicks": 0, "new_followers": 0, **changes}
        self.sql(
            "INSERT INTO post_metrics (account_id, mission_id, post_id, platform, hour, published_at,"
            " impressions, engagements, link_clicks, new_followers)"
            " SELECT account_id, mission_id, id, platform, date_trunc('hour', %s::timestamptz, 'UTC'),"
            " %s, %s, %s, %s, %s FROM posts WHERE id = %s",
            published + age, published, impressions, engagements, values["link_clicks"],
            values["new_followers"], post,
        )  # fmt: skip


def make_results_world(url: str, store: Store, **mission: Any) -> ResultsWorld:
    """An account ``demo`` and a mission ``launch`` on twitter and linkedin, 28 days long."""
    account = Account(slug="demo", name="Demo")
    facts = {
        "objectives": ["be known"],
        "platforms": [Platform.TWITTER, Platform.LINKEDIN],
        "status": "active",
        **mission,
    }
    definition = Mission(account="demo", slug="launch", name="Launch", **facts)
    with open_connection(url) as connection:
        [account_id] = connection.execute(
            "INSERT INTO accounts (slug, name, definition) VALUES ('demo', 'Demo', %s) RETURNING id",
            [json.dumps(dump(account))],
        ).fetchone() or [0]
        [mission_id] = connection.execute(
            "INSERT INTO workflows (account_id, kind, slug) VALUES (%s, 'mission', 'launch') RETURNING id",
            [account_id],
        ).fetchone() or [0]
        connection.execute(
            "INSERT INTO missions (id, account_id, slug, status, definition)"
            " VALUES (%s, %s, 'launch', 'active', %s)",
            [mission_id, account_id, json.dumps(definition.model_dump(mode="json"))],
        )
    return ResultsWorld(url, store, account, definition, account_id, mission_id)
