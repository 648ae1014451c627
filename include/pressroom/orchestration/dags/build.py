"""The one DAG builder: a list of stages and a definition in, a DAG out."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from typing import Any

import pendulum
from airflow.configuration import conf
from airflow.sdk import (
    DAG,
    Asset,
    CronTriggerTimetable,
    Param,
    TaskGroup,
    task_group,
)
from airflow.sdk.api.datamodels._generated import DagRunType  # it has no public name in the SDK
from airflow.sdk.definitions.param import ParamsDict
from airflow.timetables.events import EventsTimetable  # the SDK's cannot be read again once it is stored

from pressroom.domain.definitions import Site
from pressroom.domain.flows import AnyStep, Flow, GateStep
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.domain.run import ARTICLES, CAP, ITEM, known_params
from pressroom.domain.schedules import CronSchedule
from pressroom.engine.runs.starting import CLOSE_TASK, OPEN_TASK, ROLLBACK_TASK
from pressroom.orchestration.dags.access import AccessControl
from pressroom.orchestration.dags.docs import describe, explain
from pressroom.orchestration.tasks.flow import ItemsOfRun, ItemStep
from pressroom.orchestration.tasks.gates import ApproveAtGate, WaitAtGate
from pressroom.orchestration.tasks.run import CloseRun, OpenRun, RollBack
from pressroom.orchestration.tasks.run_operator import TIMEOUT_KEY, ErrorClassPolicy
from pressroom.orchestration.tasks.stage import (
    AnnounceApproved,
    PlanStage,
    PollStage,
    SumUpStage,
    WorkBatch,
    parallel_batches,
)
from pressroom.pipelines.registry import DAG_TAG, dag_id_of
from pressroom.pipelines.stage import Pipeline, Stage

Facts = dict[str, Any]
"""The arguments that every task has: the workflow, and the part of it."""

FLOW_RUNS = 1000
"""Runs of a flow that may be on at once. A run that waits at a gate counts like one that works, so this is
far above what works at once: pools and workers bound that.
"""

LONGEST_TASK = timedelta(hours=12)
"""How long a task may take, unless Airflow says it: 32 articles of a slow local model take half
of it. What the triggerer waits for does not count: its time begins again on a worker.
"""

TASK_DEFAULTS: dict[str, Any] = {
    "execution_timeout": conf.gettimedelta("core", TIMEOUT_KEY, fallback=None) or LONGEST_TASK,
    "retries": 5,
    "retry_delay": timedelta(seconds=5),
    "retry_policy": ErrorClassPolicy(),
}


RUN_TYPES = frozenset(DagRunType) - {DagRunType.BACKFILL}
"""What waits is worked on by the next run, so a backfill has nothing to make up for, and
each of its runs would spend as much again.
"""


def build_dag(
    pipeline: Pipeline,
    workflow: Workflow,
    part: str = "",
    *,
    since: datetime | None = None,
    access: AccessControl | None = None,
) -> DAG:
    """The DAG of one workflow: open_run → each stage's plan → work[…] → close_run; a mission's has rollback
    before close_run. ``part``: as in ``pipeline_of``; ``since``: when its schedule was last set;
    ``access``: who sees it on Airflow's pages, None: as its auth manager has it.

    Only close_run decides the DAG run's state: all tasks are before it, and it may fail the DAG run.

    Declares only: no database, no clock, nothing that differs between two parses of the same definition.
    """
    name = f"{pipeline.name}/{workflow.slug}"
    facts: Facts = {"workflow": name, "part": part}
    with DAG(
        dag_id_of(workflow, part),
        dag_display_name=f"{workflow.name}: {part}" if part else workflow.name,
        description=describe(workflow, part),
        doc_md=explain(pipeline, workflow, part),
        allowed_run_types=RUN_TYPES,
        auto_register=False,  # Airflow would take it in although building it fails halfway
        is_paused_upon_creation=False,
        access_control=access,
        tags=[DAG_TAG, f"account:{workflow.account}", f"{pipeline.name}:{workflow.slug}"],
        default_args={**TASK_DEFAULTS, "owner": workflow.account},
        **_schedule(workflow, part, since),
    ) as dag:
        opening = OpenRun(task_id=OPEN_TASK, **facts).as_setup()
        before: list[Any] = [opening]
        stages: list[Any] = []
        for stage in pipeline.stages[:1] if isinstance(workflow, Flow) else pipeline.stages:
            before = _stage(stage, workflow, facts, before)
            stages += before
        if isinstance(workflow, Flow) and len(pipeline.stages) > 1:
            before = _chains(pipeline, workflow, name, before)
        if isinstance(workflow, Site) and workflow.publish.targets and not part:
            asset = Asset(workflow.approved_asset)
            announce = AnnounceApproved(task_id="approved", outlets=[asset], **facts)
            before >> announce
            before = [announce]
        closing = CloseRun(task_id=CLOSE_TASK, **facts)
        closing.as_teardown(setups=opening, on_failure_fail_dagrun=True)
        if isinstance(workflow, Mission):
            # In every mission: a person may want a run undone whose definition has no rollback.
            undo = RollBack(task_id=ROLLBACK_TASK, workflow=name).as_teardown(setups=opening)
            stages >> undo >> closing
        before >> closing
    # Set last: params set before the tasks are copied into every task, and the copies would be half of what
    # the dag processor serializes and checks.
    dag.params = ParamsDict({} if part else _params(workflow))
    return dag


def _schedule(workflow: Workflow, part: str, since: datetime | None) -> dict[str, Any]:
    """The DAG's schedule, and how many runs may be active at once."""
    if isinstance(workflow, Site) and part:
        # What is approved while a run is on is published by the next one.
        return {"schedule": [Asset(workflow.approved_asset)], "catchup": False, "max_active_runs": 1}
    if isinstance(workflow, Site):
        return {
            **_cron(workflow.automation.slots, since),
            # More than one, so that a second run starts and fails at the lock, instead of waiting unseen.
            "max_active_runs": 3,
        }
    if isinstance(workflow, Flow):
        trigger = workflow.trigger
        facts = _cron(trigger.slots, since)
        if trigger.asset:
            facts["schedule"] = [Asset(trigger.asset)]
        return {**facts, "max_active_runs": FLOW_RUNS}
    # A cycle is learned from before the next one is planned, so the next one waits its turn. Its slot comes
    # while this one is at work: without catching up, Airflow would pass over it.
    starts = workflow.cycle_starts() if workflow.schedule_text else []
    if since is not None:
        # Of what was before its schedule was set, only the cycle of that time is left to be run.
        starts = starts[max(0, bisect_right(starts, since) - 1) :]
    if not starts:
        return {"schedule": None, "catchup": False, "max_active_runs": 1}
    timetable = EventsTimetable(map(pendulum.instance, starts), presorted=True)
    return {"schedule": timetable, "start_date": starts[0], "catchup": True, "max_active_runs": 1}


