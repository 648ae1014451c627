"""For all tests: what runs side by side (``pytest -n 2``), and what a skip is (PRESSROOM_NO_SKIPS=1)."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest
from xdist.scheduler import LoadScopeScheduling

from pressroom_dev.local.guard import GUARD, WITH_PARENT

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
ACCEPTANCE = "tests/acceptance/"
FIRST = ("any_button", "control_api", "mission_pipeline")
ALONE = ("control_api_access", "local_runner")
"""Acceptance tests that start services of their own. The others are two groups, those named ``FIRST`` and the
rest, and each shares an Airflow. The groups take equally long, some eight minutes, so that two processes wait
for tasks at the same time, and neither is left alone with them at the end.
"""
# The matrices here are small: several threads wait for each other more than they calculate.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
NO_SKIPS = os.environ.get("PRESSROOM_NO_SKIPS") == "1"


def pytest_configure(config: pytest.Config) -> None:
    """End with the parent where that is wanted, as when `make test` is killed."""
    if os.environ.get(WITH_PARENT) == "1":
        GUARD.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a test's skip into a failure. A strict xfail that fails as expected is no skip."""
    report = yield
    return _failed(report) if report.skipped and not hasattr(report, "wasxfail") else report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module's skip into a failure."""
    report = yield
    return _failed(report) if report.skipped else report


def _failed(report: Report) -> Report:
    if NO_SKIPS:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"not allowed with PRESSROOM_NO_SKIPS=1: {reason}"
    return report


def group_of(nodeid: str) -> int | None:
    """The number of a test's group, if it shares an Airflow."""
    file, _, _ = nodeid.partition("::")
    name = file.removeprefix(f"{ACCEPTANCE}test_").removesuffix(".py")
    if not file.startswith(ACCEPTANCE) or name in ALONE:
        return None
    return 0 if name in FIRST else 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares an Airflow comes first: it takes longest. What starts one of its own comes last, when no
    other is running. The rest stays in the order of its files.
    """

    def rank(item: pytest.Item) -> int:
        group = group_of(item.nodeid)
        return group if group is not None else 3 if item.nodeid.startswith(ACCEPTANCE) else 2

    items.sort(key=rank)


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """A process gets one file after the other. All that share an Airflow are one group."""

    def _split_scope(self, nodeid: str) -> str:
        group = group_of(nodeid)
        return nodeid.partition("::")[0] if group is None else f"{ACCEPTANCE}{group}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Groups:
    """Divide the tests into groups."""
    # In the order of collection, see above.
    config.option.loadscopereorder = False
    return Groups(config, log)
