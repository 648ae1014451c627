"""Runs as jobs: what their API shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from pressroom.api.kit.bodies import Body
from pressroom.api.kit.pictures import image_url
from pressroom.api.kit.views import Amount, workflow_ids
from pressroom.domain.public_ids import JOB, public_id
from pressroom.engine.runs.reports import Job, JobState, RunStatus

WorkflowKind = Literal["site", "mission", "flow"]


class JobBody(Body):
    """The workflow to run, named by one of the three ids. The other fields depend on its kind."""

    mission_id: str | None = Field(default=None, examples=["msn_12"], max_length=100)
    flow_id: str | None = Field(default=None, examples=["flw_12"], max_length=100)
    site_id: int | None = Field(default=None, ge=1)
    articles: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="of a site: how many articles it writes at most"
    )
    item: dict[str, Any] | None = Field(
        default=None,
        description="of a flow that does not begin with a fetch: id, title, text, url, tags, images",
    )
    cap_cents: float | None = Field(
        default=None, ge=0, le=10**9, allow_inf_nan=False, description="what providers may take at most"
    )

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        named = [name for name in ("mission_id", "flow_id", "site_id") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError("name one of mission_id, flow_id and site_id")
        if self.articles is not None and self.site_id is None:
            raise ValueError("articles is for sites")
        if self.item is not None and self.flow_id is None:
            raise ValueError("item is for flows")
        return self

    def params(self) -> dict[str, Any]:
        """The parameters of the run."""
        return self.model_dump(include={"articles", "item", "cap_cents"}, exclude_none=True)


class RetryBody(Body):
    """From which stage on. Null: from the first one that is not done."""

    from_stage: str | None = Field(default=None, min_length=1, max_length=100, examples=["content"])


class CancelBody(Body):
    """``now``: stop calls in flight within seconds, instead of finishing the current items first. Their items
    wait, and what the calls may cost is booked.
    """

    now: bool = False


class JobRow(BaseModel):
    """A line of the list of jobs. ``part``: '' or publish; ``cents``: what providers took. Times in UTC."""

    id: str
    state: JobState
    status: str
    partial: bool
    cancel_requested: bool
    kind: WorkflowKind
    workflow: str
    site_id: int | None
    mission_id: str | None
    flow_id: str | None
    part: str
    trigger: Literal["manual", "scheduled"]
    started_by: str
    current_stage: str | None
    estimated_credits: Amount
    credits_used: Amount
    cents: Amount
    error_message: str | None
    dag_id: str
    dag_run_id: str
    started_at: datetime
    paused_at: datetime | None
    resumed_at: datetime | None
    cancelled_at: datetime | None
    completed_at: datetime | None

    @classmethod
    def facts(cls, job: Job) -> dict[str, Any]:
        """The fields of a run."""
        return {
            **vars(job),
            **workflow_ids(job.kind, job.workflow_id), "id": public_id(JOB, job.id),
            "partial": job.status == "partial", "workflow": job.slug, "part": job.part,
            "started_by": job.owner,
        }  # fmt: skip

    @classmethod
    def of(cls, job: Job) -> JobRow:
        """The view of a run."""
        return cls(**cls.facts(job))


class StageView(BaseModel):
    """One stage of a job. ``output``: what it made, null until it made something; ``reason``: why it did
    nothing, or stopped before its end. Counts are items.
    """

    stage: str
    title: str
    status: JobState
    planned: int
    processed: int
    failed: int
    reason: str | None
    output: dict[str, Any] | None


class Progress(BaseModel):
    """How far a job is. ``percent``: finished stages, and the current one by its items."""

    stages_done: int
    stages: int
    items_done: int
    items_planned: int
    percent: float


class JobView(JobRow):
    """A job with its stages. ``rollback``: the report of a rollback, null without one; ``notice``: why it
    waits, if it does.
    """

    notice: str | None = None

    progress: Progress
    stages: list[StageView]
    rollback: dict[str, Any] | None

    @classmethod
    def whole(
        cls,
        status: RunStatus,
        outputs: Sequence[Mapping[str, Any]],
        rollback: dict[str, Any] | None,
        base: str,
    ) -> JobView:
        """The view of a run with its stages. ``base``: the path below which the API is."""
        outputs_by_stage = {row["stage"]: _for_callers(row["output"], base) or None for row in outputs}
        stages = [
            StageView.model_validate(
                {
                    **vars(stage),
                    "stage": stage.name,
                    "status": stage.state,
                    "output": outputs_by_stage.get(stage.name),
                }
            )
            for stage in status.stages
        ]
        return cls(**JobRow.facts(status.run), progress=_progress(stages), stages=stages, rollback=rollback)


def _for_callers(output: Mapping[str, Any] | None, base: str) -> dict[str, Any]:
    """A stage's output with the URLs at which callers find the pictures of its posts."""
    shown = dict(output or {})
    if "content_items" in shown:
        shown["content_items"] = [_with_urls(item, base) for item in shown["content_items"]]
    return shown


def _with_urls(item: Mapping[str, Any], base: str) -> dict[str, Any]:
    visuals = [
        visual | {"url": image_url(base, item["id"], position, visual["url"])}
        for position, visual in enumerate(item["visuals"])
    ]
    return {**item, "visuals": visuals}


def _progress(stages: Sequence[StageView]) -> Progress:
    done = [stage for stage in stages if stage.status == JobState.COMPLETED]
    begun = [stage for stage in stages if stage.status != JobState.COMPLETED and stage.planned]
    share = len(done) + sum(min(1.0, stage.processed / stage.planned) for stage in begun)
    return Progress(
        stages_done=len(done), stages=len(stages), items_done=sum(stage.processed for stage in stages),
        items_planned=sum(max(stage.planned, stage.processed) for stage in stages),
        percent=round(100 * share / len(stages), 1) if stages else 0.0,
    )  # fmt: skip


class JobRetried(BaseModel):
    """A job that runs again. ``stages``: those that do."""

    id: str
    from_stage: str
    stages: list[str]


class Accepted(BaseModel):
    """The request was accepted; the work goes on in Airflow."""

    id: str
    detail: str
