"""Query parameters that a call does not have, and runs that wait in Airflow."""

from __future__ import annotations

from typing import Any

import pytest

from pressroom.domain.run import PAUSED_DAG
from tests.support.control_world import Control

NOW = "/automation/run_now?site_id=1"


@pytest.mark.parametrize(
    ("path", "sent", "hint"),
    [
        ("/clusters", {"site_id": 1}, ". Did you mean 'site'?"),
        ("/keywords", {"stauts": "new"}, ". Did you mean 'status'?"),
        ("/pipeline/jobs", {"limt": 3}, ". Did you mean 'limit'?"),
        ("/automation/history", {"page": 2, "site_id": 1}, ""),
        ("/automation/config", {"site": 1, "site_id": 1}, ". Did you mean 'site_id'?"),
    ],
)
async def test_an_unknown_query_parameter_is_refused(
    control: Control, path: str, sent: dict[str, Any], hint: str
) -> None:
    problem = await control.get(path, **sent, expect=422)
    field = f"query.{next(iter(sent))}"
    assert problem["detail"].startswith(f"{field}: there is no such query parameter{hint}")
    assert problem["errors"][0]["field"] == field


async def test_a_paused_dag_is_told(control: Control) -> None:
    dag_id = control.world.site.dag_id
    control.plane.asleep.add(dag_id)
    started = (await control("POST", NOW, expect=202)).json()
    said = PAUSED_DAG.format(dag_id)
    assert "paused in Airflow" in said
    assert started["notice"] == said
    assert (await control.get("/automation/current_run", site_id=1))["notice"] == said
    assert (await control.get(f"/pipeline/jobs/{started['run_id']}"))["notice"] == said
    control.plane.asleep.clear()
    assert (await control.get("/automation/current_run", site_id=1))["notice"] is None


async def test_a_run_that_airflow_has_is_not_taken_for_dead(control: Control) -> None:
    started = (await control("POST", NOW, expect=202)).json()
    control.world.sql("UPDATE runs SET lease_until = now() - interval '1 hour'")
    control.plane.living.add(started["dag_run_id"])
    problem = (await control("POST", NOW, expect=400)).json()
    assert started["dag_run_id"] in problem["detail"]
    control.plane.living.clear()
    await control("POST", NOW, expect=202)
