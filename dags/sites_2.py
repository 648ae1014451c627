"""Airflow dag file: the site pipelines of shard 2."""

from pressroom.orchestration.sites import site_dags

globals().update(site_dags(shard=2))
