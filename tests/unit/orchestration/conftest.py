"""The only unit tests that import Airflow: as a library, without a database, in a home of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator

import pytest

HOME = tempfile.mkdtemp(prefix="pressroom-airflow-")
# Airflow reads both when it is imported; the other tests must not see them.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("AIRFLOW_HOME", HOME)
    patch.setenv("_AIRFLOW__AS_LIBRARY", "1")
    import pressroom.orchestration.dags.build  # noqa: F401


@pytest.fixture(scope="session", autouse=True)
def _airflow_home() -> Iterator[None]:
    yield
    shutil.rmtree(HOME, ignore_errors=True)
