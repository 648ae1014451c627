"""Airflow dag file: the site pipelines of shard 0."""

from pressroom.orchestration.sites import site_dags

globals().update(site_dags(shard=0))
