"""For all tests: what runs side by side (``pytest -n 3``), and what a skip is (PRESSROOM_NO_SKIPS=1)."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from typing import TypeVar

import pytest
from xdist.scheduler import LoadScopeScheduling

from pressroom_dev.local.guard import GUARD, WITH_PARENT
from tests.support.groups import ACCEPTANCE, group_of, rank

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
# Imports and tests make millions of objects that stay: with the usual thresholds the collector looks at them
# again and again, which is a tenth of the time in which tests are collected.
gc.set_threshold(50_000, 20, 50)
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first. The rest stays in the order of its files."""
    items.sort(key=lambda item: rank(item.nodeid))


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
