"""Airflow dag file: the flows."""

from pressroom.orchestration.workflows import workflow_dags

globals().update(workflow_dags("flow", shard=0))
