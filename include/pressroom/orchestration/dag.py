"""The one DAG builder: a list of stages and a definition in, a DAG out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, TaskGroup
from airflow.sdk.definitions.param import ParamsDict

from pressroom.domain.definitions import Site
from pressroom.orchestration.operators import (
    CloseRun,
    OpenRun,
    PlanStage,
    SumUpStage,
    WorkBatch,
    parallel_batches,
)
from pressroom.orchestration.retry import ErrorClassPolicy
from pressroom.pipelines.stage import Pipeline, Stage

PREFIX = "site__"
TASK_DEFAULTS: dict[str, Any] = {
    "retries": 5,
    "retry_delay": timedelta(seconds=5),
    "retry_policy": ErrorClassPolicy(),
}


def build_dag(pipeline: Pipeline, site: Site) -> DAG:
    """The DAG of one site: open_run → each stage's plan → work[…] → close_run.

    Declares only: no database, no clock, nothing that differs between two parses of the same definition.
    """
    automation = site.automation
    schedule = (
        CronTriggerTimetable(automation.schedule, timezone=automation.timezone)
        if automation.schedule
        else None
    )
    with DAG(
        site.dag_id,
        dag_display_name=site.name,
        description=f"Keywords in, illustrated articles for review out: {site.name}",
        doc_md=_explain(pipeline, site),
        schedule=schedule,
        catchup=False,
        # More than one, so that a second run starts, meets the lock and says so, and does not wait unseen.
        max_active_runs=3,
        is_paused_upon_creation=False,
        tags=["pressroom", f"account:{site.account}", f"site:{site.slug}"],
        default_args={**TASK_DEFAULTS, "owner": site.account},
    ) as dag:
        opening = OpenRun(task_id="open_run", site=site.slug).as_setup()
        before: list[Any] = [opening]
        for stage in pipeline.stages:
            before = _stage(stage, site, before)
        closing = CloseRun(task_id="close_run", site=site.slug).as_teardown(setups=opening)
        before >> closing
    # Only now: what a DAG has before its tasks is copied into every one of them, and the copies would be half
    # of what the dag processor serializes and checks.
    dag.params = ParamsDict(_params())
    return dag


def _stage(stage: Stage[Any, Any], site: Site, before: list[Any]) -> list[Any]:
    """Add a stage behind ``before``, and return what the next one comes after.

    A stage starts when nothing before it failed, even if the last one had no work and was skipped. But its
    plan also follows the last plan, so that a run never opened, or cancelled, skips all that is left.
    """
    # Airflow wants everything right behind a setup task to depend on its success.
    rule = "all_success" if any(task.is_setup for task in before) else "none_failed_min_one_success"
    if stage.summarize is not None:
        look = SumUpStage(task_id=stage.name, site=site.slug, stage=stage.name, trigger_rule=rule)
        before >> look
        return [look]
    with TaskGroup(stage.name, tooltip=stage.title):
        plan = PlanStage(task_id="plan", site=site.slug, stage=stage.name, trigger_rule=rule)
        work = WorkBatch.partial(
            task_id="work",
            site=site.slug,
            stage=stage.name,
            max_active_tis_per_dagrun=_at_once(stage, site),
            **({"pool": stage.pool} if stage.pool else {}),
        ).expand(batch=plan.output)
    before >> plan
    return [plan, work]


def _at_once(stage: Stage[Any, Any], site: Site) -> int:
    return 1 if stage.serial else parallel_batches(site.automation.concurrency, stage.batch_items(site))


def _params() -> dict[str, Param]:
    return {
        "articles": Param(
            None, type=["null", "integer"], minimum=1, title="Articles",
            description="How many articles this run may write. Empty: as the site's definition says.",
        ),
        "cap_cents": Param(
            None, type=["null", "number"], minimum=0, title="Cap in cents",
            description="What providers may cost in this run, at most."
            " The stricter of this and the site's cap counts.",
        ),
    }  # fmt: skip


def _explain(pipeline: Pipeline, site: Site) -> str:
    automation = site.automation
    when = (
        f"`{automation.schedule}` ({automation.timezone})" if automation.schedule else "only when triggered"
    )
    rows = "\n".join(
        f"| {number} | `{stage.name}` | {stage.title} |"
        for number, stage in enumerate(pipeline.stages, start=1)
    )
    return f"""\
### {site.name}

{site.subject or "A Pressroom site pipeline."} Account `{site.account}`, runs {when}.

| | stage | what it does |
|---|---|---|
{rows}

Each stage plans what waits, then works through it in batches. What is done is saved item by item, so:

* **Clear** a `work` task to run that batch's unfinished items again, a stage to run it and all that follows.
  Finished items are neither done nor charged twice.
* **Pause, resume, cancel**: `pressroom pause|resume|cancel {site.slug}`. Current items are finished first.
* A second run while one is live fails at `open_run` and names the run that holds the lock.
* Watch it: `pressroom status {site.slug}`, `pressroom logs {site.slug} -f`.
"""
