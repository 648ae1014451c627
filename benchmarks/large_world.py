"""A large tenant: an account that owns a thousand sites and all that has come of them, the same every time.

One site is busy: a tenth of the articles are its own, and hundreds of runs, whose latest is live and has the
longest log. That is what requests are about, so they meet the hardest case. A second, small account has a
site of its own.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.world import add_sites, open_world
from pressroom.adapters.storage.media import MediaFiles
from pressroom.domain.definitions import Account, BrandContext, dump
from pressroom.domain.flows import Flow
from pressroom.domain.missions import Mission
from pressroom.domain.social import Platform

FILE = Path(__file__).with_suffix(".sql")
MEMBER = "bea"
ACCOUNT = "bench"


@dataclass(frozen=True)
class Sizes:
    """How much there is of what gives the rest its size."""

    sites: int = 1000
    articles: int = 100_000
    events: int = 1_000_000

    @property
    def numbers(self) -> dict[str, Any]:
        """What the statements below use."""
        return {
            "sites": self.sites,
            "articles": self.articles,
            "events": self.events,
            "busy": max(1, self.articles // 10),
            "busy_runs": 200,
            "entries": self.events // 2,
            "calls": self.events * 3 // 10,
            "missions": max(1, self.sites // 25),
            "flows": max(1, self.sites // 50),
            "posts": self.articles // 5,
            "audit": self.articles // 2,
        }


def load(url: str, media: Path, sizes: Sizes, report: Callable[[str], None]) -> None:
    """Fill an empty database. ``media``: where pictures go; ``report``: called with the name of each part."""
    account = open_world(url)
    sites = add_sites(url, account, [f"site-{number:05d}" for number in range(sizes.sites)])
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO members VALUES (%s, %s, 'owner')", [account, MEMBER])
        picture = MediaFiles(media).put(random.Random(5).randbytes(60_000), "image/png")
        numbers = sizes.numbers | {"account": account, "site": sites[0], "picture": picture}
        _add_missions(connection, account, numbers["missions"])
        _add_flows(connection, account, numbers["flows"])
        connection.execute("CREATE TEMP TABLE bodies (id integer PRIMARY KEY, html text NOT NULL)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO bodies VALUES (%s, %s)", list(enumerate(_bodies(64))))
        # They add to the same few rows for each entry, which is slow for so many.
        connection.execute("ALTER TABLE ledger DISABLE TRIGGER ledger_adds_up")
        connection.execute("ALTER TABLE ai_calls DISABLE TRIGGER ai_calls_add_up")
        for name, statement in _statements():
            report(name)
            connection.execute(statement, numbers)
        connection.execute("ALTER TABLE ledger ENABLE TRIGGER ledger_adds_up")
        connection.execute("ALTER TABLE ai_calls ENABLE TRIGGER ai_calls_add_up")
        connection.execute(
            "UPDATE accounts SET balance = sums.credits, spent_cents = sums.cents"
            " FROM (SELECT sum(credits) AS credits, sum(cents) AS cents FROM ledger"
            " WHERE account_id = %(id)s) AS sums WHERE id = %(id)s",
            {"id": account},
        )
    _add_neighbour(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _statements() -> Iterator[tuple[str, str]]:
    """What fills the tables, by name."""
    parts = re.split(r"^-- name: (\w+)$", FILE.read_text("utf-8"), flags=re.MULTILINE)
    return zip(parts[1::2], parts[2::2], strict=True)


def _bodies(number: int) -> list[str]:
    """Articles of a thousand words."""
    dice = random.Random(5)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(2000)]
    return [
        "".join(
            f"<h2>{dice.choice(words)}</h2><p>{' '.join(dice.choices(words, k=200))}.</p>" for _ in range(5)
        )
        for _ in range(number)
    ]


def _add_missions(connection: psycopg.Connection[Any], account: int, number: int) -> None:
    brand = BrandContext(account=ACCOUNT, slug="brand", name="Brand", voice="Friendly and precise.")
    row = connection.execute(
        "INSERT INTO brand_contexts (account_id, slug, definition) VALUES (%s, 'brand', %s) RETURNING id",
        [account, json.dumps(dump(brand))],
    ).fetchone()
    assert row
    for turn in range(number):
        mission = Mission(
            account=ACCOUNT, slug=f"mission-{turn:03d}", name=f"Mission {turn}", status="active",
            brand="brand", objectives=["Be read"], platforms=[Platform.TWITTER, Platform.LINKEDIN],
            duration_days=364,
        )  # fmt: skip
        connection.execute(
            "WITH w AS (INSERT INTO workflows (account_id, kind, slug) VALUES (%s, 'mission', %s)"
            " RETURNING *)"
            " INSERT INTO missions (id, account_id, slug, status, brand_context_id, definition, started_at)"
            " SELECT id, account_id, slug, 'active', %s, %s, now() - interval '70 days' FROM w",
            [account, mission.slug, row[0], json.dumps(dump(mission))],
        )


def _add_flows(connection: psycopg.Connection[Any], account: int, number: int) -> None:
    for turn in range(number):
        flow = Flow.model_validate(
            {"account": ACCOUNT, "slug": f"flow-{turn:03d}", "name": f"Flow {turn}", "steps": [
                {"name": "read", "type": "fetch",
                 "source": {"type": "rss", "url": "https://feeds.example/feed.xml", "cap": 20}},
                {"name": "write", "type": "ai", "prompt": "Retell: {{ item.title | data }}",
                 "output": {"title": "a title", "body": "two paragraphs"}},
                {"name": "site", "type": "publish", "to": "static_site", "mode": "auto"},
            ]}
        )  # fmt: skip
        connection.execute(
            "WITH w AS (INSERT INTO workflows (account_id, kind, slug) VALUES (%s, 'flow', %s) RETURNING *)"
            " INSERT INTO flows (id, account_id, slug, status, definition)"
            " SELECT id, account_id, slug, 'active', %s FROM w",
            [account, flow.slug, json.dumps(dump(flow))],
        )


def _add_neighbour(url: str) -> None:
    account = Account(slug="small", name="Small")
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "INSERT INTO accounts (slug, name, definition) VALUES ('small', 'Small', %s) RETURNING id",
            [json.dumps(dump(account))],
        ).fetchone()
        assert row
        connection.execute("INSERT INTO members VALUES (%s, 'sam', 'owner')", row)
    add_sites(url, row[0], ["corner-shop"], owner="small")
