"""Reports on a workflow: what waits, what runs, what happened, what it used.

``Tx`` arguments are transactions of the workflow's account. States are not stored: they are derived from
runs, stage results, failures and the ledger at each call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pressroom.domain.run import Run
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import Stop
from pressroom.engine.runs.control import Level
from pressroom.pipelines.stage import Pipeline, Stage
from pressroom.store.database import Tx

HISTORY_RUNS = 20


class JobState(StrEnum):
    """What a run, or a stage of it, is doing."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class StagePending:
    """A stage's place in the overview. ``pending`` and ``failed`` count items."""

    name: str
    title: str
    pending: int
    failed: int


@dataclass(frozen=True)
class Job:
    """A run, as a line of a list. Times in UTC; ``cents`` is what providers took; ``kind`` and ``slug``: its
    workflow's.

    ``state``: a partial end counts as completed. A live run is pending until its first stage begins, and
    retrying while its worker is gone, or its work stands still until items that failed are tried again.
    """

    id: int
    workflow_id: int
    kind: str
    slug: str
    dag_id: str
    dag_run_id: str
    trigger: str
    owner: str
    status: str
    state: JobState
    cancel_requested: bool
    current_stage: str | None
    estimated_credits: Decimal
    error_message: str | None
    started_at: datetime
    paused_at: datetime | None
    resumed_at: datetime | None
    cancelled_at: datetime | None
    completed_at: datetime | None
    lease_until: datetime
    lease_over: bool
    credits_used: Decimal
    cents: Decimal

    @property
    def live(self) -> bool:
        """Whether it holds the workflow's lock."""
        return self.status in control.LIVE

    @property
    def part(self) -> str:
        """The part of the workflow that it is a run of: '' or publish."""
        return self.dag_id.removeprefix(f"{self.kind}__").partition("__")[2]

    @property
    def since(self) -> datetime:
        """When its present status began."""
        if self.status == "paused":
            return self.paused_at or self.started_at
        return self.completed_at or self.started_at


@dataclass(frozen=True)
class JobFilter:
    """Which runs of an account are meant; None: all. ``before``: only those with a smaller number."""

    run: int | None = None
    live: bool | None = None
    workflow: int | None = None
    kind: str | None = None
    part: str | None = None
    state: JobState | None = None
    trigger: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


@dataclass(frozen=True)
class StageStatus:
    """One stage of a run. ``result``: its public fields; ``planned`` and ``processed`` count items;
    ``reason``: why it did nothing, or stopped before its end.
    """

    name: str
    title: str
    state: JobState
    planned: int = 0
    processed: int = 0
    failed: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class RunStatus:
    """A run and all of its pipeline's stages, in order."""

    run: Job
    stages: Sequence[StageStatus]


@dataclass(frozen=True)
class LogLine:
    """An event of a run."""

    id: int
    at: datetime
    stage: str | None
    kind: str
    level: Level
    message: str
    data: Mapping[str, Any]


LEVELS = tuple(control.LEVELS)
"""The levels of a run's events, from the least important on."""


@dataclass(frozen=True)
class LogFilter:
    """Which lines of a log are meant. ``stage``: only its lines; None: all. ``level``: the least one."""

    stage: str | None = None
    level: Level = LEVELS[0]

    @property
    def facts(self) -> dict[str, Any]:
        """The filter as statement parameters."""
        levels = list(LEVELS[LEVELS.index(self.level) :])
        return {"stage": self.stage, "levels": None if len(levels) == len(LEVELS) else levels}


@dataclass(frozen=True)
class Failure:
    """An item that failed. It is passed over until it is retried or its failure is forgotten."""

    stage: str
    item: str
    attempts: int
    error_class: str
    error: str
    run_id: int
    at: datetime


@dataclass(frozen=True)
class Balance:
    """An account's credits, and the cents that providers took in all."""

    balance: Decimal
    reserved: Decimal
    spent_cents: Decimal

    @property
    def available(self) -> Decimal:
        """Credits that nothing holds."""
        return self.balance - self.reserved


