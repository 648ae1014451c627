"""The only unit tests that import Airflow: as a library, without a database, in a home of their own."""

from __future__ import annotations

from tests.support.airflow_library import airflow_as_library

with airflow_as_library():
    import pressroom.orchestration.dags.build  # noqa: F401
