"""A site under test in a running Airflow: what tests do with it and ask of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self

import httpx
import psycopg
import yaml

from pressroom.definitions.applying import apply
from pressroom.definitions.loading import read_text
from pressroom.domain.errors import RunConflict, TransientError
from pressroom.engine.runs import control
from pressroom.store.database import Store
from pressroom.store.workflows import workflow
from pressroom_dev.local.airflow_api import LocalAirflow
from pressroom_dev.local.services import LocalServices
from tests.support.scripted_openai import ScriptedOpenAI

LONGEST_WAIT = 180.0
ENDED = ("success", "failed")
"""States of a DAG run that is over."""


def apply_documents(store: Store, *documents: dict[str, Any], prune: bool = False) -> None:
    """Apply definitions, as a user would with a file."""
    located, problems = read_text(yaml.safe_dump_all(documents), "definitions.yaml")
    assert not problems, problems
    apply(store, located, prune=prune)


def apply_site(url: str, slug: str, **settings: Any) -> None:
    """Apply an account and a site of that slug, as a user would with files."""
    cron = settings.get("cron")
    site = {
        "kind": "Site", "account": slug, "slug": slug, "name": f"The {slug} site",
        "automation": {
            "enabled": "cron" in settings,
            "cron": cron() if callable(cron) else cron,
            "concurrency": settings.get("concurrency", 2),
            "articles_per_run": settings.get("articles_per_run"),
            "within_stage_delay": settings.get("within_stage_delay", 0),
            "batch_sizes": {"content": settings.get("batch", 4)},
        },
        "text": {
            "connection": settings.get("connection", "pressroom_text"),
            "batch": settings.get("batch_requests", False),
        },
        "article": {"ideas_per_cluster": 1, "target_words": 200},
        "images": {"per_article": 2, "width": 320, "height": 256},
        "caps": {"run_cents": settings.get("run_cents")},
        "publish": settings.get("publish", {}),
    }  # fmt: skip
    account = {
        "kind": "Account",
        "slug": slug,
        "name": slug,
        "opening_credits": settings.get("opening_credits", 1000),
        "grants": {"everything": True},
    }
    with Store(url) as store:
        apply_documents(store, account, site)


def airflow_database(services: LocalServices) -> str:
    """A URL of Airflow's database."""
    return services.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")