def overview(tx: Tx, workflow_id: int, pipeline: Pipeline) -> list[StagePending]:
    """What waits in each stage, whether or not a run is on."""
    waiting = pipeline.waiting(tx, workflow_id)
    failed = {row["stage"]: row["failed"] for row in tx.rows("workflow_failed_counts", workflow=workflow_id)}
    return [
        StagePending(stage.name, stage.title, waiting.get(stage.name, 0), failed.get(stage.name, 0))
        for stage in pipeline.stages
    ]


def status(tx: Tx, workflow_id: int, pipeline: Pipeline, run_id: int | None = None) -> RunStatus | None:
    """The live run, else the last one; with ``run_id`` that one. None when the workflow has no such run."""
    run = run_of(tx, workflow_id, run_id)
    return None if run is None else status_of(tx, run, pipeline)


def status_of(tx: Tx, run: Job, pipeline: Pipeline) -> RunStatus:
    """A run with the stages of its pipeline."""
    results = {row["stage"]: row for row in tx.rows("run_stage_results", run=run.id)}
    if pipeline.places is not None:
        return RunStatus(run, _stages_on_the_way(run, pipeline, results, pipeline.places(tx, run.id)))
    return RunStatus(run, [_stage_status(run, stage, results.get(stage.name)) for stage in pipeline.stages])


def run_of(tx: Tx, workflow_id: int, run_id: int | None = None) -> Job | None:
    """The live run, else the last one; with ``run_id`` that one. None when the workflow has no such run."""
    if run_id is not None:
        return next(iter(jobs(tx, JobFilter(workflow=workflow_id, run=run_id), 1)), None)
    return next(iter(history(tx, workflow_id, 1)), None)


def history(tx: Tx, workflow_id: int, limit: int = HISTORY_RUNS) -> list[Job]:
    """The workflow's runs: live ones first, then newest first."""
    live = jobs(tx, JobFilter(workflow=workflow_id, live=True), limit)
    shown = {job.id for job in live}
    latest = jobs(tx, JobFilter(workflow=workflow_id), limit)
    return [*live, *(job for job in latest if job.id not in shown)][:limit]


def jobs(tx: Tx, job_filter: JobFilter, limit: int) -> list[Job]:
    """The account's runs, newest first."""
    rows = tx.rows("runs_page", limit=limit, **vars(job_filter))
    return [Job(**row | {"state": JobState(row["state"])}) for row in rows]


def outputs(tx: Tx, run: Run, pipeline: Pipeline, run_status: RunStatus) -> list[dict[str, Any]]:
    """What each stage of the run made, in order: stage, status, output (None while there is none).

    Read from the rows that the stages wrote, so a running stage already has an output.
    """
    states = {stage.name: stage for stage in run_status.stages}
    return [
        {
            "stage": stage.name,
            "status": states[stage.name].state,
            "output": states[stage.name].result if stage.output is None else stage.output(tx, run),
        }
        for stage in pipeline.stages
    ]


def log_tail(
    tx: Tx, run_id: int, lines: int = 100, after_id: int | None = None, chosen: LogFilter | None = None
) -> list[LogLine]:
    """The last ``lines`` of a run's log; with ``after_id`` the first ``lines`` after it. Oldest first."""
    facts = {"run": run_id, "lines": lines, **(chosen or LogFilter()).facts}
    if after_id is None:
        return tx.all("run_log_tail", LogLine, **facts)
    return tx.all("run_log_after", LogLine, after=after_id, **facts)


def log_tails(tx: Tx, asked: Sequence[tuple[int, int, LogFilter]], lines: int) -> list[list[LogLine]]:
    """For each (run, number, filter): the first ``lines`` after that number, oldest first."""
    facts = [chosen.facts for _, _, chosen in asked]
    rows = tx.rows(
        "run_logs_after", runs=[run for run, _, _ in asked], afters=[after for _, after, _ in asked],
        stages=[fact["stage"] for fact in facts], lines=lines,
        levels=[fact["levels"] and ",".join(fact["levels"]) for fact in facts],
    )  # fmt: skip
    tails: list[list[LogLine]] = [[] for _ in asked]
    for row in rows:
        tails[row.pop("number") - 1].append(LogLine(**row))
    return tails


