"""Airflow dag file: the site pipelines of shard 0."""

from pressroom.orchestration.dags.workflows import workflow_dags

globals().update(workflow_dags("site", shard=0))
