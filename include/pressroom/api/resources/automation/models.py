"""The views of a site's automation: stages have numbers, and each setting has a name of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from pressroom.api.kit.bodies import Body
from pressroom.api.kit.views import Amount, LogLineView
from pressroom.domain.definitions import Automation, BatchSizes
from pressroom.domain.public_ids import JOB, public_id
from pressroom.engine.runs.reports import Job, JobState, RunStatus
from pressroom.engine.runs.upcoming import next_slots
from pressroom.pipelines.site import SITE

STAGES = [stage.name for stage in SITE.stages]
NUMBERS = {name: number for number, name in enumerate(STAGES, 1)}
BATCHED = list(BatchSizes.model_fields)
"""The stages that have a batch size, in order: 1 to 6."""

TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$")]
RunState = Literal["running", "paused", "cancelled", "completed", "failed"]


class ConfigBody(Body):
    """The changes; what is left out stays as it is. Delays in seconds, batch sizes in items."""

    is_enabled: bool | None = None
    frequency: Literal["daily", "weekly", "monthly"] | None = None
    scheduled_time: TimeOfDay | None = Field(default=None, description="local time of day, HH:MM")
    timezone: str | None = Field(default=None, max_length=100, examples=["Europe/Berlin"])
    cron: str | None = Field(
        default=None, max_length=100, description="instead of frequency and time; '' takes it away"
    )
    stage_1_batch_size: int | None = Field(default=None, ge=5, le=100)
    stage_2_batch_size: int | None = Field(default=None, ge=1, le=500)
    stage_3_batch_size: int | None = Field(default=None, ge=1, le=5000)
    stage_4_batch_size: int | None = Field(default=None, ge=1, le=500)
    stage_5_batch_size: int | None = Field(default=None, ge=1, le=500)
    stage_6_batch_size: int | None = Field(default=None, ge=1, le=500)
    within_stage_delay: int | None = Field(default=None, ge=0, le=3600)
    between_stage_delay: int | None = Field(default=None, ge=0, le=86400)
    concurrency: int | None = Field(default=None, ge=1, le=64)
    articles_per_run: int | None = Field(default=None, ge=0, le=2**31 - 1, description="0: all that wait")

    def merged(self, before: Automation) -> dict[str, Any]:
        """The automation part of a definition, with these changes."""
        data = before.model_dump()
        changes = self.model_dump(exclude_none=True)
        for number, stage in enumerate(BATCHED, 1):
            if (size := changes.pop(f"stage_{number}_batch_size", None)) is not None:
                data["batch_sizes"][stage] = size
        for shown, stored in RENAMED.items():
            if shown in changes:
                changes[stored] = changes.pop(shown)
        # Null means "unchanged", so 0 and '' mean "none".
        return (
            data
            | changes
            | {name: changes[name] or None for name in ("cron", "articles_per_run") if name in changes}
        )


RENAMED = {"is_enabled": "enabled", "scheduled_time": "time"}
FIELDS = {stored: shown for shown, stored in RENAMED.items()}


class ConfigView(BaseModel):
    """A site's automation. Times with an offset. ``next_runs``: five at most; ``next_run_at``: the first of
    them, null while it is off.
    """

    site_id: int
    is_enabled: bool
    frequency: Literal["daily", "weekly", "monthly"]
    scheduled_time: str
    timezone: str
    cron: str | None
    stage_1_batch_size: int
    stage_2_batch_size: int
    stage_3_batch_size: int
    stage_4_batch_size: int
    stage_5_batch_size: int
    stage_6_batch_size: int
    within_stage_delay: int
    between_stage_delay: int
    concurrency: int
    articles_per_run: int | None
    last_run_at: datetime | None
    next_run_at: datetime | None
    next_runs: list[datetime]

    @classmethod
    def of(
        cls,
        site_id: int,
        automation: Automation,
        now: datetime,
        *,
        last_run_at: datetime | None,
        last_slot: datetime | None,
    ) -> ConfigView:
        """The view of a site's automation. ``last_slot``: of the last scheduled run that began."""
        sizes = automation.batch_sizes.model_dump()
        starts = next_slots(automation, now, last_slot)
        return cls.model_validate({
            **vars(automation), "site_id": site_id, "is_enabled": automation.enabled,
            "scheduled_time": f"{automation.time:%H:%M}", "last_run_at": last_run_at,
            "next_run_at": starts[0] if starts else None, "next_runs": starts,
            **{f"stage_{number}_batch_size": sizes[stage] for number, stage in enumerate(BATCHED, 1)},
        })  # fmt: skip