def failures(tx: Tx, workflow_id: int) -> list[Failure]:
    """The workflow's failed items, latest first."""
    return tx.all("workflow_failures", Failure, workflow=workflow_id)


def forget_failures(tx: Tx, workflow_id: int, stage: str | None = None) -> int:
    """Let failed items (of one stage) wait again. Returns how many. The one thing here that writes.

    A flow's items that were given up are taken up by its next run, while their source shows them.
    """
    tx.run("flow_forgive", workflow=workflow_id, stage=stage)
    return tx.run("forget_failures", workflow=workflow_id, stage=stage)


def balance(tx: Tx) -> Balance:
    """The account's credits."""
    return tx.all("account_balance", Balance)[0]


def _stage_status(run: Job, stage: Stage[Any, Any], row: Mapping[str, Any] | None) -> StageStatus:
    if row is None:
        # What was rolled back is pending again, but for the stage at which the run ended.
        state = run.state if run.current_stage == stage.name else JobState.PENDING
        return StageStatus(stage.name, stage.title, state)
    return StageStatus(
        stage.name,
        stage.title,
        _stage_state(run, stage.name, row),
        row["planned"],
        row["processed"],
        row["failed"],
        {name: _plain(row[column]) for name, column in stage.result_fields.items()} | (row["output"] or {}),
        row["partial"] or row["skipped"],
    )


def _plain(value: Any) -> Any:
    """A column's value as it is shown: an amount is a number, not a text."""
    return float(value) if isinstance(value, Decimal) else value


def _stages_on_the_way(
    run: Job, pipeline: Pipeline, results: Mapping[str, Mapping[str, Any]], places: Mapping[str, int]
) -> list[StageStatus]:
    """The stages of a run whose items go through them on their own. ``places``: as in ``Pipeline``.

    Nobody plans these stages. What is planned of one is what came to it so far. What an ended run left at one
    counts as failed there.
    """
    opening, *rest = pipeline.stages
    stages = [_stage_status(run, opening, results.get(opening.name))]
    to_come = stages[0].state != JobState.COMPLETED
    for stage in rest:
        row, at_it = results.get(stage.name), places.get(stage.name, 0)
        status = _stage_status(run, stage, row)
        here, failed = (at_it, status.failed) if run.live else (0, max(status.failed, at_it))
        if run.live:
            over = JobState.RUNNING if row is not None else JobState.PENDING
            state = run.state if here else over if to_come else JobState.COMPLETED
        elif run.state == JobState.COMPLETED or (status.processed and not failed):
            state = JobState.COMPLETED
        else:
            state = run.state if failed else status.state
        result = {"open": here, "answered": status.processed} if stage.waits else status.result
        planned = status.processed + failed + here
        stages.append(replace(status, state=state, planned=planned, failed=failed, result=result))
        to_come = to_come or here > 0
    return stages


def _stage_state(run: Job, stage: str, row: Mapping[str, Any]) -> JobState:
    """Derived from what the stage did in the run: one that did nothing of its work, that was stopped, or at
    which the run ended, is not completed.
    """
    if run.live and run.current_stage == stage:
        return run.state
    if row["skipped"] is not None or not row["planned"]:
        return JobState.COMPLETED
    if row["completed_at"] is None:
        # It began and did not finish, so it ended as its run did.
        return JobState.RUNNING if run.live else run.state
    if row["partial"] is not None:
        return JobState.CANCELLED if row["partial"] == Stop.CANCELLED else JobState.FAILED
    if row["failed"] and not row["processed"]:
        return JobState.FAILED
    unfinished = row["processed"] + row["failed"] < row["planned"]
    ended_here = not run.live and run.current_stage == stage
    return run.state if unfinished and ended_here else JobState.COMPLETED
