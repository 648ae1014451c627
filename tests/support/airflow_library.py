"""Airflow as a library, without a database, in a home of its own: for tests that import it."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def airflow_as_library() -> Iterator[None]:
    """Import Airflow, and whatever imports it, inside.

    Airflow reads both variables when it is imported, and without them makes a home of the person's own; the
    other tests must not see them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", _home())
        patch.setenv("_AIRFLOW__AS_LIBRARY", "1")
        yield


@functools.cache
def _home() -> str:
    """A folder that goes with the process."""
    folder = tempfile.mkdtemp(prefix="pressroom-airflow-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
