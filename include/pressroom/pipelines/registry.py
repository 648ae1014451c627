"""The pipelines of each kind of workflow."""

from __future__ import annotations

from pressroom.domain.definitions import Site
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.pipelines.flow.pipeline import flow_pipeline
from pressroom.pipelines.mission.pipeline import MISSION
from pressroom.pipelines.site import SITE
from pressroom.pipelines.site.publish import SITE_PUBLISH
from pressroom.pipelines.stage import Pipeline

DAG_TAG = "pressroom"
"""What all DAGs of workflows are tagged with."""
PUBLISH = "publish"
"""The part of a site that publishes approved articles."""


def parts_of(workflow: Workflow) -> list[str]:
    """The parts of a workflow. Each has its own pipeline and DAG; the main part is ''."""
    return ["", PUBLISH] if isinstance(workflow, Site) and workflow.publish.targets else [""]


def dag_id_of(workflow: Workflow, part: str = "") -> str:
    """The DAG that runs a part of a workflow."""
    return f"{workflow.dag_id}__{part}" if part else workflow.dag_id


def pipeline_of_dag(workflow: Workflow, dag_id: str) -> Pipeline:
    """The pipeline that a workflow's DAG runs."""
    return pipeline_of(workflow, dag_id.removeprefix(workflow.dag_id).removeprefix("__"))


def pipeline_of(workflow: Workflow, part: str = "") -> Pipeline:
    """The pipeline of a part of a workflow. A flow's is built from its steps. Raises KeyError."""
    if part:
        return {("Site", PUBLISH): SITE_PUBLISH}[workflow.kind, part]
    match workflow:
        case Site():
            return SITE
        case Mission():
            return MISSION
        case Flow():
            return flow_pipeline(workflow)


def task_of(pipeline: Pipeline, name: str) -> str:
    """The first task of a stage in its DAG.

    A flow's steps are a chain for each item, after the stage that brings the items in.
    """
    stage = pipeline.stage(name)
    if pipeline.name == "flow" and stage is not pipeline.stages[0]:
        return f"item.{name}"
    return name if stage.summarize is not None or stage.poll is not None else f"{name}.plan"