class Newsroom:
    """One site, its DAG, its rows. ``kind``: another kind of workflow."""

    def __init__(self, slug: str, services: LocalServices, model: ScriptedOpenAI, kind: str = "site") -> None:
        info = services.info
        self.slug, self.model, self.services = slug, model, services
        self.dag_id = f"{kind}__{slug}"
        self.url = info.database_url
        self.api = LocalAirflow(info.airflow_url, info.airflow_user, info.airflow_password)
        self.store = Store(self.url)
        self._airflow_url = airflow_database(services)
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        with self.store.transaction() as tx:
            self.row = workflow(tx, f"{kind}/{slug}")

    def __enter__(self) -> Self:
        self.until(lambda: self.api.dag_exists(self.dag_id), "the DAG")
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections.values():
            connection.close()
        self.api.__exit__(None, None, None)
        self.store.close()

    def until(self, ready: Callable[[], Any], what: str, seconds: float = LONGEST_WAIT) -> None:
        """Wait for a state. Fails the test when it does not come."""
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, (
                f"{self.slug}: waited {seconds:g} s for {what}; {self.events()[-8:]}"
            )
            time.sleep(0.1)

    def trigger(self, **params: Any) -> str:
        """Start a DAG run."""
        return self.api.trigger(self.dag_id, params)

    def finish(self, dag_run_id: str) -> str:
        """Wait for Airflow's end of the run, success or failed, and for the run's own, a moment later."""
        self.until(lambda: self.dag_run_state(dag_run_id) in ENDED, "the end of the DAG run")
        self.until(lambda: self.run_status(dag_run_id) not in control.LIVE, "the run's own end")
        return self.dag_run_state(dag_run_id)

    def dag_run_state(self, dag_run_id: str) -> str:
        """Airflow's state of the run, out of its database: to ask the API server takes ten times as long."""
        statement = "SELECT state FROM dag_run WHERE dag_id = %(dag)s AND run_id = %(run)s"
        return str(self._rows(self._airflow_url, statement, {"dag": self.dag_id, "run": dag_run_id})[0][0])

    def clear(self, dag_run_id: str, task_id: str) -> None:
        """Clear a task and what follows it."""
        self._clear(lambda: self.api.clear(self.dag_id, dag_run_id, [task_id]) > 0, task_id)

    def clear_only(self, dag_run_id: str, task: str | tuple[str, int]) -> None:
        """Clear a task, or one of its map indexes, and nothing else."""
        self._clear(lambda: self.api.clear(self.dag_id, dag_run_id, [task], downstream=False) > 0, str(task))

    def clear_failed(self, dag_run_id: str) -> None:
        """Clear what failed of a DAG run."""

        def cleared() -> bool:
            self.api.clear_run(self.dag_id, dag_run_id, only_failed=True)
            return True

        self._clear(cleared, "what failed")

    def _clear(self, cleared: Callable[[], bool], what: str) -> None:
        """Airflow answers 500 or 409 when the scheduler changes the same rows meanwhile: then once more."""

        def tried() -> bool:
            try:
                return cleared()
            except (TransientError, RunConflict):
                return False

        self.until(tried, f"{what} to be cleared", 30)

    def finish_again(self, dag_run_id: str) -> tuple[str, str]:
        """Wait for the end of a cleared DAG run. Returns Airflow's state and the run's own status."""
        return self.finish(dag_run_id), self.run_status(dag_run_id)

    def steer(self, action: str) -> None:
        """pause, resume or cancel, as the command line does."""
        with self.store.transaction(self.row.account_id) as tx:
            getattr(control, action)(tx, self.row.workflow_id)

    def queue(self, *titles: str) -> None:
        """Tasks that wait to be written."""
        self.sql(
            "WITH c AS (INSERT INTO clusters (account_id, site_id, name, normalized, status)"
            "  VALUES (%(account)s, %(site)s, 'Queue', %(name)s, 'planned') RETURNING id),"
            " i AS (INSERT INTO ideas"
            "  (account_id, site_id, cluster_id, title, normalized, type, status, outline)"
            "  SELECT %(account)s, %(site)s, c.id, title, lower(title), 'guide', 'queued',"
            "  ARRAY['Beginning', 'End']"
            "  FROM c, unnest(%(titles)s::text[]) AS title RETURNING id)"
            " INSERT INTO tasks (account_id, site_id, idea_id) SELECT %(account)s, %(site)s, id FROM i",
            account=self.row.account_id, site=self.row.workflow_id, titles=list(titles),
            name=f"queue {titles[0]}",
        )  # fmt: skip

    def sql(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        """One statement in a transaction of its own; ``%(site)s`` and ``%(account)s`` are filled in."""
        values = {"site": self.row.workflow_id, "account": self.row.account_id, **params}
        return self._rows(self.url, statement, values)

    def _rows(self, url: str, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Over a connection that stays open: who waits asks ten times a second."""
        connection = self._connections.get(url)
        if connection is None or connection.closed:
            connection = self._connections[url] = psycopg.connect(url, autocommit=True)
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def count(self, table: str, where: str = "true") -> int:
        """Rows of the site in a table."""
        statement = f"SELECT count(*) FROM {table} WHERE site_id = %(site)s AND {where}"  # noqa: S608
        return int(self.sql(statement)[0][0])

    def events(self) -> list[str]:
        """The site's activity log, oldest first."""
        return [
            row[0]
            for row in self.sql(
                "SELECT kind || ': ' || message FROM run_events JOIN runs ON runs.id = run_id"
                " WHERE workflow_id = %(site)s ORDER BY run_id, run_events.id"
            )
        ]

    def run_status(self, dag_run_id: str) -> str:
        """The run's own status, as in the history."""
        rows = self.sql(
            "SELECT status FROM runs WHERE workflow_id = %(site)s AND dag_run_id = %(run)s", run=dag_run_id
        )
        return str(rows[0][0]) if rows else "unknown"

    def charged(self) -> Decimal:
        """Credits charged in all."""
        found = self.sql(
            "SELECT coalesce(-sum(credits), 0) FROM ledger WHERE workflow_id = %(site)s AND kind = 'charge'"
        )
        return Decimal(found[0][0])

    def owed(self) -> Decimal:
        """What the items that exist are worth by the default charges: what the ledger must say."""
        keywords = self.count("keywords", "status = 'clustered'")
        clusters = self.count("clusters", "status = 'planned' AND name <> 'Queue'")
        articles = self.count("contents")
        prompted = int(
            self.sql("SELECT count(DISTINCT content_id) FROM images WHERE site_id = %(site)s")[0][0]
        )
        images = self.count("images", "status = 'generated'")
        return Decimal(keywords) / 5 + 2 * clusters + 5 * articles + 2 * prompted + 2 * images

    def kill_tasks(self, dag_run_id: str, task_id: str) -> int:
        """SIGKILL every process that runs this task now. Returns how many there were."""
        running = [
            one["pid"]
            for one in self.api.task_instances(self.dag_id, dag_run_id)
            if one["task_id"] == task_id and one["state"] == "running" and one["pid"]
        ]
        for pid in running:
            os.kill(pid, signal.SIGKILL)
        return len(running)

    def log(self, dag_run_id: str, task_id: str, index: int = 0) -> str:
        """The log of the first try of a task, as Airflow serves it."""
        info = self.services.info
        with httpx.Client(base_url=info.airflow_url, timeout=30) as client:
            login = {"username": info.airflow_user, "password": info.airflow_password}
            token = client.post("/auth/token", json=login).json()["access_token"]
            return client.get(
                f"/api/v2/dags/{self.dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/1",
                params={"map_index": index},
                headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            ).text

    def state_of(self, dag_run_id: str, task_id: str) -> list[str]:
        """The states of a task's instances."""
        found = self.api.task_instances(self.dag_id, dag_run_id)
        return [str(one["state"]) for one in found if one["task_id"] == task_id]
