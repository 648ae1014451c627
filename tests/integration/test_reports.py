"""What reports derive from rows."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pressroom.definitions import loading
from pressroom.definitions.applying import apply
from pressroom.engine.runs import control, reports
from pressroom.engine.runs.reports import JobState
from pressroom.pipelines.site import SITE
from pressroom.store import workflows as reading
from pressroom.store.database import Store

DEFINITIONS = (
    "kind: Account\nslug: acme\nname: Acme\nopening_credits: 50\ngrants: {everything: true}\n---\n"
    "kind: Site\naccount: acme\nslug: garden\nname: Garden\n---\n"
    "kind: Account\nslug: other\nname: Other\n"
)
RUN = (
    "INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, status, current_stage,"
    " lease_until, completed_at)"
    " VALUES (%s, %s, 'site__garden', %s, 'manual', 'ann', %s, %s, now() + %s::interval,"
    " CASE WHEN %s IN ('running', 'paused') THEN NULL ELSE now() END) RETURNING id"
)


class World:
    """A site, and raw access to its rows."""

    def __init__(
        self, store: Store, row: reading.WorkflowRow, connection: psycopg.Connection[tuple[int, ...]]
    ) -> None:
        self.store = store
        self.account = row.account_id
        self.site = row.workflow_id
        self.connection = connection

    def run(self, name: str, status: str, stage: str | None = None, lease: str = "5 min") -> int:
        values = (self.account, self.site, name, status, stage, lease, status)
        row = self.connection.execute(RUN, values).fetchone()
        assert row
        return row[0]

    def add(self, table: str, **values: object) -> int:
        """A row of the site; returns its id."""
        columns = {"account_id": self.account, "site_id": self.site} | values
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING id").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        )
        row = self.connection.execute(statement, list(columns.values())).fetchone()
        assert row
        return row[0]

    def status(self, run: int | None = None) -> reports.RunStatus:
        with self.store.transaction(self.account) as tx:
            found = reports.status(tx, self.site, SITE, run)
        assert found
        return found


@pytest.fixture
def world(store: Store, tmp_path: Path, database_url: str) -> Iterator[World]:
    (tmp_path / "a.yaml").write_text(DEFINITIONS)
    apply(store, loading.load(tmp_path))
    with store.transaction() as tx:
        row = reading.workflow(tx, "garden")
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield World(store, row, connection)


def test_overview_counts_by_the_table_of_the_seed(world: World) -> None:
    def cluster(name: str, status: str = "new", disabled: bool = False) -> int:
        return world.add("clusters", name=name, normalized=name, status=status, disabled=disabled)

    def keyword(text: str, **values: object) -> int:
        return world.add("keywords", text=text, normalized=text, **values)

    def idea(title: str, cluster_id: int, status: str) -> int:
        return world.add(
            "ideas", title=title, normalized=title, type="guide", cluster_id=cluster_id, status=status
        )

    def content(task_id: int, status: str) -> int:
        texts = dict.fromkeys(("meta_description", "html", "excerpt", "model"), "")
        return world.add(
            "contents", task_id=task_id, title="t", slug=f"c{task_id}", word_count=1, status=status, **texts
        )

    def image(content_id: int, status: str, media_url: str | None) -> int:
        place = {"role": "featured", "position": 0, "prompt": "", "alt": ""}
        return world.add("images", content_id=content_id, status=status, media_url=media_url, **place)

    done = cluster("done", "planned")
    with_idea = cluster("with idea")
    cluster("waits")
    cluster("off", disabled=True)
    for name, disabled in (("k1", False), ("k2", False), ("k3", True)):
        keyword(name, disabled=disabled)
    keyword("k4", status="clustered", cluster_id=done)
    idea("i0", with_idea, "new")
    ideas = [idea(f"i{number}", done, "queued") for number in range(1, 6)]
    tasks = [world.add("tasks", idea_id=number, status="completed") for number in ideas[:4]]
    world.add("tasks", idea_id=ideas[4], status="queued")
    statuses = ["draft", "draft", "review", "review"]
    contents = [content(task, status) for task, status in zip(tasks, statuses, strict=True)]
    image(contents[0], "pending", None)
    image(contents[2], "generated", "file:///x")
    run = world.run("r", "failed")
    world.connection.execute(
        "INSERT INTO item_failures (account_id, workflow_id, stage, item, error_class, error, run_id)"
        " VALUES (%s, %s, 'content', '7', 'InvalidAnswer', 'no', %s)",
        (world.account, world.site, run),
    )
    with world.store.transaction(world.account) as tx:
        found = {each.name: (each.pending, each.failed) for each in reports.overview(tx, world.site, SITE)}
        (failure,) = reports.failures(tx, world.site)
    assert found == {
        "clusters": (2, 0), "ideas": (1, 0), "tasks": (1, 0), "content": (1, 1), "image_prompts": (1, 0),
        "images": (1, 0), "review": (2, 0),
    }  # fmt: skip
    assert (failure.stage, failure.item, failure.error_class, failure.run_id) == (
        "content",
        "7",
        "InvalidAnswer",
        run,
    )
    with world.store.transaction(world.account) as tx:
        assert reports.forget_failures(tx, world.site, "images") == 0
        assert reports.forget_failures(tx, world.site) == 1
        assert reports.failures(tx, world.site) == []


def test_a_run_adds_up_from_the_ledger(world: World) -> None:
    run = world.run("r", "running", "ideas")
    entry = (
        "INSERT INTO ledger (account_id, kind, credits, cents, workflow_id, run_id, stage, item, entry_key)"
        " VALUES (%s, %s, %s, %s, %s, %s, 'clusters', '1', %s)"
    )
    for key, (kind, credits, cents) in enumerate([("charge", -2, 0), ("charge", -1.5, 0), ("cost", 0, 0.25)]):
        world.connection.execute(entry, (world.account, kind, credits, cents, world.site, run, str(key)))
    world.connection.execute(
        "INSERT INTO stage_results (account_id, run_id, stage, processed, created, batches, planned, credits,"
        " completed_at) VALUES (%s, %s, 'clusters', 10, 3, 2, 10, 3.5, now())",
        (world.account, run),
    )
    found = world.status()
    assert (found.run.id, found.run.credits_used, float(found.run.cents)) == (run, Decimal("3.5"), 0.25)
    assert found.run.state is JobState.RUNNING
    first, second, *rest = found.stages
    assert first.state is JobState.COMPLETED
    assert first.result["keywords_processed"] == 10
    assert first.result["clusters_created"] == 3
    assert first.result["credits_used"] == 3.5
    assert first.result["time_elapsed"] >= 0
    assert second.state is JobState.RUNNING
    assert {each.state for each in rest} == {JobState.PENDING}
    with world.store.transaction(world.account) as tx:
        balance = reports.balance(tx)
    assert balance.balance == balance.available == Decimal("46.5")
    assert balance.spent_cents == Decimal("0.25")


Event = tuple[str, dict[str, Any]]
BATCH: Event = ("batch_done", {"waiting": 0})
WAITS: Event = ("batch_done", {"waiting": 2})
ITEM: Event = ("item_done", {"item": "1"})
# The rows of the table "Job States", and what of ours each covers: status, stage, lease, work's events.
JOB_STATES: dict[str, tuple[str, str | None, str, list[Event], JobState]] = {
    "pending: job created, waiting for worker": ("running", None, "5 min", [], JobState.PENDING),
    "running: worker processing stages": ("running", "ideas", "5 min", [BATCH, ITEM], JobState.RUNNING),
    "running: a batch is done": ("running", "ideas", "5 min", [WAITS, ITEM, BATCH], JobState.RUNNING),
    "running: an item waits, its batch goes on": (
        "running", "ideas", "5 min", [ITEM, ("item_waits", {"item": "2"})], JobState.RUNNING),
    "retrying: failed, will retry": ("running", "ideas", "5 min", [ITEM, WAITS], JobState.RETRYING),
    "retrying: what others say does not end it": (
        "running", "ideas", "5 min", [WAITS, ("resumed", {})], JobState.RETRYING),
    "retrying: until the next item is done": ("running", "ideas", "5 min", [WAITS, ITEM], JobState.RUNNING),
    "retrying: until it is taken up again": (
        "running", "ideas", "5 min", [WAITS, ("run_reopened", {})], JobState.RUNNING),
    "retrying: the worker is gone": ("running", "ideas", "-5 min", [ITEM], JobState.RETRYING),
    "paused: whatever waits": ("paused", "ideas", "5 min", [WAITS], JobState.PAUSED),
    "completed: all stages finished successfully": (
        "completed", None, "-5 min", [BATCH], JobState.COMPLETED),
    "completed: with something left undone": ("partial", None, "5 min", [BATCH], JobState.COMPLETED),
    "failed: unrecoverable error, no more retries": ("failed", "ideas", "5 min", [WAITS], JobState.FAILED),
    "cancelled: manually stopped": ("cancelled", None, "5 min", [WAITS], JobState.CANCELLED),
}  # fmt: skip


@pytest.mark.parametrize("row", JOB_STATES)
def test_job_states(world: World, row: str) -> None:
    status, stage, lease, events, state = JOB_STATES[row]
    run = world.run("r", status, stage, lease)
    with world.store.transaction(world.account) as tx:
        for kind, data in events:
            control.event(tx, run, kind, "", data=data)
    assert world.status().run.state is state


def test_every_job_state_of_the_seed_is_covered() -> None:
    assert {row.partition(":")[0] for row in JOB_STATES} == {state.value for state in JobState}


def test_the_live_run_comes_first_then_the_newest(world: World) -> None:
    live = world.run("a", "paused")
    ended = [world.run(str(number), "completed") for number in range(25)]
    with world.store.transaction(world.account) as tx:
        found = [run.id for run in reports.history(tx, world.site)]
    assert found == [live, *reversed(ended)][:20]
    assert world.status(ended[3]).run.id == ended[3]


def test_nothing_is_seen_from_another_account(world: World) -> None:
    run = world.run("a", "running")
    with world.store.transaction(world.account) as tx:
        control.event(tx, run, "x", "y")
    with world.store.transaction() as tx:
        other = reading.account_by_slug(tx, "other").account_id
    with world.store.transaction(other) as tx:
        assert reports.history(tx, world.site) == []
        assert reports.status(tx, world.site, SITE) is None
        assert reports.log_tail(tx, run) == []


def test_log_tail_and_following(world: World) -> None:
    run = world.run("a", "running")
    with world.store.transaction(world.account) as tx:
        for number in range(10):
            control.event(tx, run, "progress", f"line {number}")
    with world.store.transaction(world.account) as tx:
        last = reports.log_tail(tx, run, 3)
        assert [line.message for line in last] == ["line 7", "line 8", "line 9"]
        after = reports.log_tail(tx, run, 2, after_id=last[0].id - 5)
        assert [line.message for line in after] == ["line 3", "line 4"]
        assert reports.log_tail(tx, run, 5, after_id=last[-1].id) == []
