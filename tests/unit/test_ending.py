"""When a run is over because of what Airflow says of its DAG run: every state of the two, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from pressroom.engine.runs.ending import SETTLING_SECONDS, DagRunSeen, LiveRun, Verdict, verdict

OPENED = datetime(2027, 1, 1, 12, tzinfo=UTC)
YOUNG, OLD = 1.0, SETTLING_SECONDS + 1
AFTER, BEFORE = OPENED + timedelta(seconds=1), OPENED - timedelta(seconds=1)

GOES_ON = None
GONE = ("Airflow no longer has its DAG run manual__1: it or its DAG was deleted", True)
NO_DAG = ("Airflow no longer has the DAG site__brew: see its import errors", True)
FAILED = ("its DAG run failed in Airflow before the run was closed", True)
JUDGED = ("its DAG run ended in Airflow before the run was closed", False)
MARKED = ("marked as failed in Airflow", True)

DagRun = tuple[str | None, datetime | None, bool]

TABLE: list[tuple[DagRun, float, tuple[str, bool] | None]] = [
    # what Airflow says            the run's age   the run
    ((None, None, False), YOUNG, GOES_ON),  # recorded by the API, and about to be started
    ((None, None, False), OLD, GONE),
    ((None, None, True), OLD, GONE),
    *(((state, None, True), age, GOES_ON) for state, age in product(("queued", "running"), (YOUNG, OLD))),
    *(((state, None, False), YOUNG, GOES_ON) for state in ("queued", "running")),
    *(((state, None, False), OLD, NO_DAG) for state in ("queued", "running")),
    *((("failed", AFTER, has_dag), age, FAILED) for has_dag, age in product((True, False), (YOUNG, OLD))),
    *((("success", AFTER, has_dag), age, JUDGED) for has_dag, age in product((True, False), (YOUNG, OLD))),
    # Opened again by the API, and about to be cleared in Airflow.
    *(
        ((state, ended, True), YOUNG, GOES_ON)
        for state, ended in product(("failed", "success"), (BEFORE, None))
    ),
    (("failed", BEFORE, True), OLD, FAILED),
    (("failed", None, True), OLD, FAILED),
    (("success", BEFORE, True), OLD, JUDGED),
    (("success", None, True), OLD, JUDGED),
]


def live(age: float, marked: str | None = None) -> LiveRun:
    return LiveRun(7, "site__brew", "manual__1", OPENED, age, marked)


@pytest.mark.parametrize(("dag_run", "age", "expected"), TABLE)
def test_what_becomes_of_a_live_run(dag_run: DagRun, age: float, expected: tuple[str, bool] | None) -> None:
    state, ended_at, has_dag = dag_run
    ending = verdict(live(age), DagRunSeen(state, ended_at, has_dag=has_dag))
    assert ending == (None if expected is None else Verdict(expected[0], failed=expected[1]))


def test_the_table_has_every_state_that_a_dag_run_can_be_in() -> None:
    states = {state for (state, _, _), _, _ in TABLE}
    assert states == {None, "queued", "running", "success", "failed"}
    # Once it has settled, each state of Airflow leads to one end, whatever else is so.
    assert {
        (state, has_dag): expected for (state, _, has_dag), age, expected in TABLE if age == OLD
    } == {
        (None, True): GONE, (None, False): GONE, ("queued", True): GOES_ON, ("running", True): GOES_ON,
        ("queued", False): NO_DAG, ("running", False): NO_DAG, ("failed", True): FAILED,
        ("failed", False): FAILED, ("success", True): JUDGED, ("success", False): JUDGED,
    }  # fmt: skip


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_dag_run_that_somebody_marked_as_failed_fails_its_run_whatever_airflow_makes_of_it(
    state: str,
) -> None:
    assert verdict(live(OLD, "failed"), DagRunSeen(state, AFTER)) == Verdict(*MARKED)


def test_one_that_was_marked_as_success_is_judged_by_what_is_left() -> None:
    assert verdict(live(OLD, "success"), DagRunSeen("success", AFTER)) == Verdict(*JUDGED)
