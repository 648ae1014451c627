"""``open_run`` of a DAG run that Airflow has planned by an older definition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.domain.errors import TransientError
from tests.support.airflow_library import airflow_as_library

with airflow_as_library():
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG

    from pressroom.orchestration.tasks import run as run_tasks
    from pressroom.orchestration.tasks.run import OpenRun, _planned


@pytest.fixture
def opening() -> OpenRun:
    """Of a DAG with the task ``write`` behind it."""
    with DAG("flow__news", schedule=None):
        task = OpenRun(task_id="open_run", workflow="flow/news")
        EmptyOperator(task_id="write")
    return task


def context(*states: dict[str, str]) -> Any:
    """``states``: of the tasks, look after look; the last for ever."""
    looks = list(states)

    def get_task_states(dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {run_ids[0]: looks.pop(0) if len(looks) > 1 else looks[0]}

    return {"ti": SimpleNamespace(get_task_states=get_task_states), "dag_run": SimpleNamespace(run_id="r")}


def test_it_waits_for_the_tasks_that_are_defined_now(
    opening: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    old, new = {"open_run": "running", "look": "None"}, {"open_run": "running", "write": "None"}
    opening._until_planned(context(old, old, new))
    assert len(waits) == 2


def test_without_them_it_is_tried_again_and_says_what_is_missing(
    opening: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tasks, "PARSE_SECONDS", 0.0)
    with pytest.raises(TransientError) as late:
        opening._until_planned(context({"open_run": "running"}))
    assert str(late.value) == (
        "Airflow has not read the newest definition of flow/news yet: this DAG run has no task write"
    )


@pytest.mark.parametrize(
    ("states", "there"),
    [
        ({"item.write": "None"}, True),
        ({"item.write_0": "success", "item.write_12": "removed"}, True),
        ({"item.write_0": "removed"}, True),
        ({"item.write": "removed"}, False),
        ({"item.rewrite": "None"}, False),
    ],
)
def test_a_task_is_there_when_it_is_planned_whole_or_in_parts(states: dict[str, str], there: bool) -> None:
    assert ("item.write" in _planned(states)) is there
