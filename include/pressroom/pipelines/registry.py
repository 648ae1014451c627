"""Which pipeline runs which kind of workflow."""

from __future__ import annotations

from pressroom.pipelines.mission import MISSION
from pressroom.pipelines.site import SITE
from pressroom.pipelines.stage import Pipeline

PIPELINES = {pipeline.name: pipeline for pipeline in (SITE, MISSION)}


def pipeline_of(kind: str) -> Pipeline:
    """The pipeline for a kind of workflow, as definitions (Site) or DAGs (site) spell it. Raises KeyError."""
    return PIPELINES[kind.lower()]
