"""What runs side by side: which acceptance tests share an Airflow, and in which order files are begun."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

ACCEPTANCE = "tests/acceptance/"
FIRST = ("any_button", "control_api", "mission_pipeline")
ALONE = ("control_api_access", "local_runner")
"""Acceptance tests that start services of their own. The others are two groups, those named ``FIRST`` and the
rest, and each shares an Airflow. The groups take equally long, and longer than anything else: they begin
first, each in a process of its own, and mostly wait for tasks. A third process goes through the other files.
"""
LONG = (
    "tests/integration/test_wordpress_exactly_once.py",
    "tests/integration/test_api_schema.py",
    "tests/integration/test_target_wordpress.py",
)
"""Files that take a minute or more. They come before the others, so that none is left alone at the end."""


def group_of(nodeid: str) -> int | None:
    """The number of a test's group, if it shares an Airflow."""
    file, _, _ = nodeid.partition("::")
    name = file.removeprefix(f"{ACCEPTANCE}test_").removesuffix(".py")
    if not file.startswith(ACCEPTANCE) or name in ALONE:
        return None
    return 0 if name in FIRST else 1


def rank(nodeid: str) -> tuple[int, int]:
    """Where a test's file stands in the order. What starts an Airflow of its own comes last."""
    file, _, _ = nodeid.partition("::")
    group = group_of(nodeid)
    if group is not None:
        return 0, group
    if file.startswith(ACCEPTANCE):
        return 3, 0
    return (1, LONG.index(file)) if file in LONG else (2, 0)


def slugs_of(items: Iterable[pytest.Item]) -> set[str]:
    """The workflows of all tests that the Airflow of the current test serves: see the marker ``site``."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    here = group_of(os.environ.get("PYTEST_CURRENT_TEST", ""))
    return {
        slug
        for item in items
        # A process by itself has one Airflow for both groups.
        if workers == 1 or group_of(item.nodeid) == here
        for marker in item.iter_markers("site")
        for slug in marker.args
    }
