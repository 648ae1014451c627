"""Airflow dag file: the missions."""

from pressroom.orchestration.dags.workflows import workflow_dags

globals().update(workflow_dags("mission", shard=0))
