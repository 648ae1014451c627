"""The one DAG builder: a list of stages and a definition in, a DAG out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, DeltaTriggerTimetable, Param, TaskGroup
from airflow.sdk.definitions.param import ParamsDict

from pressroom.domain.definitions import Site
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.orchestration.operators import (
    CloseRun,
    OpenRun,
    PlanStage,
    PollStage,
    RollBack,
    SumUpStage,
    WorkBatch,
    parallel_batches,
)
from pressroom.orchestration.retry import ErrorClassPolicy
from pressroom.pipelines.stage import Pipeline, Stage

TASK_DEFAULTS: dict[str, Any] = {
    "retries": 5,
    "retry_delay": timedelta(seconds=5),
    "retry_policy": ErrorClassPolicy(),
}


def build_dag(pipeline: Pipeline, workflow: Workflow) -> DAG:
    """The DAG of one workflow: open_run → each stage's plan → work[…] → close_run.

    Declares only: no database, no clock, nothing that differs between two parses of the same definition.
    """
    name = f"{pipeline.name}/{workflow.slug}"
    with DAG(
        workflow.dag_id,
        dag_display_name=workflow.name,
        description=_describe(workflow),
        doc_md=_explain(pipeline, workflow),
        catchup=False,
        is_paused_upon_creation=False,
        tags=["pressroom", f"account:{workflow.account}", f"{pipeline.name}:{workflow.slug}"],
        default_args={**TASK_DEFAULTS, "owner": workflow.account},
        **_schedule(workflow),
    ) as dag:
        opening = OpenRun(task_id="open_run", workflow=name).as_setup()
        before: list[Any] = [opening]
        stages: list[Any] = []
        for stage in pipeline.stages:
            before = _stage(stage, workflow, name, before)
            stages += before
        closing = CloseRun(task_id="close_run", workflow=name).as_teardown(setups=opening)
        if isinstance(workflow, Mission) and workflow.rollback:
            undo = RollBack(task_id="rollback", workflow=name, trigger_rule="all_done")
            stages >> undo >> closing
            # A leaf that fails with any stage: without it a rollback that went well would end the run well.
            done = EmptyOperator(task_id="done", trigger_rule="none_failed")
            before >> done >> closing
        before >> closing
    # Only now: what a DAG has before its tasks is copied into every one of them, and the copies would be half
    # of what the dag processor serializes and checks.
    dag.params = ParamsDict(_params(workflow))
    return dag


def _schedule(workflow: Workflow) -> dict[str, Any]:
    """When it runs, and how many runs may be active at once."""
    if isinstance(workflow, Site):
        automation = workflow.automation
        cron = automation.schedule
        return {
            "schedule": CronTriggerTimetable(cron, timezone=automation.timezone) if cron else None,
            # More than one, so that a second run starts, meets the lock and says so, and does not wait unseen.
            "max_active_runs": 3,
        }
    # A cycle is learned from before the next one is planned, so the next one waits its turn.
    facts: dict[str, Any] = {"schedule": None, "max_active_runs": 1}
    if workflow.status == "active" and workflow.starts_at is not None:
        facts |= {
            "schedule": DeltaTriggerTimetable(timedelta(days=workflow.cycle_days)),
            "start_date": workflow.starts_at,
            "end_date": workflow.ends(workflow.starts_at),
        }
    return facts


def _stage(stage: Stage[Any, Any], workflow: Workflow, name: str, before: list[Any]) -> list[Any]:
    """Add a stage behind ``before``, and return what the next one comes after.

    A stage starts when nothing before it failed, even if the last one had no work and was skipped. But its
    plan also follows the last plan, so that a run never opened, or cancelled, skips all that is left.
    """
    # Airflow wants everything right behind a setup task to depend on its success.
    rule = "all_success" if any(task.is_setup for task in before) else "none_failed_min_one_success"
    alone = SumUpStage if stage.summarize is not None else PollStage if stage.poll is not None else None
    if alone is not None:
        task = alone(task_id=stage.name, workflow=name, stage=stage.name, trigger_rule=rule)
        before >> task
        return [task]
    with TaskGroup(stage.name, tooltip=stage.title):
        plan = PlanStage(task_id="plan", workflow=name, stage=stage.name, trigger_rule=rule)
        work = WorkBatch.partial(
            task_id="work",
            workflow=name,
            stage=stage.name,
            max_active_tis_per_dagrun=_at_once(stage, workflow),
            **({"pool": stage.pool} if stage.pool else {}),
        ).expand(batch=plan.output)
    before >> plan
    return [plan, work]


def _at_once(stage: Stage[Any, Any], workflow: Workflow) -> int:
    return 1 if stage.serial else parallel_batches(workflow.pace.concurrency, stage.batch_items(workflow))


def _params(workflow: Workflow) -> dict[str, Param]:
    articles = {
        "articles": Param(
            None, type=["null", "integer"], minimum=1, title="Articles",
            description="How many articles this run may write. Empty: as the site's definition says.",
        ),
    }  # fmt: skip
    cap = {
        "cap_cents": Param(
            None, type=["null", "number"], minimum=0, title="Cap in cents",
            description="What providers may cost in this run, at most."
            " The stricter of this and the definition's cap counts.",
        ),
    }  # fmt: skip
    return articles | cap if isinstance(workflow, Site) else cap


def _describe(workflow: Workflow) -> str:
    if isinstance(workflow, Site):
        return f"Keywords in, illustrated articles for review out: {workflow.name}"
    return f"Objectives in, published and measured posts out, and a better next cycle: {workflow.name}"


def _explain(pipeline: Pipeline, workflow: Workflow) -> str:
    if isinstance(workflow, Site):
        automation = workflow.automation
        when = (
            f"runs `{automation.schedule}` ({automation.timezone})"
            if automation.schedule
            else "runs only when triggered"
        )
        about = workflow.subject or "A Pressroom site pipeline."
        more = f"""
* A second run while one is live fails at `open_run` and names the run that holds the lock.
* Watch it: `pressroom status {workflow.slug}`, `pressroom logs {workflow.slug} -f`."""
    else:
        every = f"every {workflow.cycle_days} days" if workflow.starts_at else "when triggered"
        when = f"one cycle of {workflow.cycle_days} days a run, {every}, on {', '.join(workflow.platforms)}"
        about = workflow.description or "A Pressroom mission."
        more = f"""
* `analytics` waits in the triggerer until the cycle's measuring window closes; then `optimize` learns from it.
* What was learned, with its evidence: `pressroom insights {workflow.slug}`. To take a change back:
  `pressroom revert {workflow.slug} CHANGE`."""
    rows = "\n".join(
        f"| {number} | `{stage.name}` | {stage.title} |"
        for number, stage in enumerate(pipeline.stages, start=1)
    )
    return f"""\
### {workflow.name}

{about} Account `{workflow.account}`, {when}.

| | stage | what it does |
|---|---|---|
{rows}

Each stage plans what waits, then works through it in batches. What is done is saved item by item, so:

* **Clear** a `work` task to run that batch's unfinished items again, a stage to run it and all that follows.
  Finished items are neither done nor charged twice.
* **Pause, resume, cancel**: `pressroom pause|resume|cancel {workflow.slug}`. Current items are finished first.{more}
"""
