"""What a generated DAG says about itself in Airflow's UI."""

from __future__ import annotations

from pressroom.domain.definitions import Site
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.pipelines.stage import Pipeline


def describe(workflow: Workflow, part: str = "") -> str:
    """One line."""
    match workflow:
        case Site() if part:
            return f"Approved articles in, each once on every target: {workflow.name}"
        case Site():
            return f"Keywords in, illustrated articles for review out: {workflow.name}"
        case Mission():
            return (
                f"Objectives in, published and measured posts out, and a better next cycle: {workflow.name}"
            )
        case Flow():
            return f"{' → '.join(step.name for step in workflow.steps)}: {workflow.name}"[:200]


def explain(pipeline: Pipeline, workflow: Workflow, part: str = "") -> str:
    """The DAG's doc page: what it does, stage by stage, and how to steer it."""
    about, when, more = _facts(workflow, part)
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

What is done is saved item by item, so:

{more}
* **Pause, resume, cancel**: `pressroom pause|resume|cancel {workflow.slug}`. Current items are finished
  first.
* Watch it: `pressroom status {workflow.slug}`, `pressroom logs {workflow.slug} -f`.
"""


def _facts(workflow: Workflow, part: str) -> tuple[str, str, str]:
    """What it is, when it runs, and what is special to its kind."""
    batches = """\
* **Clear** a `work` task to run that batch's unfinished items again, a stage to run it and all that follows.
  Finished items are neither done nor charged twice."""
    match workflow:
        case Site() if part:
            places = ", ".join(f"`{target.target_name}`" for target in workflow.publish.targets)
            more = f"""
* One target's failure holds no other; the next run tries again what failed, and nothing else.
* What is where: `pressroom publications {workflow.slug}`. To publish by hand:
  `pressroom publish {workflow.slug}`."""
            return (
                f"Publishes approved articles on {places}.",
                "runs when articles are approved",
                batches + more,
            )
        case Site():
            automation = workflow.automation
            when = (
                f"runs `{automation.schedule}` ({automation.timezone})"
                if automation.schedule
                else "runs only when triggered"
            )
            more = "\n* A second run while one is live fails at `open_run` and names the one with the lock."
            return workflow.subject or "A Pressroom site pipeline.", when, batches + more
        case Mission():
            every = f"every {workflow.cycle_days} days" if workflow.starts_at else "when triggered"
            when = (
                f"one cycle of {workflow.cycle_days} days a run, {every}, on {', '.join(workflow.platforms)}"
            )
            or_when = "when it failed, or " if workflow.rollback else ""
            more = f"""
* `analytics` waits in the triggerer until the cycle's measuring window closes; `optimize` learns from it.
* What was learned, with its evidence: `pressroom insights {workflow.slug}`. To take a change back:
  `pressroom revert {workflow.slug} CHANGE`.
* `rollback` undoes what a run did {or_when}once somebody asks for it:
  `POST /pressroom/api/v1/pipeline/jobs/ID/rollback`. Otherwise it is skipped."""
            return workflow.description or "A Pressroom mission.", when, batches + more
        case Flow():
            trigger = workflow.trigger
            when = f"runs `{trigger.cron}` ({trigger.timezone})" if trigger.cron else "runs when triggered"
            more = f"""\
* Every item goes through its steps on its own: a failure, a skip or a wait of one holds no other.
* **Clear** a step of an item (its map index), with what is downstream, to run that step and the rest again.
  Gates ask again, and nothing is published twice. Clearing `open_run` does only what is left.
* An edit of the flow is for the next run: items that wait go on by the steps that their run began with.
* What waits at a gate: `pressroom gates {workflow.slug}`; to answer it: `pressroom answer`."""
            return workflow.description or "A Pressroom flow.", when, more
