"""What the benchmarks put into the database: an account, sites, and items in the state to be measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import yaml

from pressroom.definitions.applying import apply
from pressroom.definitions.loading import read_text
from pressroom.domain.definitions import Account, Site, dump
from pressroom.store.database import Store
from pressroom.store.migrate import migrate

PROJECT = Path(__file__).resolve().parents[1]


def open_world(url: str) -> int:
    """A migrated database with one account that can afford everything. Returns the account's id."""
    migrate(url)
    account = Account(slug="bench", name="Benchmarks")
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "INSERT INTO accounts (slug, name, definition) VALUES ('bench', 'Benchmarks', %s) RETURNING id",
            [json.dumps(dump(account))],
        ).fetchone()
        assert row
        connection.execute(
            "INSERT INTO ledger (account_id, kind, credits, entry_key)"
            " VALUES (%s, 'grant', 1000000, 'bench')",
            row,
        )
        return int(row[0])


def put(url: str, text: str, *, prune: bool = False) -> None:
    """Apply the file."""
    located, problems = read_text(text, "definitions.yaml")
    assert not problems, problems
    with Store(url) as store:
        apply(store, located, prune=prune)


def add_site(url: str, account: int, slug: str, *, batch: int = 8, concurrency: int = 8) -> int:
    """A site that writes in batches of ``batch`` with ``concurrency`` calls in flight. Returns its id."""
    return add_sites(url, account, [slug], batch=batch, concurrency=concurrency)[0]


def add_sites(
    url: str, account: int, slugs: list[str], *, owner: str = "bench", batch: int = 8, concurrency: int = 8
) -> list[int]:
    """Many alike, in one go. ``owner``: the account's slug. Returns their ids."""
    ids = []
    with psycopg.connect(url) as connection:
        for slug in slugs:
            site = Site.model_validate(
                {"account": owner, "slug": slug, "name": slug,
                 "automation": {"concurrency": concurrency, "batch_sizes": {"content": batch}}}
            )  # fmt: skip
            body = dump(site)
            automation = body.pop("automation")
            row = connection.execute(
                "WITH w AS (INSERT INTO workflows (account_id, kind, slug) VALUES (%s, 'site', %s)"
                " RETURNING *)"
                " INSERT INTO sites (id, account_id, slug, definition)"
                " SELECT id, account_id, slug, %s FROM w RETURNING id",
                [account, slug, json.dumps(body)],
            ).fetchone()
            assert row
            connection.execute(
                "INSERT INTO automation_configs (site_id, account_id, enabled, frequency, scheduled_time,"
                " timezone, batch_sizes, within_stage_delay, between_stage_delay, concurrency)"
                " VALUES (%s, %s, false, %s, %s, %s, %s, 0, 0, %s)",
                [row[0], account, automation["frequency"], automation["time"], automation["timezone"],
                 json.dumps(automation["batch_sizes"]), concurrency],
            )  # fmt: skip
            ids.append(int(row[0]))
    return ids


def add_queued_tasks(url: str, account: int, site: int, number: int) -> None:
    """Tasks that wait to be written, with the cluster and the ideas they come from."""
    with psycopg.connect(url) as connection:
        cluster = connection.execute(
            "INSERT INTO clusters (account_id, site_id, name, normalized, status)"
            " VALUES (%s, %s, 'Bench', 'bench', 'planned') RETURNING id",
            [account, site],
        ).fetchone()
        assert cluster
        connection.execute(
            "WITH made AS (INSERT INTO ideas"
            " (account_id, site_id, cluster_id, title, normalized, type, status, outline)"
            " SELECT %(account)s, %(site)s, %(cluster)s, 'Idea ' || n, 'idea ' || n, 'guide', 'queued',"
            " ARRAY['One', 'Two'] FROM generate_series(1, %(number)s) AS n RETURNING id)"
            " INSERT INTO tasks (account_id, site_id, idea_id) SELECT %(account)s, %(site)s, id FROM made",
            {"account": account, "site": site, "cluster": cluster[0], "number": number},
        )


def articles(url: str, slug: str) -> int:
    """How many articles the site has."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM contents JOIN sites ON sites.id = contents.site_id WHERE sites.slug = %s",
            [slug],
        ).fetchone()
        assert row
        return int(row[0])


def wide_pools(folder: Path) -> Path:
    """The project's settings with pools that bound nothing: they shield providers, not benchmarks.

    Returns the file.
    """
    settings: dict[str, Any] = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text("utf-8"))
    for pool in settings["airflow"]["pools"]:
        pool["pool_slot"] = 128
    file = folder / "airflow_settings.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file
