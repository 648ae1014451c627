"""What the page of a workflow shows: its stages as cards, the live run, and the history."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from pressroom.api.kit.access import Scope
from pressroom.api.resources.automation.models import DoneLast, InWork
from pressroom.api.resources.jobs.starting import notice_of
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import JOB, public_id, row_id, workflow_path
from pressroom.engine.runs import reports
from pressroom.engine.runs.reports import Failure, Job, JobFilter, JobState, StageStatus
from pressroom.pipelines.registry import pipeline_of, pipeline_of_dag
from pressroom.pipelines.stage import Pipeline, Stage
from pressroom.store import frozen
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow

MOST_FAILURES = 100

TABS = {
    "site": (
        ("keywords", "Keywords"), ("ideas", "Ideas"), ("report", "Report"), ("settings", "Settings"),
        ("start", "Set-up"),
    ),
    "mission": (
        ("calendar", "Calendar"), ("results", "Results"), ("lessons", "What was learned"),
        ("report", "Report"), ("settings", "Settings"),
    ),
    "flow": (("steps", "Steps and items"), ("settings", "Settings")),
}  # fmt: skip
"""The pages of a workflow by its kind, beside that of its stages, and their titles."""


@dataclass(frozen=True)
class Card:
    """A stage. ``waiting``: items; amounts and ``seconds``: of the shown run; ``link``: its tasks in
    Airflow.
    """

    number: int
    name: str
    title: str
    state: JobState
    waiting: int
    failed: int
    processed: int
    planned: int
    credits: Decimal
    cents: Decimal
    seconds: float | None
    reason: str | None
    link: str
    active: bool


@dataclass(frozen=True)
class WorkRate:
    """How a stage gets on. ``per_hour``: items; ``left``: seconds; None: nothing is finished yet."""

    title: str
    processed: int
    planned: int
    per_hour: float | None
    left: float | None


@dataclass(frozen=True)
class HistoryFilter:
    """Which runs of the history are shown. Days in UTC; ``before``: only runs older than this one."""

    state: str = ""
    trigger: str = ""
    since: date | None = None
    until: date | None = None
    before: str = ""
    limit: int = 20

    @property
    def query(self) -> dict[str, str]:
        """As the query of a page."""
        return {name: str(value) for name, value in vars(self).items() if value}


@dataclass(frozen=True)
class StageInRun:
    """What a stage did in a run. ``seconds``: None before it has begun."""

    status: StageStatus
    credits: Decimal = Decimal(0)
    cents: Decimal = Decimal(0)
    seconds: float | None = None


def facts(scope: Scope, row: WorkflowRow) -> dict[str, Any]:
    """What every part of the page needs."""
    workflow = row.workflow
    number = scope.workflow_id or 0
    return {
        "account": scope.account, "role": scope.role, "may_edit": scope.role.covers(Role.EDITOR),
        "kind": scope.workflow_kind, "name": getattr(workflow, "name", "") or workflow.slug,
        "slug": workflow.slug, "status": workflow.status, "dag_id": workflow.dag_id,
        "subject": getattr(workflow, "subject", ""), "zone": zone_of(workflow),
        "here": "/" + workflow_path(scope.workflow_kind or "", number),
        "workflow_id": number, "tabs": tabs_of(scope.workflow_kind or "", number),
    }  # fmt: skip


def tabs_of(kind: str, number: int) -> list[tuple[str, str, str]]:
    """(name, address, title) of a workflow's pages. Reports have a place of their own: links open it, too."""
    here = "/" + workflow_path(kind, number)
    pages = [("stages", here, "Stages")]
    for name, title in TABS[kind]:
        pages.append((name, f"/reports{here}" if name == "report" else f"{here}/{name}", title))
    return pages


def zone_of(workflow: Any) -> str:
    """The time zone that a workflow's schedule goes by."""
    for name in ("automation", "constraints", "trigger"):
        if hasattr(workflow, name):
            return str(getattr(workflow, name).timezone)
    return "UTC"


def board(tx: Tx, scope: Scope, row: WorkflowRow) -> dict[str, Any]:
    """Cards, the live run, what a run started now would need, and what failed."""
    number = scope.workflow_id or 0
    pipeline = pipeline_of(row.workflow)
    live = next(iter(reports.jobs(tx, JobFilter(workflow=number, live=True), 1)), None)
    last = next(iter(reports.jobs(tx, JobFilter(workflow=number, part=""), 1)), None)
    shown = live if live is not None and live.part == "" else last
    expected = pipeline.estimate(tx, row.run())
    balance = reports.balance(tx)
    stages = {} if shown is None else stages_of(tx, shown, pipeline)
    return {
        "live": live, "live_id": public_id(JOB, live.id) if live else None, "shown": shown,
        "cards": cards_of(tx, number, pipeline, shown, stages), "pace": pace(tx, row, live, shown, stages),
        "estimate": expected, "balance": balance,
        "enough": expected.sufficient(balance.available),
        # Of the other kinds the statement does not know the items' names.
        "in_work": tx.all("items_in_work", InWork, run=live.id) if live and live.kind == "site" else [],
        "done_last": tx.all("items_done_last", DoneLast, run=live.id) if live else [],
        "waits_because": notice_of(scope, live.dag_id) if live else None,
        "failures": reports.failures(tx, number)[:MOST_FAILURES],
        "once": secrets.token_urlsafe(12), "now": datetime.now(UTC),
    }  # fmt: skip