class RunRow(BaseModel):
    """A line of the history. ``current_stage``: the number of the stage that the run is at, or ended at;
    ``part``: publish for a run that publishes approved articles, '' for one of the pipeline.
    """

    run_id: str
    part: str
    status: RunState
    partial: bool
    trigger_type: Literal["manual", "scheduled"]
    current_stage: int | None
    current_stage_name: str | None
    started_at: datetime
    paused_at: datetime | None
    resumed_at: datetime | None
    cancelled_at: datetime | None
    completed_at: datetime | None
    total_credits_used: Amount
    error_message: str | None

    @classmethod
    def facts(cls, run: Job) -> dict[str, Any]:
        """The fields of a run. One that left something undone is completed, and partial."""
        return {
            **vars(run),
            "run_id": public_id(JOB, run.id), "part": run.part, "partial": run.status == "partial",
            "status": "completed" if run.status == "partial" else run.status, "trigger_type": run.trigger,
            "current_stage": NUMBERS.get(run.current_stage or ""), "current_stage_name": run.current_stage,
            "total_credits_used": run.credits_used, "started_by": run.owner,
        }  # fmt: skip

    @classmethod
    def of(cls, run: Job) -> RunRow:
        """The line of a run."""
        return cls(**cls.facts(run))


class CurrentRun(RunRow):
    """The live run. A stage's result is null until it was begun. ``notice``: why the run waits, if so."""

    state: JobState
    notice: str | None = None
    started_by: str
    cancel_requested: bool
    estimated_credits: Amount
    stage_1_result: dict[str, Any] | None = None
    stage_2_result: dict[str, Any] | None = None
    stage_3_result: dict[str, Any] | None = None
    stage_4_result: dict[str, Any] | None = None
    stage_5_result: dict[str, Any] | None = None
    stage_6_result: dict[str, Any] | None = None
    stage_7_result: dict[str, Any] | None = None

    @classmethod
    def with_results(cls, status: RunStatus) -> CurrentRun:
        """The view of a run with what its stages made."""
        results: dict[str, Any] = {
            f"stage_{NUMBERS[stage.name]}_result": dict(stage.result)
            for stage in status.stages
            if stage.name in NUMBERS and stage.result
        }
        return cls(**RunRow.facts(status.run), **results)


class OverviewStage(BaseModel):
    """A stage's card. ``pending`` and ``failed`` count items; ``counts``: what it begins with, by status."""

    number: int
    name: str
    title: str
    pending: int
    failed: int
    counts: dict[str, int]


class Overview(BaseModel):
    """What waits in each stage."""

    site_id: int
    stages: list[OverviewStage]


class InWork(BaseModel):
    """An item that is being worked on. ``item``: its name in failures and in the ledger; ``path``: where this
    API has it, null for what it does not have.
    """

    stage: str
    item: str
    title: str
    path: str | None
    since: datetime


class DoneLast(BaseModel):
    """An item that was finished a moment ago."""

    stage: str | None
    label: str
    at: datetime


class Processing(BaseModel):
    """What a live run is doing. Items: finished, planned and left in the current stage."""

    run_id: str
    state: JobState
    current_stage: int | None
    current_stage_name: str | None
    title: str | None
    processed: int
    planned: int
    remaining: int
    percent: float
    in_work: list[InWork]
    done_last: list[DoneLast]


class Logs(BaseModel):
    """The tail of a run's activity log, oldest line first."""

    run_id: str
    lines: list[LogLineView]


class EstimateView(BaseModel):
    """What a run started now would need, in credits. ``sufficient``: what is available covers what is
    required, which is the estimate with its buffer.
    """

    estimated_credits: Amount
    required_credits: Amount
    current_balance: Amount
    available_credits: Amount
    sufficient: bool
    stages: dict[str, Amount]


class Started(BaseModel):
    """A run that was just started. ``notice``: why it waits, if it does."""

    run_id: str
    site_id: int
    status: RunState
    dag_id: str
    dag_run_id: str
    notice: str | None


class RunNow(Body):
    """What this run may do. ``articles``: how many it writes at most; null: as the site is set."""

    articles: int | None = Field(default=None, ge=1, le=2**31 - 1)
    cap_cents: float | None = Field(default=None, ge=0, le=10**9, allow_inf_nan=False)
