"""Airflow dag file: the site pipelines of shard 7."""

from pressroom.orchestration.sites import site_dags

globals().update(site_dags(shard=7))