def stages_of(tx: Tx, run: Job, pipeline: Pipeline) -> dict[str, StageInRun]:
    """The stages of a run, in their order, by name."""
    spend = {each["stage"]: each for each in tx.rows("run_stage_spend", run=run.id)}
    times = {each["stage"]: float(each["time_elapsed"]) for each in tx.rows("run_stage_results", run=run.id)}
    stages = {}
    for status in reports.status_of(tx, run, pipeline).stages:
        spent = spend.get(status.name, {})
        stages[status.name] = StageInRun(
            status, spent.get("credits", Decimal(0)), spent.get("cents", Decimal(0)), times.get(status.name)
        )
    return stages


def cards_of(
    tx: Tx, number: int, pipeline: Pipeline, run: Job | None, stages: Mapping[str, StageInRun]
) -> list[Card]:
    """A card for each stage. ``stages``: what they did in the run."""
    waiting = {each.name: each for each in reports.overview(tx, number, pipeline)}
    cards = []
    for position, stage in enumerate(pipeline.stages, 1):
        did = stages.get(stage.name) or StageInRun(StageStatus(stage.name, stage.title, JobState.PENDING))
        status = did.status
        active = bool(run is not None and run.live and run.current_stage == stage.name)
        cards.append(Card(
            position, stage.name, stage.title, status.state, waiting[stage.name].pending,
            waiting[stage.name].failed, status.processed, max(status.planned, status.processed),
            did.credits, did.cents, did.seconds, status.reason, tasks_link(run, stage) if run else "", active,
        ))  # fmt: skip
    return cards


def pace(
    tx: Tx, row: WorkflowRow, live: Job | None, shown: Job | None, stages: Mapping[str, StageInRun]
) -> WorkRate | None:
    """How the live run's stage gets on; None without one. ``stages``: of the shown run, which may be it."""
    if live is None or live.current_stage is None:
        return None
    if live is not shown:
        stages = stages_of(tx, live, pipeline_of_dag(row.workflow, live.dag_id))
    did = stages.get(live.current_stage)
    if did is None:
        return None
    now = did.status
    planned = max(now.planned, now.processed)
    rate = now.processed / did.seconds if now.processed and did.seconds else None
    left = (planned - now.processed - now.failed) / rate if rate else None
    return WorkRate(now.title, now.processed, planned, rate * 3600 if rate else None, left)


def history(tx: Tx, scope: Scope, asked: HistoryFilter) -> dict[str, Any]:
    """Runs, newest first."""
    state, limit = asked.state, asked.limit
    chosen = JobFilter(
        workflow=scope.workflow_id, state=JobState(state) if state else None,
        trigger=asked.trigger or None, since=_midnight(asked.since),
        until=_midnight(asked.until + timedelta(days=1) if asked.until else None),
        before=row_id(JOB, asked.before) if asked.before else None,
    )  # fmt: skip
    runs = reports.jobs(tx, chosen, limit + 1)
    return {
        "runs": [(public_id(JOB, run.id), run) for run in runs[:limit]], "more_runs": len(runs) > limit,
        "asked": asked, "older": public_id(JOB, runs[limit - 1].id) if len(runs) > limit else "",
    }  # fmt: skip


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def run_facts(tx: Tx, row: WorkflowRow, run: Job) -> dict[str, Any]:
    """A run with its stages, their results, and its failed items."""
    pipeline = pipeline_of_dag(frozen.shown_row(tx, row, run.id).workflow, run.dag_id)
    stages = stages_of(tx, run, pipeline)
    failures: list[Failure] = [
        each for each in reports.failures(tx, row.workflow_id) if each.run_id == run.id
    ]
    return {
        "run": run, "run_id": public_id(JOB, run.id), "failures": failures[:MOST_FAILURES],
        "stages": [(stages[stage.name], tasks_link(run, stage)) for stage in pipeline.stages],
        "airflow_run": run_link(run),
    }  # fmt: skip


def run_link(run: Job) -> str:
    """A run's DAG run in Airflow."""
    return dag_run_link(run.dag_id, run.dag_run_id)


def dag_run_link(dag_id: str, dag_run_id: str) -> str:
    """A DAG run in Airflow."""
    return f"/dags/{quote(dag_id, safe='')}/runs/{quote(dag_run_id, safe='')}"


def tasks_link(run: Job, stage: Stage[Any, Any]) -> str:
    """The tasks of a run's stage in Airflow; a flow's items have tasks of their own."""
    return run_link(run) if run.kind == "flow" else f"{run_link(run)}/tasks/{task_of(stage)}"


def task_of(stage: Stage[Any, Any]) -> str:
    """A stage's task or group of tasks, as Airflow's pages name it below a run."""
    group = "" if stage.summarize is not None or stage.poll is not None else "group/"
    return f"{group}{quote(stage.name, safe='')}"
