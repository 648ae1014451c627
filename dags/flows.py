"""Airflow dag file: the flows."""

from pressroom.orchestration.dags.workflows import workflow_dags

globals().update(workflow_dags("flow", shard=0))