def _cron(slots: CronSchedule | None, since: datetime | None) -> dict[str, Any]:
    """The timetable of a cron expression: no slot before ``since``, and of missed ones the last."""
    if slots is None:
        return {"schedule": None, "catchup": False}
    timetable = CronTriggerTimetable(slots.cron, timezone=slots.timezone)
    return {"schedule": timetable, "catchup": False, "start_date": since}


def _stage(stage: Stage[Any, Any], workflow: Workflow, facts: Facts, before: list[Any]) -> list[Any]:
    """Add a stage behind ``before``, and return what the next one comes after.

    A stage starts when nothing before it failed, even if the last one had no work and was skipped. But its
    plan also follows the last plan, so that a run never opened, or cancelled, skips all that is left.
    """
    # Airflow wants everything right behind a setup task to depend on its success.
    rule = "all_success" if any(task.is_setup for task in before) else "none_failed_min_one_success"
    alone = SumUpStage if stage.summarize is not None else PollStage if stage.poll is not None else None
    if alone is not None:
        task = alone(task_id=stage.name, stage=stage.name, trigger_rule=rule, **facts)
        before >> task
        return [task]
    with TaskGroup(stage.name, tooltip=stage.title):
        # While it waits for people, the plan itself works through what they have let through.
        pool = {"pool": stage.pool} if stage.pool and stage.waits_for is not None else {}
        plan = PlanStage(task_id="plan", stage=stage.name, trigger_rule=rule, **facts, **pool)
        work = WorkBatch.partial(
            task_id="work",
            stage=stage.name,
            **facts,
            map_index_template="{{ task.holds(dag_run.run_id) }}",
            max_active_tis_per_dagrun=_at_once(stage, workflow),
            **({"pool": stage.pool} if stage.pool else {}),
        ).expand(batch=plan.output)
    before >> plan
    return [plan, work]


def _chains(pipeline: Pipeline, flow: Flow, name: str, before: list[Any]) -> list[Any]:
    """A chain of all steps for each item. Returns the last tasks.

    A task runs when none before it failed, skipped ones included, and reads from its item's status whether
    there is anything to do. What follows a task that failed has the state of tasks that are cleared with what
    failed: the item then goes all its way.
    """
    items = ItemsOfRun(task_id="items", workflow=name, trigger_rule="none_failed_min_one_success")
    before >> items

    @task_group(group_id="item")
    def item(item: Any) -> None:
        last: Any = None
        for stage in pipeline.stages[1:]:
            _, step = flow.step(stage.name)
            task = _step_task(stage, step, name, item)
            if last is not None:
                last >> task
            last = task

    return [item.expand(item=items.output)]


def _step_task(stage: Stage[Any, Any], step: AnyStep, name: str, item: Any) -> Any:
    facts: dict[str, Any] = {
        "task_id": stage.name, "workflow": name, "stage": stage.name, "item": item,
        "trigger_rule": "none_failed",
    }  # fmt: skip
    if isinstance(step, GateStep):
        if step.by == "approval":
            timeout = timedelta(hours=step.timeout_hours)
            return ApproveAtGate(timeout=timeout, on_timeout=step.on_timeout, **facts)
        return WaitAtGate(**facts)
    return ItemStep(**facts, **({"pool": stage.pool} if stage.pool else {}))


def _at_once(stage: Stage[Any, Any], workflow: Workflow) -> int:
    return 1 if stage.serial else parallel_batches(workflow.pace.concurrency, stage.batch_items(workflow))


def _params(workflow: Workflow) -> dict[str, Param]:
    """The trigger form of its runs."""
    forms = {
        ARTICLES: Param(
            None, type=["null", "integer"], minimum=1, title="Articles",
            description="How many articles this run may write. Empty: as the site's definition says.",
        ),
        CAP: Param(
            None, type=["null", "number"], minimum=0, title="Cap in cents",
            description="What providers may cost in this run, at most."
            " The stricter of this and the definition's cap counts.",
        ),
        ITEM: Param(
            None, type=["null", "object"], title="Item",
            description="For a flow that does not begin with a fetch: id, title, text, url, tags, images.",
        ),
    }  # fmt: skip
    return {name: forms[name] for name in known_params(workflow)}
