"""Airflow dag file: the mission pipelines of shard 0."""

from pressroom.orchestration.workflows import workflow_dags

globals().update(workflow_dags("mission", shard=0))
